"""What the nodes that edit maps have in common: inputs, outputs, and the way from one to the other."""

from comfy_api.latest import io, ui

from . import inputs
from .types import CATEGORY, FactorType

EDITING = CATEGORY + "/editing"


def map_input() -> io.Image.Input:
    return io.Image.Input("map", tooltip="The map to edit; of a batch, each one.")


def reading_inputs() -> list:
    """factor and palette: how the colours of the map are read."""
    return [
        FactorType.Input(
            "factor",
            optional=True,
            tooltip="The factor that drew the map; only its classes are then considered. Without it: all COCO classes.",
        ),
        inputs.palette(
            "Which palette the colours of the map are of. of the factor: that of the factor, COCO without one."
        ),
    ]


def region_inputs() -> list:
    """class_name, which, x, y, mask: what of the map is meant."""
    from ..comfyui_fgdm.host.choices import Which

    return [
        io.String.Input(
            "class_name",
            default="",
            tooltip="Class of what to take, for example dog, by its name, plural or a synonym. Empty: of whatever class is at the "
            "point or in the mask.",
        ),
        io.Combo.Input(
            "which", options=Which, default=Which.LARGEST, tooltip="Which of several regions of the class, if no point and no mask is given."
        ),
        io.Int.Input(
            "x", default=-1, min=-1, max=16384, optional=True, advanced=True,
            tooltip="A pixel of the region, from the left edge; -1: none. Of a class, the nearest region is taken.",
        ),
        io.Int.Input(
            "y", default=-1, min=-1, max=16384, optional=True, advanced=True, tooltip="The pixel's place from the top edge; -1: none."
        ),
        io.Mask.Input("mask", optional=True, tooltip="Takes what lies in the mask instead, of the class only if one is given."),
    ]  # fmt: skip


def outputs() -> list:
    return [
        io.Image.Output("map", display_name="map", tooltip="The edited map in exact class colours."),
        io.Mask.Output("changed", display_name="changed", tooltip="1 where a pixel has another class than before."),
        io.String.Output(
            "json",
            display_name="json",
            tooltip="Of each map what was applied, left out and why, what moved, and the changed share.",
        ),
    ]


def opened(maps, factor, palette):
    from ..comfyui_fgdm.host.editing import open_maps

    return open_maps(maps, factor, inputs.named(palette))


def selection(class_name, which, x, y, mask):
    from ..comfyui_fgdm.host.choices import Which
    from ..comfyui_fgdm.host.map_operations import Selection

    return Selection(class_name, Which(which), x, y, mask)


def shown(outcome, cls) -> io.NodeOutput:
    """The outputs of a node for an outcome, with a preview and a line of words on the node."""
    import json

    from ..comfyui_fgdm.host.progress import show_text

    show_text(outcome.summary, cls)
    report = json.dumps({"maps": outcome.report}, indent=1)
    return io.NodeOutput(outcome.maps, outcome.changed, report, ui=ui.PreviewImage(outcome.maps, cls=cls))
