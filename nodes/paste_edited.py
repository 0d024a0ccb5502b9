"""Paste Object into Picture: what was edited goes into the original picture; every other pixel stays bit for bit."""

from comfy_api.latest import io

from . import editing
from .checks import checked
from .inputs import OF_THE_FACTOR


class PasteEdited(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        edge = {"min": 0, "max": 512}
        return io.Schema(
            node_id="FGDM_PasteEdited",
            display_name="Paste Object into Picture (FG-DM)",
            category=editing.EDITING,
            description="Takes what was edited of a picture, by a mask or by the map before and after, and pastes it with soft edges into "
            "the original, of which every other pixel stays as it was. Harmonise the result with KSampler at a low denoise and the "
            "mask as noise mask, and paste that once more.",
            search_aliases=["fg-dm", "composite", "blend", "harmonise", "harmonize", "inpaint", "paste back", "move object in picture"],
            inputs=[
                io.Image.Input("original", tooltip="The picture before the edit."),
                io.Image.Input("edited", tooltip="The picture after it, of the same size."),
                io.Int.Input("grow", default=4, **edge, tooltip="Pixels by which what is pasted is wider than the mask."),
                io.Int.Input(
                    "feather", default=4, **edge,
                    tooltip="Pixels over which it then fades out. grow and feather 0: the mask is taken as it is, soft edges included.",
                ),
                io.Mask.Input("mask", optional=True, tooltip="What to paste. As large as the picture, or smaller by a whole factor."),
                io.Image.Input(
                    "before", optional=True,
                    tooltip="The map before the edit. With 'after' in place of a mask, or beside one: what differs is pasted, and all of "
                    "an object that moved or changed its shape, at its old place and at its new one.",
                ),
                io.Image.Input("after", optional=True, tooltip="The map after the edit."),
                *editing.reading_inputs(),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Image.Output("image", display_name="image", tooltip="The original with what was pasted."),
                io.Mask.Output("mask", display_name="mask", tooltip="How much of each pixel is pasted: for Set Latent Noise Mask, and for the last pasting."),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, original, edited, grow, feather, mask=None, before=None, after=None, factor=None, palette=OF_THE_FACTOR
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.pasting import Edges, changed_between, paste_edited
        from ..comfyui_fgdm.host.progress import show_text

        if (before is None) != (after is None):
            lacks = "before" if before is None else "after"
            raise ValueError(f"{lacks}: only one map is connected; what was edited shows in two. Connect this one too.")
        masks = {} if mask is None else {"mask": mask}
        if before is not None:
            masks["after"] = changed_between(editing.opened(before, factor, palette), after)
        if not masks:
            raise ValueError("mask: say what to paste: connect a mask, or the map before and after the edit.")
        pasted = paste_edited(original, edited, masks, Edges(grow, feather))
        show_text(pasted.said, cls)
        return io.NodeOutput(pasted.pictures, pasted.mask)
