"""The types that travel between the nodes of this pack."""

from comfy_api.latest import io

FactorType = io.Custom("FGDM_FACTOR")
ObjectsType = io.Custom("FGDM_OBJECTS")

CATEGORY = "FGDM"
