"""Decode map: pictures of segmentation maps become classes, masks and clean maps."""

from comfy_api.latest import io

from .types import CATEGORY, FactorType


class DecodeMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_DecodeMap",
            display_name="Decode Map (FG-DM)",
            category=CATEGORY,
            description="Reads segmentation maps: snaps every pixel to the nearest class colour, makes a mask of one "
            "class, a legend, and a list of what is where.",
            search_aliases=["fg-dm", "segmentation to mask", "class mask", "palette", "COCO-Stuff"],
            inputs=[
                io.Image.Input(
                    "maps", tooltip="Segmentation maps in the colours of the palette, as VAE Decode gives them."
                ),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="The factor that drew the maps. Only its classes are then considered, which reads noisy "
                    "colours better. Without it: all COCO classes.",
                ),
                io.String.Input(
                    "class_name",
                    default="",
                    tooltip="Class of the mask, for example dog. Empty: all things (people, animals, vehicles, "
                    "furniture), that is all countable objects and no background.",
                ),
            ],
            outputs=[
                io.Image.Output("maps", display_name="maps", tooltip="The maps in the exact colours of the palette."),
                io.Mask.Output("mask", display_name="mask", tooltip="1 where the class (or any thing) is."),
                io.Image.Output(
                    "legend", display_name="legend", tooltip="Colours and names of the classes on the maps."
                ),
                io.String.Output("json", display_name="json", tooltip="Classes, areas and boxes of each map, as JSON."),
            ],
        )

    @classmethod
    def execute(cls, maps, factor=None, class_name="") -> io.NodeOutput:
        from ..comfyui_fgdm.host.reading import decode_map

        return io.NodeOutput(*decode_map(maps, factor, class_name))
