"""Save Factor: a factor in the graph becomes a file of the factor folder."""

from __future__ import annotations

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY, FactorType


class SaveFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_SaveFactor",
            display_name="Save Factor (FG-DM)",
            category=CATEGORY + "/training",
            description="Writes a factor to models/fgdm_factors, where Load Factor lists it. A file that is there stays: the "
            "new one gets the next number.",
            search_aliases=["fg-dm", "factor graph", "save adapter"],
            is_output_node=True,
            inputs=[
                FactorType.Input("factor", tooltip="The factor, for example from Train Factor."),
                io.String.Input("filename", default="my-factor", tooltip="Name of the file: letters, digits, '-', '_' and '.'."),
                io.Boolean.Input("half", default=True, advanced=True, tooltip="16-bit weights: half the size."),
            ],
            outputs=[io.String.Output("factor_name", display_name="factor_name", tooltip="The name by which Load Factor lists it.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, factor, filename, half) -> io.NodeOutput:
        from ..comfyui_fgdm.host.models.factor import save_factor

        return io.NodeOutput(save_factor(factor, filename, half))
