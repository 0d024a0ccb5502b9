"""Transform Region, Delete Region, Paste Region: one thing on a map."""

from comfy_api.latest import io

from . import editing
from .checks import checked
from .inputs import OF_THE_FACTOR

FLIPS = ["no", "horizontal", "vertical"]


def _scale() -> io.Float.Input:
    return io.Float.Input(
        "scale", default=1.0, min=0.01, max=100.0, step=0.1, round=0.001, tooltip="Times as large, about its centre."
    )


def _flip() -> io.Combo.Input:
    return io.Combo.Input("flip", options=FLIPS, default="no", tooltip="Mirrors it: left to right, or top to bottom.")


class TransformRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        far = {"default": 0, "min": -16384, "max": 16384}
        return io.Schema(
            node_id="FGDM_TransformRegion",
            display_name="Transform Region (FG-DM)",
            category=editing.EDITING,
            description="Moves, resizes, turns, flips, copies or reclasses an object of a map, or puts it behind others. The place that "
            "it leaves takes its surroundings; what is moved out of the map is cut.",
            search_aliases=["fg-dm", "move object", "resize object", "flip object", "layer order", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                editing.map_input(),
                *editing.region_inputs(),
                io.Int.Input("move_x", **far, tooltip="Pixels of the map to the right; less than 0: to the left."),
                io.Int.Input("move_y", **far, tooltip="Pixels of the map down; less than 0: up."),
                _scale(),
                io.Float.Input("rotate", default=0.0, min=-360.0, max=360.0, step=5.0, round=0.01, tooltip="Degrees clockwise, about its centre."),
                _flip(),
                io.String.Input("behind", default="", optional=True, tooltip="Class that it goes behind, for example tree. Empty: it is in front of all."),
                io.Boolean.Input("copy", default=False, optional=True, tooltip="Whether the original stays where it is."),
                io.String.Input("new_class", default="", optional=True, tooltip="Class that it becomes, for example zebra. Empty: it keeps its own."),
                *editing.reading_inputs(),
            ],
            outputs=editing.outputs(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, map, class_name, which, move_x, move_y, scale, rotate, flip,
        x=-1, y=-1, mask=None, behind="", copy=False, new_class="", factor=None, palette=OF_THE_FACTOR,
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host.map_operations import Change, transform

        change = Change((move_x, move_y), scale, rotate, None if flip == "no" else flip, behind, copy, new_class)
        chosen = editing.selection(class_name, which, x, y, mask)
        return editing.shown(transform(editing.opened(map, factor, palette), chosen, change), cls)


class DeleteRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_DeleteRegion",
            display_name="Delete Region (FG-DM)",
            category=editing.EDITING,
            description="Removes an object of a map and fills the hole with its surroundings or a class.",
            search_aliases=["fg-dm", "remove object", "erase object", "fill hole", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                editing.map_input(),
                *editing.region_inputs(),
                io.String.Input(
                    "fill",
                    default="",
                    tooltip="Class that the hole gets, for example grass. Empty: each pixel gets the nearest class around.",
                ),
                *editing.reading_inputs(),
            ],
            outputs=editing.outputs(),
        )

    @classmethod
    @checked
    def execute(
        cls, map, class_name, which, fill, x=-1, y=-1, mask=None, factor=None, palette=OF_THE_FACTOR
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.map_operations import delete

        chosen = editing.selection(class_name, which, x, y, mask)
        return editing.shown(delete(editing.opened(map, factor, palette), chosen, fill), cls)


class PasteRegion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        place = {"default": -1, "min": -1, "max": 16384}
        return io.Schema(
            node_id="FGDM_PasteRegion",
            display_name="Paste Region (FG-DM)",
            category=editing.EDITING,
            description="Copies an object of a second map, of any size, onto a map.",
            search_aliases=["fg-dm", "copy object", "combine maps", "compose maps", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("map", tooltip="The map to paste onto; of a batch, each one."),
                io.Image.Input("second", tooltip="The map to copy from; x, y and mask are about this one. It is stretched over the first."),
                *editing.region_inputs(),
                io.Int.Input("to_x", **place, tooltip="Where its centre goes, in pixels of the map from the left; -1: as on the second map."),
                io.Int.Input("to_y", **place, tooltip="Where its centre goes, in pixels of the map from the top; -1: as on the second map."),
                _scale(),
                _flip(),
                *editing.reading_inputs(),
            ],
            outputs=editing.outputs(),
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, map, second, class_name, which, to_x, to_y, scale, flip, x=-1, y=-1, mask=None, factor=None, palette=OF_THE_FACTOR
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host.map_operations import Change, paste

        change = Change(scale=scale, flip=None if flip == "no" else flip)
        chosen = editing.selection(class_name, which, x, y, mask)
        return editing.shown(paste(editing.opened(map, factor, palette), second, chosen, (to_x, to_y), change), cls)
