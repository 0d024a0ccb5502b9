"""Concepts: what Edit by Text adds and removes, and where."""

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY, ConceptsType


class Concepts(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.sampling.choices import Masks

        return io.Schema(
            node_id="FGDM_Concepts",
            display_name="Concepts (FG-DM)",
            category=CATEGORY + "/editing",
            description="What to add to a map or picture and what to remove, written as '+elephant -dog', and where it may change. "
            "Chain several nodes for concepts with settings of their own.",
            search_aliases=["fg-dm", "LEDITS++", "edit prompt", "add object", "remove object", "replace object"],
            inputs=[
                io.String.Input(
                    "text", multiline=True, default="+elephant -dog", dynamic_prompts=False,
                    tooltip="What to add (+, or no sign) and what to remove (-). Signs, commas and lines separate; each is one concept.",
                ),
                io.Float.Input("scale", default=5.0, min=0.0, max=50.0, step=0.5, round=0.01, tooltip="How strongly: 3 to 15. Nothing happens: more. It looks burnt: less."),
                io.Float.Input(
                    "threshold", default=0.9, min=0.0, max=1.0, step=0.01, round=0.001,
                    tooltip="Share of the picture that stays as it is: 0.9 for something small, 0.5 for half of it. Used by the masks 'attention' and 'noise'.",
                ),
                io.Combo.Input(
                    "masks", options=Masks, default=Masks.BOTH,
                    tooltip="Where a concept acts, found anew at each step. attention: where the model looks for the word. noise: where the word "
                    "changes most. Both together as in LEDITS++. region only: all of 'where' and 'mask'.",
                ),
                io.String.Input(
                    "where", default="",
                    tooltip="Classes of the map, such as dog, to which the edit is bounded exactly; commas separate. Needs the map at Edit by Text. Empty: anywhere.",
                ),
                io.Int.Input("grow", default=8, min=0, max=512, tooltip="Pixels by which the region of 'where' is widened, so that another shape has room."),
                io.Int.Input("warm_up", default=0, min=0, max=1000, advanced=True, tooltip="First step at which the concepts act. More keeps the layout."),
                io.Int.Input("cool_down", default=0, min=0, max=1000, advanced=True, tooltip="Step from which on they act no more. 0: they act to the end."),
                io.Mask.Input("mask", optional=True, tooltip="Bounds the edit to a mask of your own; together with 'where', to both."),
                ConceptsType.Input("concepts", optional=True, tooltip="Concepts of another node, to which these are added."),
            ],
            outputs=[ConceptsType.Output("concepts", display_name="concepts", tooltip="For Edit by Text, or another Concepts node.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, text, scale, threshold, masks, where, grow, warm_up, cool_down, mask=None, concepts=None
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.inversion.concepts import written
        from ..comfyui_fgdm.sampling.choices import Masks
        from ..comfyui_fgdm.sampling.edits import Concept

        how = Concept(scale, False, threshold, warm_up, cool_down or None, Masks(masks))
        return io.NodeOutput(written(text, how, where, mask, grow, concepts))
