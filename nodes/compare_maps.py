"""Compare Maps: what is different between two versions of a map."""

from comfy_api.latest import io, ui

from . import editing
from .checks import checked
from .inputs import OF_THE_FACTOR
from .types import ObjectsType


class CompareMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_CompareMaps",
            display_name="Compare Maps (FG-DM)",
            category=editing.EDITING,
            description="Shows what is different between a map and another version of it: what moved, came or went, the changed share, "
            "and the recall of the wanted objects before and after.",
            search_aliases=["fg-dm", "difference", "diff", "before and after", "what changed"],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("before", tooltip="The map as it was, or a batch of them."),
                io.Image.Input("after", tooltip="The other version, of the same size and as many."),
                ObjectsType.Input("objects", optional=True, tooltip="The wanted objects: their recall before and after is reported."),
                *editing.reading_inputs(),
            ],
            outputs=[
                io.Image.Output("picture", display_name="picture", tooltip="Before and after side by side; what is the same in both is pale."),
                io.Mask.Output("changed", display_name="changed", tooltip="1 where the classes differ."),
                io.Float.Output("share", display_name="share", tooltip="Share of pixels whose classes differ, 0 to 1."),
                io.String.Output("json", display_name="json", tooltip="Of each pair what moved, came and went, as JSON, and recall before and after."),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, before, after, objects=None, factor=None, palette=OF_THE_FACTOR) -> io.NodeOutput:
        from ..comfyui_fgdm.host.map_operations import compare
        from ..comfyui_fgdm.host.progress import show_text

        result = compare(editing.opened(before, factor, palette), after, objects)
        show_text(f"{100 * result.share:.1f} % of the pixels differ", cls)
        shown = ui.PreviewImage(result.picture, cls=cls)
        return io.NodeOutput(result.picture, result.changed, result.share, result.json, ui=shown)
