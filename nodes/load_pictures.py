"""Load Training Pictures: a user's own pictures with their captions and names, as lists, a part of a folder at a time."""

from __future__ import annotations

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY


class LoadPictures(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host import picturefolders

        return io.Schema(
            node_id="FGDM_LoadPictures",
            display_name="Load Training Pictures (FG-DM)",
            category=CATEGORY + "/training",
            description="Reads pictures of a folder in ComfyUI's input folder, with their captions (NAME.txt beside each), one after "
            "another: what is connected runs once for each. Maps made of them go to Write Training Folder with the same names.",
            search_aliases=["fg-dm", "load folder", "dataset", "data set", "images and captions", "batch images"],
            inputs=[
                io.Combo.Input("folder", options=picturefolders.names(), tooltip="A folder with pictures in ComfyUI's input folder."),
                io.Int.Input(
                    "first", default=0, min=0, max=100_000_000, tooltip="Number of the first picture, in the order of their names. For a "
                    "large folder, raise it by 'count' from run to run.",
                ),
                io.Int.Input(
                    "count", default=100, min=1, max=10_000, tooltip="Pictures that are read in one run. All of them are in memory: 100 of "
                    "512 pixels take half a gigabyte, and so do their maps.",
                ),
                io.Int.Input(
                    "size", default=512, min=0, max=4096, tooltip="Shorter edge in pixels, to which larger pictures shrink; 0 leaves them "
                    "as they are. Edges are cut to multiples of 8.",
                ),
            ],
            outputs=[
                io.Image.Output("pictures", display_name="pictures", is_output_list=True, tooltip="One picture after another, each of its own size."),
                io.String.Output("captions", display_name="captions", is_output_list=True, tooltip="The captions of each picture, one a line; empty without a text file."),
                io.String.Output("names", display_name="names", is_output_list=True, tooltip="The name of each picture, for all Write Training Folder nodes."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, folder=None):
        return True  # the error of the run says where the folder is looked for, and what there is

    @classmethod
    def fingerprint_inputs(cls, folder=None, first=0, count=100, **_others):
        from ..comfyui_fgdm.host import picturefolders

        return picturefolders.fingerprint(folder, first, count) if isinstance(folder, str) else ""

    @classmethod
    @checked
    def execute(cls, folder, first, count, size) -> io.NodeOutput:
        from ..comfyui_fgdm.host import picturefolders

        read = picturefolders.load(folder, first, count, size)
        return io.NodeOutput(read.images, read.captions, read.names)
