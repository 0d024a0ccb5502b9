"""Write Training Folder: maps and captions of the graph become files that Train Factor reads."""

from __future__ import annotations

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY


class WriteExamples(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.maps import kinds

        return io.Schema(
            node_id="FGDM_WriteExamples",
            display_name="Write Training Folder (FG-DM)",
            category=CATEGORY + "/training",
            description="Writes pictures or maps with their captions into a folder of ComfyUI's input folder, as Train Factor "
            "reads them. Use one of these nodes for each variable, with the same names.",
            search_aliases=["fg-dm", "dataset", "data set", "training data", "save maps"],
            is_output_node=True,
            is_input_list=True,  # pictures of different sizes come as a list, and all of them are one folder
            inputs=[
                io.Image.Input("pictures", tooltip="Maps of the variable (or photos, for 'image'), one file each."),
                io.Combo.Input(
                    "variable", options=["image", *kinds.names()], default="segmentation",
                    tooltip="What the pictures show. Label maps are written in the exact colours of their palette.",
                ),
                io.String.Input("folder", default="fgdm_examples", tooltip="Folder in ComfyUI's input folder; made if it is not there."),
                io.String.Input("name", default="example", tooltip="Files are called NAME-000, NAME-001 ...; the same name pairs variables."),
                io.String.Input(
                    "captions", default="", multiline=True, tooltip="One line for each picture, or one line for all. Empty: captions are "
                    "left as they are, for the second variable of the same pictures.",
                ),
                io.String.Input("palette", default="coco183", advanced=True, tooltip="Palette of label maps; for other maps it is not used."),
                io.Boolean.Input("overwrite", default=False, advanced=True, tooltip="Replace files of the same names. Off: refuse."),
                io.String.Input(
                    "names", optional=True, force_input=True, tooltip="A name for each picture, from Load Training Pictures; files are "
                    "called so, and 'captions' is a text for each. Without it, 'name' is counted up.",
                ),
                io.AnyType.Input(
                    "after", optional=True, tooltip="Something that has to be done before, such as the folder of the node that writes the "
                    "maps of these pictures: a training that takes its folder from this node then finds both.",
                ),
            ],
            outputs=[io.Combo.Output("folder", display_name="folder", tooltip="The name of the folder, for Train Factor.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, pictures, variable, folder, name, captions, palette, overwrite, names=None, after=None
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host import datafolders

        variable, folder, name, palette, overwrite = (one[0] for one in (variable, folder, name, palette, overwrite))
        written = datafolders.Examples(variable, folder, name, tuple(captions), palette, overwrite, tuple(names or ()))
        return io.NodeOutput(datafolders.write(pictures, written))
