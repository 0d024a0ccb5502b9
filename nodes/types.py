"""The types that travel between the nodes of this pack."""

from comfy_api.latest import io

FactorType = io.Custom("FGDM_FACTOR")
ObjectsType = io.Custom("FGDM_OBJECTS")
GraphType = io.Custom("FGDM_GRAPH")
InversionType = io.Custom("FGDM_INVERSION")
ConceptsType = io.Custom("FGDM_CONCEPTS")
SegsType = io.Custom("SEGS")  # of the Impact Pack: its name is what makes sockets fit

CATEGORY = "FGDM"
