"""Train Factor: a new factor for the user's own model, from a folder of maps and captions."""

from __future__ import annotations

from comfy_api.latest import io, ui

from .checks import checked
from .training import (
    course,
    distilling,
    frozen_base,
    mirrored,
    names_in,
    number,
    of_folder,
    peak_rate,
    picture_edge,
    sections,
    training_folder,
)
from .types import CATEGORY, FactorType

ADAPTER, SCRATCH = "adapter", "scratch"
TRAINS = {ADAPTER: "factor", SCRATCH: "scratch"}


class TrainFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.maps import kinds

        return io.Schema(
            node_id="FGDM_TrainFactor",
            display_name="Train Factor (FG-DM)",
            category=CATEGORY + "/training",
            description="Trains a condition factor on a frozen base: from pictures of maps and captions in a folder of the "
            "input directory, to a factor that can be sampled in the same graph. An interrupted training goes on.",
            search_aliases=["fg-dm", "factor graph", "train adapter", "fine-tune", "depth map", "normal map", "sketch", "pose"],
            is_output_node=True,
            inputs=[
                *frozen_base(),
                training_folder("segmentation/NAME.png (or another variable's maps) and captions/NAME.txt"),
                io.Combo.Input("variable", options=list(kinds.names()), default="segmentation", tooltip="What the factor draws."),
                io.String.Input(
                    "parents", default="", tooltip="Variables that it depends on, separated by commas, e.g. segmentation. Empty: "
                    "the prompt alone. The folder has to hold their maps as well.",
                ),
                number("steps", 2000, 1, 1_000_000, "Training steps. More are better until the validation loss stops falling.", advanced=False),
                number("batch_size", 4, 1, 256, "Pictures a step. Lower it if memory runs out.", advanced=False),
                peak_rate(1e-4),
                picture_edge(256),
                number("rank", 0, 0, 256, "Rank of low-rank changes of the base in the factor file; 0: an adapter alone."),
                io.String.Input("palette", default="auto", advanced=True, tooltip="Palette of label maps: the name of one, or auto: that of a published data set, else coco183."),
                distilling(),
                mirrored(),
                *course("Seed of the first weights and of all batches."),
                io.Combo.Input(
                    "network", options=[ADAPTER, SCRATCH], default=ADAPTER, optional=True, advanced=True, tooltip="adapter: small, on the "
                    "base's own UNet. scratch: a small UNet of its own that reads its parents' latents beside the noise; no rank, no distillation.",
                ),
                number("width", 64, 64, 1024, "Channels of the first level of a network from scratch, twice as many below.", 32, optional=True),
            ],
            outputs=[
                FactorType.Output("factor", display_name="factor", tooltip="The trained factor, for Apply Factor and Sample Maps."),
                io.Image.Output("plot", display_name="loss plot", tooltip="Training and validation loss over the steps."),
                io.Image.Output("samples", display_name="samples", tooltip="The last sheet: parents, truth and sample of held-out pictures, row by row."),
                io.String.Output("file", display_name="file", tooltip="Where the factor file lies; copy it to models/fgdm_factors."),
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
        cls, model, clip, vae, folder, variable, parents, steps, batch_size, learning_rate, size, rank, palette,
        distillation, flip, without_caption, report_every, seed, start_anew, network=ADAPTER, width=64,
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host.models.factor import factor_of_file
        from ..comfyui_fgdm.host.training import session

        own = {"width": width} if network == SCRATCH else {}
        wanted = sections(
            {"trains": TRAINS[network], "variable": variable, "parents": names_in(parents), "rank": rank, **own},
            {"size": size, "palette": palette, "flip": flip, "without_caption": without_caption},
            {"steps": steps, "batch": batch_size, "lr": learning_rate, "seed": seed},
            report_every,
        )
        wanted["distillation"] = {"weight": distillation}
        trained = session.train(model, clip, vae, folder, wanted, start_anew)
        factor = factor_of_file(trained.factor)
        return io.NodeOutput(
            factor, trained.plot, trained.samples, str(trained.factor), ui=ui.PreviewImage(trained.samples, cls=cls)
        )
