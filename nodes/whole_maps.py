"""Change Class, Draw on Map: what concerns a whole map."""

from comfy_api.latest import io

from . import editing
from .checks import checked
from .inputs import OF_THE_FACTOR


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
        from ..comfyui_fgdm.host.choices import DRAWN_ON

        example = '[{"op": "rectangle", "class": "road", "box": [0, 100, 128, 128]}]'
        return io.Schema(
            node_id="FGDM_DrawOnMap",
            display_name="Draw on Map (FG-DM)",
            category=editing.EDITING,
            description="Draws shapes of classes on a map: strokes, lines, rectangles, ellipses, polygons, filled regions. Writes and "
            "draws on sketches, and moves what is on depth maps nearer or farther.",
            search_aliases=[
                "fg-dm",
                "draw class",
                "paint segmentation",
                "layout",
                "boxes to map",
                "text on sketch",
                "edit depth",
            ],
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
                io.Combo.Input(
                    "variable",
                    options=list(DRAWN_ON),
                    default="segmentation",
                    optional=True,
                    tooltip="What kind of map it is: depth maps and sketches have levels from 0 to 255 in place of classes, and shapes of "
                    "their own, such as text on a sketch.",
                ),
                *editing.reading_inputs(),
            ],
            outputs=editing.outputs(),
        )

    @classmethod
    @checked
    def execute(cls, map, shapes, variable="segmentation", factor=None, palette=OF_THE_FACTOR) -> io.NodeOutput:
        from ..comfyui_fgdm.host.map_operations import draw, draw_levels

        if variable != "segmentation":
            return editing.shown(draw_levels(map, shapes, variable), cls)
        return editing.shown(draw(editing.opened(map, factor, palette), shapes), cls)
