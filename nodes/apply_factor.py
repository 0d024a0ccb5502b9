"""Apply factor: MODEL -> MODEL, so that any core sampler samples maps."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .types import CATEGORY, FactorType


class ApplyFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_ApplyFactor",
            display_name="Apply Factor (FG-DM)",
            category=CATEGORY,
            description="Makes a model sample maps of a factor (for example segmentation maps) instead of pictures. "
            "The result is an ordinary MODEL for KSampler and other samplers; the input model stays as it is.",
            search_aliases=["fg-dm", "factor graph", "segmentation map model", "depth", "semantic"],
            inputs=[
                io.Model.Input("model", tooltip="The base model the factor was trained on, as loaded or with LoRAs."),
                FactorType.Input("factor", tooltip="The factor from Load Factor."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    tooltip="How strongly the factor acts: 1 as trained, 0 exactly the plain model.",
                ),
                *inputs.percent_range("the factor"),
                *(
                    io.Latent.Input(
                        name,
                        optional=True,
                        tooltip=f"{which} map that the factor depends on, as a latent, if "
                        "its file names one (Load Factor shows it). Leave open for segmentation factors.",
                    )
                    for name, which in (("parent", "The"), ("parent_2", "The second"), ("parent_3", "The third"))
                ),
            ],
            outputs=[io.Model.Output("model", display_name="model", tooltip="A model that samples maps.")],
        )

    @classmethod
    @checked
    def execute(
        cls, model, factor, strength, start_percent, end_percent, parent=None, parent_2=None, parent_3=None
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.models.apply import apply_factor, name_parents

        parents = name_parents(factor, [parent, parent_2, parent_3])
        return io.NodeOutput(apply_factor(model, factor, strength, start_percent, end_percent, parents))
