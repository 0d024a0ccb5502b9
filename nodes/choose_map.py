"""Choose Map: one of several candidates, by a click on a filmstrip or by number."""

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY, FactorType, ObjectsType


class ChooseMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_ChooseMap",
            display_name="Choose Map (FG-DM)",
            category=CATEGORY + "/editing",
            description="Takes one of several maps: the best by recall, or another one that you click on. Its candidates are shown with "
            "recall and missing objects; choosing again costs nothing, since they are not sampled again.",
            search_aliases=[
                "fg-dm",
                "pick map",
                "filmstrip",
                "select from batch",
                "image from batch",
                "choose candidate",
            ],
            is_output_node=True,
            inputs=[
                io.Image.Input("maps", tooltip="The candidates, one batch: all maps of Sample Maps, for example."),
                ObjectsType.Input(
                    "objects", optional=True, tooltip="The wanted objects, by which the maps are compared."
                ),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="The factor that drew the maps; only its classes are then considered.",
                ),
                io.Int.Input(
                    "choice",
                    default=0,
                    min=0,
                    max=4096,
                    tooltip="Which map: 1 is the first, 0 the best by recall (the first, without objects). A click on the filmstrip sets it.",
                ),
            ],
            outputs=[
                io.Image.Output("map", display_name="map", tooltip="The chosen map, as it came in."),
                io.Int.Output("index", display_name="index", tooltip="Its place in the batch, from 0."),
                io.Float.Output("recall", display_name="recall", tooltip="Its recall, 0 to 1; 0 without objects."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, maps, choice, objects=None, factor=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.choosing import choose

        chosen = choose(maps, choice, objects, factor)
        return io.NodeOutput(chosen.map, chosen.index, chosen.recall, ui={"fgdm_choose": [chosen.entry]})
