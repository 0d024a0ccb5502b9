"""Change Class, Draw on Map, Edit by Words, Compare Maps: what concerns a whole map."""

from comfy_api.latest import io, ui

from . import editing
from .checks import checked
from .decode_map import OF_THE_FACTOR
from .types import ObjectsType


class ChangeClass(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_ChangeClass",
            display_name="Change Class (FG-DM)",
            category=editing.EDITING,
            description="Turns one class of a map into another everywhere, or replaces the background: all that is no countable object.",
            search_aliases=["fg-dm", "recolour map", "recolor", "replace background", "change background", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                editing.map_input(),
                io.String.Input("from_class", default="", tooltip="Class to change, for example horse. Empty: the background."),
                io.String.Input("to_class", default="", tooltip="Class that it becomes, for example zebra. Empty, with a second map: that one's background."),
                io.Image.Input("second", optional=True, tooltip="A map whose background replaces this one's, if to_class is empty."),
                *editing.reading_inputs(),
            ],
            outputs=editing.outputs(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, map, from_class, to_class, second=None, factor=None, palette=OF_THE_FACTOR) -> io.NodeOutput:
        from ..comfyui_fgdm.host.map_operations import change_class

        return editing.shown(change_class(editing.opened(map, factor, palette), from_class, to_class, second), cls)


class DrawOnMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        example = '[{"op": "rectangle", "class": "road", "box": [0, 100, 128, 128]}]'
        return io.Schema(
            node_id="FGDM_DrawOnMap",
            display_name="Draw on Map (FG-DM)",
            category=editing.EDITING,
            description="Draws shapes of classes on a map: strokes, lines, rectangles, ellipses, polygons, filled regions.",
            search_aliases=["fg-dm", "draw class", "paint segmentation", "layout", "boxes to map", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                editing.map_input(),
                io.String.Input(
                    "shapes",
                    multiline=True,
                    dynamic_prompts=False,
                    default=example,
                    tooltip="A list of shapes as JSON, the last one in front; the help page lists them. Coordinates are pixels of the map.",
                ),
                *editing.reading_inputs(),
            ],
            outputs=editing.outputs(),
        )

    @classmethod
    @checked
    def execute(cls, map, shapes, factor=None, palette=OF_THE_FACTOR) -> io.NodeOutput:
        from ..comfyui_fgdm.host.map_operations import draw

        return editing.shown(draw(editing.opened(map, factor, palette), shapes), cls)


class EditByWords(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_EditByWords",
            display_name="Edit by Words (FG-DM)",
            category=editing.EDITING,
            description="Edits a map by plain English sentences: make the dog twice as large, swap the two people, remove the umbrella, "
            "put the kite left of the tree. No language model: a small grammar, which the help page lists.",
            search_aliases=["fg-dm", "instructions", "edit by text", "prompt editing", "move object", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                editing.map_input(),
                io.String.Input(
                    "instructions",
                    multiline=True,
                    dynamic_prompts=False,
                    default="make the dog twice as large",
                    tooltip="Sentences, one a line or ended by full stops. One that is not understood stops the run and is named; one about "
                    "something that is not on the map is left out and said.",
                ),
                *editing.reading_inputs(),
            ],
            outputs=[
                *editing.outputs()[:2],
                io.String.Output("recipe", display_name="recipe", tooltip="The same edits as a recipe for Edit Map, made for the first map."),
                editing.outputs()[2],
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, map, instructions, factor=None, palette=OF_THE_FACTOR) -> io.NodeOutput:
        from ..comfyui_fgdm.host.map_operations import by_words

        outcome, recipe = by_words(editing.opened(map, factor, palette), instructions)
        shown = editing.shown(outcome, cls)
        return io.NodeOutput(*shown.args[:2], recipe, shown.args[2], ui=shown.ui)


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
