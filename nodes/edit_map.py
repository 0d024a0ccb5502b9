"""Edit Map: a map with the edits of a recipe, which the editor in the browser writes."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .editing import EDITING, outputs, reading_inputs
from .inputs import OF_THE_FACTOR
from .types import ObjectsType


class EditMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host.choices import VARIABLES, WhenChanged

        factor, palette = reading_inputs()

        return io.Schema(
            node_id="FGDM_EditMap",
            display_name="Edit Map (FG-DM)",
            category=EDITING,
            description="Edits a map by a recipe of operations: move, resize, flip, copy, remove and paste objects, change their "
            "order and class, draw and fill. Every pixel keeps or gets one class; no colour is ever blended. Depth maps: nearer and farther, "
            "gradients, brush. Sketches: pen, eraser, typed text. Pose maps: people by their joints.",
            search_aliases=[
                "fg-dm", "map editor", "move object", "paint segmentation", "draw classes", "mask editor", "depth editor", "sketch editor",
                "text on sketch", "draw scribble", "pose editor", "openpose editor", "edit skeleton", "drag joints",
            ],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("map", tooltip="The map to edit. Of a batch, the editor shows the first; all are edited alike."),
                factor,
                io.Image.Input(
                    "second", optional=True, tooltip="A second map, of any size, to take objects or the background from."
                ),
                io.Image.Input(
                    "picture", optional=True, tooltip="A picture that the editor shows under the map, to trace it. It changes nothing."
                ),
                ObjectsType.Input(
                    "objects", optional=True, tooltip="The wanted objects: their recall before and after is then reported."
                ),
                io.String.Input(
                    "recipe",
                    multiline=True,
                    dynamic_prompts=False,
                    socketless=True,
                    default="",
                    tooltip="What to do, as JSON; the editor writes it. Empty: nothing. Its format is on the help page.",
                ),
                io.Combo.Input(
                    "when_changed",
                    options=WhenChanged,
                    default=WhenChanged.ASK,
                    tooltip="What happens to a recipe that was made on another map than the one that comes in. ask: the run stops "
                    "and says so, and the editor asks. apply: it is applied as well as may be. ignore: the map passes unedited. "
                    "The recipe is never changed.",
                ),
                palette,
                io.Combo.Input(
                    "variable",
                    options=[OF_THE_FACTOR, *VARIABLES],
                    default=OF_THE_FACTOR,
                    optional=True,
                    tooltip="What kind of map it is. of the factor: that of the factor; without one, that of the recipe, and segmentation where "
                    "the recipe is empty. depth, sketch, pose: grey maps of nearness, white lines on black, and stick figures in the colours of OpenPose, with "
                    "tools of their own in the editor.",
                ),
            ],
            outputs=[
                *outputs()[:2],
                io.String.Output(
                    "json",
                    display_name="json",
                    tooltip="What was applied, left out and why, what moved, the changed share, and recall before and after, as JSON.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, **_):
        from ..comfyui_fgdm.host import own

        return own.fingerprint()  # of palettes that a user may edit

    @classmethod
    @checked
    def execute(
        cls, map, recipe, when_changed, factor=None, second=None, picture=None, objects=None, palette=OF_THE_FACTOR,
        variable=OF_THE_FACTOR,
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host.choices import WhenChanged
        from ..comfyui_fgdm.host.map_editor import EditInputs, edit_maps
        from ..comfyui_fgdm.host.progress import send, show_text

        told, kind = inputs.named(palette), inputs.named(variable)
        given = EditInputs(recipe, WhenChanged(when_changed), factor, told, kind, second, picture, objects)
        result = edit_maps(map, given, lambda entry: send("fgdm_edit", {"fgdm_edit": [entry]}, cls))
        outcome = result.outcome
        show_text(outcome.summary, cls)
        # No preview of the host's for what the editor's widget on the node shows, at once when edits are made.
        return io.NodeOutput(outcome.maps, outcome.changed, result.json, ui={"fgdm_edit": [result.entry]})
