"""Decode map: pictures of segmentation maps become classes, masks, segments and clean maps."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .inputs import OF_THE_FACTOR
from .types import CATEGORY, FactorType, SegsType


class DecodeMap(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.maps.conversion import Colours
        from ..comfyui_fgdm.maps.palettes import Rule

        return io.Schema(
            node_id="FGDM_DecodeMap",
            display_name="Decode Map (FG-DM)",
            category=CATEGORY,
            description="Reads segmentation maps: snaps every pixel to the nearest class colour, makes a mask and "
            "SEGS of one class, a legend, and a list of what is where. Can repaint COCO maps in the colours of ADE20K.",
            search_aliases=["fg-dm", "segmentation to mask", "class mask", "palette", "COCO-Stuff", "ADE20K", "SEGS"],
            inputs=[
                io.Image.Input(
                    "maps", tooltip="Segmentation maps in the colours of the palette, as VAE Decode gives them."
                ),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="The factor that drew the maps. Only its classes are then considered, which reads noisy "
                    "colours better; maps of depth, normals or sketches are read as such. Without it: all COCO classes.",
                ),
                io.String.Input(
                    "class_name",
                    default="",
                    tooltip="Class of the mask, for example dog, by its name, plural or a synonym. Empty: all things "
                    "(people, animals, vehicles, furniture), that is all countable objects and no background.",
                ),
                io.Combo.Input(
                    "rule",
                    options=Rule,
                    default=Rule.NEAREST,
                    optional=True,
                    advanced=True,
                    tooltip="How colours are read. nearest: the nearest class colour, right even in noisy maps. official: "
                    "the rule of the FG-DM release (within 28 levels, the last class that matches wins), which errs in "
                    "noisy maps; to compare with published numbers.",
                ),
                io.Combo.Input(
                    "colours",
                    options=Colours,
                    default=Colours.AS_READ,
                    optional=True,
                    tooltip="What the maps and the legend are painted in. ADE20K: for stock segmentation ControlNets, "
                    "which know these colours; classes that ADE20K lacks become white. Mask, segs and json stay in the "
                    "classes that were read.",
                ),
                io.Float.Input(
                    "clean",
                    default=0.0025,
                    min=0.0,
                    max=1.0,
                    step=0.0005,
                    round=0.0001,
                    optional=True,
                    tooltip="Pieces smaller than this share of the map, and pixels of no class, take the class next to them "
                    "in the painted maps: control nets follow clean maps better. 0: painted as read. Mask, segs and json "
                    "stay as read.",
                ),
                inputs.palette(
                    "Which palette the colours of the maps are of. of the factor: that of the factor, COCO without "
                    "one. Maps that look like another palette than this are refused."
                ),
            ],
            outputs=[
                io.Image.Output("maps", display_name="maps", tooltip="The maps in exact class colours."),
                io.Mask.Output("mask", display_name="mask", tooltip="1 where the class (or any thing) is."),
                io.Image.Output(
                    "legend", display_name="legend", tooltip="Colours and names of the classes on the maps."
                ),
                io.String.Output(
                    "json",
                    display_name="json",
                    tooltip="Classes of each map with areas, boxes and connected regions, as JSON.",
                ),
                SegsType.Output(
                    "segs",
                    display_name="segs",
                    is_output_list=True,
                    tooltip="Each connected region of the mask with its box and class, for the detailers of the Impact "
                    "Pack; a list with one SEGS a map.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_):
        from ..comfyui_fgdm.host import own

        return own.fingerprint()  # of palettes and tables that a user may edit

    @classmethod
    @checked
    def execute(
        cls, maps, factor=None, class_name="", rule="nearest", colours="as read", clean=0.0025, palette=OF_THE_FACTOR
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.reports import Decoding, decode_map
        from ..comfyui_fgdm.maps.conversion import Colours
        from ..comfyui_fgdm.maps.palettes import Rule

        told = inputs.named(palette)
        return io.NodeOutput(*decode_map(maps, factor, Decoding(class_name, Rule(rule), Colours(colours), clean, told)))
