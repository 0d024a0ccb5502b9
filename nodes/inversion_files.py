"""Save and load inversions, so that a picture is inverted once and edited often."""

from comfy_api.latest import io

from .checks import checked
from .types import CATEGORY, InversionType


class SaveInversion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_SaveInversion",
            display_name="Save Inversion (FG-DM)",
            category=CATEGORY + "/editing",
            description="Writes an inversion to output/fgdm_inversions, where Load Inversion lists it. A file that is there stays: "
            "the new one gets the next number.",
            search_aliases=["fg-dm", "LEDITS++", "export inversion"],
            is_output_node=True,
            inputs=[
                InversionType.Input("inversion", tooltip="From Invert."),
                io.String.Input(
                    "filename", default="inversion", tooltip="Name of the file: letters, digits, '-', '_' and '.'."
                ),
            ],
            outputs=[
                io.String.Output("name", display_name="name", tooltip="The name by which Load Inversion lists it.")
            ],
        )

    @classmethod
    @checked
    def execute(cls, inversion, filename) -> io.NodeOutput:
        from ..comfyui_fgdm.host.inversion import files

        return io.NodeOutput(files.save(inversion, filename))


class LoadInversion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host.inversion import listing

        return io.Schema(
            node_id="FGDM_LoadInversion",
            display_name="Load Inversion (FG-DM)",
            category=CATEGORY + "/editing",
            description="Loads an inversion that Save Inversion wrote. It holds for the model that it was made with; Edit by Text "
            "refuses another.",
            search_aliases=["fg-dm", "LEDITS++", "import inversion"],
            inputs=[
                io.Combo.Input(
                    "inversion_name",
                    options=listing.names(),
                    tooltip="A file of output/fgdm_inversions. Refresh (R) shows new ones.",
                )
            ],
            outputs=[InversionType.Output("inversion", display_name="inversion", tooltip="For Edit by Text.")],
        )

    @classmethod
    def validate_inputs(cls, inversion_name=""):
        from ..comfyui_fgdm.host.inversion import files
        from ..comfyui_fgdm.sampling.inversion import InversionError

        try:
            if inversion_name is not None:  # one that comes by a link is checked when it is there
                files.path_of(inversion_name)
        except InversionError as error:
            return str(error)
        return True

    @classmethod
    def fingerprint_inputs(cls, inversion_name=None):
        from ..comfyui_fgdm.host import folders
        from ..comfyui_fgdm.host.inversion import files

        names = files.names() if inversion_name is None else [inversion_name]
        return folders.fingerprint(map(files.path_of, names))

    @classmethod
    @checked
    def execute(cls, inversion_name) -> io.NodeOutput:
        from ..comfyui_fgdm.host.inversion import files

        return io.NodeOutput(files.load(inversion_name))
