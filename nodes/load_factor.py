"""Load factor: a file of the fgdm_factors folders becomes an FGDM_FACTOR."""

from comfy_api.latest import io

from ..comfyui_fgdm.host import folders
from .types import CATEGORY, FactorType


class LoadFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_LoadFactor",
            display_name="Load Factor (FG-DM)",
            category=CATEGORY,
            description="Loads a condition factor: the small adapter network that makes a base model draw maps.",
            search_aliases=["fg-dm", "factor graph", "segmentation factor", "map adapter", "depth", "semantic"],
            inputs=[
                io.Combo.Input(
                    "factor_name",
                    options=folders.factor_names(),
                    tooltip="A factor file of models/fgdm_factors, or the tiny one shipped with this pack, whose "
                    "checksum is verified. It must belong to the family of the checkpoint it is applied to.",
                )
            ],
            outputs=[FactorType.Output("factor", display_name="factor", tooltip="For Apply Factor and Sample Maps.")],
        )

    @classmethod
    def validate_inputs(cls, factor_name=""):
        """Of a name written into the node. One that comes by a link is None here and is checked when it is there."""
        if factor_name is None or factor_name in folders.factor_names():
            return True
        return folders.missing_factor_message(factor_name)

    @classmethod
    def fingerprint_inputs(cls, factor_name=None):
        names = folders.factor_names() if factor_name is None else [factor_name]
        return folders.fingerprint(map(folders.factor_path, names))

    @classmethod
    def execute(cls, factor_name) -> io.NodeOutput:
        from ..comfyui_fgdm.host.models.factor import load_factor

        return io.NodeOutput(load_factor(factor_name))
