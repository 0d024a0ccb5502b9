"""Load the family that comes with this pack: its base model, and its image factors."""

from comfy_api.latest import io

from ..comfyui_fgdm.host import folders
from .types import CATEGORY


class LoadEmbedded(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_LoadEmbedded",
            display_name="Load Embedded Model (FG-DM)",
            category=CATEGORY,
            description="Loads the tiny model that comes with this pack, so that its workflows run without a download.",
            search_aliases=["iconworld", "icon world", "tiny model", "load checkpoint", "fg-dm", "example model"],
            inputs=[
                io.Combo.Input(
                    "model_name",
                    options=folders.embedded_names(folders.EMBEDDED_MODELS),
                    tooltip="A model shipped with this pack; its checksum is verified. Checkpoints of your own are "
                    "loaded by Load Checkpoint.",
                )
            ],
            outputs=[
                io.Model.Output(display_name="MODEL", tooltip="Draws pictures of 128 pixels; with a factor, maps."),
                io.Clip.Output(display_name="CLIP", tooltip="Reads prompts, word by word."),
                io.Vae.Output(display_name="VAE", tooltip="Turns latents of this family into pictures and back."),
            ],
        )

    @classmethod
    def validate_inputs(cls, model_name=""):
        return _known(folders.EMBEDDED_MODELS, "model_name", model_name)

    @classmethod
    def execute(cls, model_name) -> io.NodeOutput:
        from ..comfyui_fgdm.host.models import embedded

        return io.NodeOutput(*embedded.load_model(model_name))


class LoadEmbeddedImageFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_LoadEmbeddedImageFactor",
            display_name="Load Embedded Image Factor (FG-DM)",
            category=CATEGORY,
            description="Loads an image factor of the tiny model: the ControlNet that makes a picture follow a map.",
            search_aliases=["iconworld", "icon world", "tiny controlnet", "load controlnet", "fg-dm"],
            inputs=[
                io.Combo.Input(
                    "image_factor_name",
                    options=folders.embedded_names(folders.EMBEDDED_IMAGE_FACTORS),
                    tooltip="Which maps the picture follows: 'image' for segmentation maps, the others name their map. "
                    "Only for Load Embedded Model; ControlNets of your own are loaded by Load ControlNet Model.",
                )
            ],
            outputs=[
                io.ControlNet.Output(display_name="CONTROL_NET", tooltip="For Apply ControlNet and Graph Control.")
            ],
        )

    @classmethod
    def validate_inputs(cls, image_factor_name=""):
        return _known(folders.EMBEDDED_IMAGE_FACTORS, "image_factor_name", image_factor_name)

    @classmethod
    def execute(cls, image_factor_name) -> io.NodeOutput:
        from ..comfyui_fgdm.host.models import embedded

        return io.NodeOutput(embedded.load_image_factor(image_factor_name))


def _known(kind, what, name):
    """Of a name written into the node. One that comes by a link is None here and is checked when it is there."""
    if name is None or name in folders.embedded_names(kind):
        return True
    return folders.not_embedded_message(kind, what, name)
