"""Finish edited map: exact class colours inside the mask, everything else bit for bit as it was."""

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY, FactorType


class FinishMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_FinishMap",
            display_name="Finish Edited Map (FG-DM)",
            category=CATEGORY + "/editing",
            description="After an edit of a map: reads its classes, drops specks, and leaves every pixel outside of the mask as it was.",
            search_aliases=["fg-dm", "snap to palette", "clean map", "paste map"],
            inputs=[
                io.Image.Input("original", tooltip="The map before the edit."),
                io.Image.Input("edited", tooltip="The map after it, from VAE Decode."),
                io.Mask.Input("mask", tooltip="Where to take the edited map: the mask of Edit by Text, or your own."),
                io.Float.Input(
                    "clean",
                    default=0.0025,
                    min=0.0,
                    max=1.0,
                    step=0.0005,
                    round=0.0001,
                    tooltip="Edited pieces smaller than this share of the map take the class next to them. 0: all stay.",
                ),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="The factor that drew the map; only its classes are then considered.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                io.Image.Output("maps", display_name="map", tooltip="The finished map."),
                io.Mask.Output("changed", display_name="changed", tooltip="1 where the class is another than before."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, original, edited, mask, clean, factor=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.inversion.finish import finish_map
        from ..comfyui_fgdm.host.progress import show_text

        finished = finish_map(original, edited, mask, factor and factor.reader, clean)
        show_text(finished.said, cls)
        return io.NodeOutput(finished.maps, finished.changed)
