"""Edit by text: replays an inversion with concepts added and removed (LEDITS++)."""

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY, ConceptsType, FactorType, InversionType


class EditByText(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_EditByText",
            display_name="Edit by Text (FG-DM)",
            category=CATEGORY + "/editing",
            description="Changes an inverted map or picture by words (LEDITS++): things appear or go, the rest stays. Shows at each "
            "step where every concept acts.",
            search_aliases=["fg-dm", "LEDITS++", "text edit", "semantic guidance", "instruct", "replace object"],
            inputs=[
                io.Model.Input("model", tooltip="The model of the inversion, with the same factor and LoRAs."),
                io.Clip.Input("clip", tooltip="The text encoder of the model; it reads the concepts."),
                io.Conditioning.Input(
                    "negative",
                    tooltip="As at Invert: the empty prompt, with the same ControlNets. A ControlNet with an edited map lets the "
                    "picture follow that map.",
                ),
                InversionType.Input("inversion", tooltip="From Invert or Load Inversion."),
                ConceptsType.Input("concepts", tooltip="What to add and remove, from Concepts."),
                io.Boolean.Input(
                    "hold_outside",
                    default=True,
                    tooltip="Where all concepts are bounded by 'where' or 'mask', leave the latents outside exactly as they were. "
                    "Off: they may follow the change a little.",
                ),
                io.Int.Input(
                    "leave_out",
                    default=0,
                    min=0,
                    max=999,
                    advanced=True,
                    tooltip="Steps of the inversion to leave out at its noisy end: more keeps closer to the source, without a new inversion.",
                ),
                io.Image.Input(
                    "map", optional=True, tooltip="The map whose classes 'where' of the concepts names, as large as the picture."
                ),
                FactorType.Input(
                    "factor", optional=True, tooltip="The factor that drew the map; it tells which classes there are."
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Latent.Output("latent", display_name="latent", tooltip="The edited latent, for VAE Decode."),
                io.Mask.Output("mask", display_name="mask", tooltip="1 where any concept acted at any step."),
                io.Mask.Output(
                    "concept_masks",
                    display_name="concept masks",
                    tooltip="One mask a concept: the share of steps at which it acted there.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model, clip, negative, inversion, concepts, hold_outside, leave_out, map=None, factor=None
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.inversion.edit import edit_inversion
        from ..comfyui_fgdm.host.progress import show_text

        edited = edit_inversion(
            model, clip, negative, inversion, concepts.items, map_image=map, reader=factor and factor.reader, hold=hold_outside,
            start=leave_out,
        )  # fmt: skip
        show_text(edited.said, cls)
        return io.NodeOutput({"samples": edited.latent}, edited.mask, edited.concepts)
