"""Invert: the noise from which a model draws exactly this map or picture, for edits by text."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .types import CATEGORY, InversionType


class Invert(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        import comfy.samplers

        return io.Schema(
            node_id="FGDM_Invert",
            display_name="Invert (FG-DM)",
            category=CATEGORY + "/editing",
            description="Finds the noise from which a model draws exactly this map or picture (edit-friendly DDPM inversion). "
            "Edit by Text replays it with things added or removed. Any model: with a factor for maps, or plain for pictures.",
            search_aliases=["fg-dm", "LEDITS++", "inversion", "edit-friendly DDPM", "unsampler", "noise inversion", "text edit"],
            inputs=[
                io.Model.Input("model", tooltip="The model that the map or picture is of: with a factor for maps (Apply Factor), plain for pictures; with your LoRAs."),
                io.Conditioning.Input("negative", tooltip="The empty prompt, encoded; edits build on it. With Apply ControlNet before it, the picture is inverted under its map."),
                io.Latent.Input("latent", tooltip="The map or picture as a latent: VAE Encode, or what a sampler gave."),
                inputs.seed("Seed of the noise that the inversion starts from. Another seed edits a little differently."),
                io.Int.Input("steps", default=30, min=1, max=1000, tooltip="Steps of the inversion, and of every edit of it."),
                io.Float.Input(
                    "skip", default=0.15, min=0.0, max=0.95, step=0.01, round=0.001,
                    tooltip="Share of the noisiest levels that is left out. Small: large changes become possible. Large: edits stay closer to the map or picture.",
                ),
                io.Combo.Input("scheduler", options=comfy.samplers.KSampler.SCHEDULERS, default="sgm_uniform", tooltip="How the noise levels of the steps are spaced. normal ends at very little noise, which suits 30 steps and more."),
                io.Combo.Input(
                    "order", options=["2", "1"], default="2", advanced=True,
                    tooltip="Of the solver. 2: DPM-Solver++ SDE, as in LEDITS++, good in few steps. 1: DDIM with noise, as in edit-friendly DDPM.",
                ),
                io.Float.Input(
                    "source_cfg", default=3.5, min=0.0, max=30.0, step=0.1, round=0.01, advanced=True,
                    tooltip="Guidance of the source prompt, where 'positive' is connected.",
                ),
                io.Conditioning.Input(
                    "positive", optional=True,
                    tooltip="A prompt that describes the map or picture, encoded. It may help edits, but what is not edited then changes a little. Usually left open.",
                ),
                io.Sigmas.Input("sigmas", optional=True, tooltip="A schedule of your own, falling; then steps, skip and scheduler are not used."),
            ],
            outputs=[InversionType.Output("inversion", display_name="inversion", tooltip="For Edit by Text and Save Inversion.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model, negative, latent, seed, steps, skip, scheduler, order, source_cfg, positive=None, sigmas=None
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.inversion.invert import InvertSettings, invert_latent
        from ..comfyui_fgdm.sampling.inversion import Order

        settings = InvertSettings(steps, scheduler, skip, Order(int(order)), seed, source_cfg)
        return io.NodeOutput(invert_latent(model, negative, latent, settings, positive, sigmas))
