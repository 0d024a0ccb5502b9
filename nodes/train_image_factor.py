"""Train Image Factor: a ControlNet for the user's own model, from a folder of pictures, their maps and captions."""

from __future__ import annotations

from comfy_api.latest import io, ui

from .checks import checked
from .training import (
    course,
    frozen_base,
    mirrored,
    number,
    of_folder,
    peak_rate,
    picture_edge,
    sections,
    training_folder,
)
from .types import CATEGORY

NEW = "a new one"


class TrainImageFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host import controlnets
        from ..comfyui_fgdm.maps import kinds

        return io.Schema(
            node_id="FGDM_TrainImageFactor",
            display_name="Train Image Factor (FG-DM)",
            category=CATEGORY + "/training",
            description="Trains an image factor on a frozen base: the ControlNet by which a picture follows a map, whole or as a "
            "Control-LoRA. It is put into models/controlnet and used by core's nodes. An interrupted training goes on.",
            search_aliases=["fg-dm", "factor graph", "train controlnet", "control-lora", "fine-tune"],
            is_output_node=True,
            inputs=[
                *frozen_base(),
                training_folder("image/NAME.png, segmentation/NAME.png (or another variable's maps) and captions/NAME.txt"),
                io.Combo.Input("variable", options=list(kinds.names()), default="segmentation", tooltip="Whose maps the picture follows."),
                io.Combo.Input(
                    "start", options=[NEW, *controlnets.names()], default=NEW, tooltip="A new image factor, that begins as the base's own "
                    "encoder; or one of models/controlnet that is trained further.",
                ),
                number("steps", 5000, 1, 1_000_000, "Training steps. A ControlNet follows its maps after some thousands.", advanced=False),
                number("batch_size", 4, 1, 256, "Pictures a step. Lower it if memory runs out.", advanced=False),
                peak_rate(1e-5),
                picture_edge(512),
                number("rank", 0, 0, 256, "0: a whole ControlNet. More: a Control-LoRA of that rank, which takes less memory and disk.", advanced=False),
                io.String.Input("palette", default="auto", advanced=True, tooltip="Palette of label maps: the name of one, or auto: that of a published data set, else coco183. For other maps it is not used."),
                number("worn", 0.5, 0.0, 1.0, "Share of the maps that are shown as sampled ones look: soft, noisy, or with void at borders.", 0.05),
                number("caption_dropout", 0.3, 0.0, 1.0, "Share of the pictures that are learned without their caption, from the map alone.", 0.05),
                mirrored(),
                *course("Seed of the first weights and of all batches."),
                io.String.Input("filename", default="my-image-factor", tooltip="Name of the file in models/controlnet. A file that is there stays: the new one gets the next number."),
            ],
            outputs=[
                io.ControlNet.Output("control_net", display_name="control_net", tooltip="The trained image factor, for Apply ControlNet and Graph Control."),
                io.Image.Output("plot", display_name="loss plot", tooltip="Training and validation loss over the steps."),
                io.Image.Output("samples", display_name="samples", tooltip="The last sheet: map, truth and sample of held-out pictures, row by row."),
                io.Combo.Output("image_factor", display_name="image_factor", tooltip="The name by which Load ControlNet Model and Fine-tune Together list it."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, folder=None):
        return True  # a folder may be written in this very run; the training says what is missing

    @classmethod
    def fingerprint_inputs(cls, folder=None, **_others):
        return of_folder(folder)

    @classmethod
    @checked
    def execute(
        cls, model, clip, vae, folder, variable, start, steps, batch_size, learning_rate, size, rank, palette, worn,
        caption_dropout, flip, without_caption, report_every, seed, start_anew, filename,
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host import controlnets
        from ..comfyui_fgdm.host.models import image_factor
        from ..comfyui_fgdm.host.training import session

        factor = {"trains": "image_factor", "variable": variable, "rank": rank, "worn": worn}
        if start != NEW:
            factor["start"] = str(controlnets.path_of(start))
        wanted = sections(
            factor,
            {"size": size, "palette": palette, "flip": flip, "without_caption": without_caption},
            {
                "steps": steps,
                "batch": batch_size,
                "lr": learning_rate,
                "seed": seed,
                "caption_dropout": caption_dropout,
            },
            report_every,
        )
        controlnets.check_name(filename)
        trained = session.train(model, clip, vae, folder, wanted, start_anew)
        kept = image_factor.keep(trained.image_factor, filename)
        return io.NodeOutput(
            image_factor.load(kept),
            trained.plot,
            trained.samples,
            kept.name,
            ui=ui.PreviewImage(trained.samples, cls=cls),
        )
