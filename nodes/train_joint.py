"""Fine-tune Together: a trained factor and the hint block of an image factor, which is shown the factor's own maps."""

from __future__ import annotations

from comfy_api.latest import io, ui

from .checks import checked
from .training import (
    course,
    distilling,
    frozen_base,
    mirrored,
    number,
    of_folder,
    peak_rate,
    picture_edge,
    sections,
    training_folder,
)
from .types import CATEGORY, FactorType


class TrainJoint(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host import controlnets

        return io.Schema(
            node_id="FGDM_TrainJoint",
            display_name="Fine-tune Together (FG-DM)",
            category=CATEGORY + "/training",
            description="Trains a factor further together with the hint block of an image factor, which learns to read the maps that "
            "this factor draws (appendix A.2.4 of the paper). Both are written anew; the files they come from stay.",
            search_aliases=["fg-dm", "factor graph", "joint training", "train controlnet", "fine-tune"],
            is_output_node=True,
            inputs=[
                *frozen_base(),
                FactorType.Input("factor", tooltip="The trained factor to go on from."),
                io.Combo.Input("image_factor", options=controlnets.names(), tooltip="The ControlNet or Control-LoRA for the same variable's maps, of models/controlnet or embedded."),
                training_folder("image/NAME.png, the maps of the factor and of its parents, and captions/NAME.txt"),
                number("steps", 2000, 1, 1_000_000, "Training steps.", advanced=False),
                number("batch_size", 2, 1, 256, "Pictures a step. Lower it if memory runs out.", advanced=False),
                peak_rate(1e-5),
                picture_edge(256),
                distilling(),
                io.Boolean.Input("image_gradient", default=True, advanced=True, tooltip="On: the image's loss teaches the factor as well, through the decoded map. Off: it teaches the hint block alone, in less memory."),
                mirrored(),
                *course("Seed of all batches."),
                io.String.Input("filename", default="my-joint-image-factor", tooltip="Name of the image factor's file in models/controlnet. A file that is there stays: the new one gets the next number."),
            ],
            outputs=[
                FactorType.Output("factor", display_name="factor", tooltip="The factor, for Apply Factor, graphs and Save Factor."),
                io.ControlNet.Output("control_net", display_name="control_net", tooltip="The image factor, for Apply ControlNet and Graph Control."),
                io.Image.Output("plot", display_name="loss plot", tooltip="Training and validation loss over the steps: the sum of both factors."),
                io.Image.Output("samples", display_name="samples", tooltip="The last sheet: parents, true map, sampled map, true picture, and the picture sampled under the sampled map."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, folder=None, image_factor=None):
        return True  # both may be written in this very run; the training says what is missing

    @classmethod
    def fingerprint_inputs(cls, folder=None, **_others):
        return of_folder(folder)

    @classmethod
    @checked
    def execute(
        cls, model, clip, vae, factor, image_factor, folder, steps, batch_size, learning_rate, size, distillation,
        image_gradient, flip, without_caption, report_every, seed, start_anew, filename,
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host import controlnets
        from ..comfyui_fgdm.host.models import image_factor as image_factors
        from ..comfyui_fgdm.host.models.factor import factor_of_file
        from ..comfyui_fgdm.host.training import session

        controlnets.check_name(filename)
        info = factor.info
        wanted = sections(
            {
                "trains": "joint", "variable": info.variable, "parents": list(info.parents), "image_gradient": image_gradient,
                "start": str(factor.path), "image_factor": str(controlnets.path_of(image_factor)),
            },
            {"size": size, "flip": flip, "without_caption": without_caption, **({"palette": info.palette} if info.palette else {})},
            {"steps": steps, "batch": batch_size, "lr": learning_rate, "seed": seed},
            report_every,
        )  # fmt: skip
        wanted["distillation"] = {"weight": distillation}
        trained = session.train(model, clip, vae, folder, wanted, start_anew)
        kept = image_factors.keep(trained.image_factor, filename)
        return io.NodeOutput(
            factor_of_file(trained.factor), image_factors.load(kept), trained.plot, trained.samples,
            ui=ui.PreviewImage(trained.samples, cls=cls),
        )  # fmt: skip
