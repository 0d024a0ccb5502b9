"""Attend-and-Excite: a guider that makes a plain base attend to what its prompt names."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .types import CATEGORY


class AttendExcite(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_AttendExcite",
            display_name="Attend-and-Excite Guider (FG-DM)",
            category=CATEGORY,
            description="A guider for SamplerCustomAdvanced: in the first steps it moves the latents until each object of the "
            "prompt is attended to. Needs no factor; a step costs two to four times as much.",
            search_aliases=["fg-dm", "attend and excite", "missing objects", "catastrophic neglect", "attention", "prompt compliance"],
            inputs=[
                io.Model.Input("model", tooltip="A checkpoint of Stable Diffusion 1.x or 2.x, or the embedded model."),
                io.Clip.Input("clip", tooltip="Its text encoder, which says which token is which word."),
                io.Conditioning.Input("positive", tooltip="The prompt, encoded."),
                io.Conditioning.Input("negative", tooltip="The negative prompt, encoded."),
                io.String.Input("text", multiline=True, default="", tooltip="The prompt again, as it was encoded."),
                io.String.Input(
                    "words", default="", tooltip="Words of the prompt that must not be neglected, separated by commas. Empty: all "
                    "objects that the prompt names.",
                ),
                inputs.cfg("Guidance scale: 3 for the tiny family of this pack, 7.5 for Stable Diffusion."),
                io.Float.Input(
                    "size", default=20.0, min=0.0, max=1000.0, step=0.5, round=0.001,
                    tooltip="How far the latents are moved: 20 as published for Stable Diffusion; 0.5 for the embedded model.",
                ),
                io.Float.Input(
                    "until", default=0.5, min=0.0, max=1.0, step=0.05, round=0.001,
                    tooltip="Share of the steps, from the first on, in which the latents are moved.",
                ),
                io.Boolean.Input(
                    "refine", default=True, tooltip="At three steps move on, up to 20 times, until each word reaches a share that is "
                    "named in the paper. Slower.",
                ),
            ],
            outputs=[io.Guider.Output("guider", display_name="guider", tooltip="For SamplerCustomAdvanced; square pictures.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, model, clip, positive, negative, text, words, cfg, size, until, refine) -> io.NodeOutput:
        from ..comfyui_fgdm.host.excite import ExciteGuider, excitement, subjects_of

        subjects = subjects_of(clip, text, words)
        return io.NodeOutput(ExciteGuider(model, positive, negative, cfg, subjects, excitement(size, until, refine)))
