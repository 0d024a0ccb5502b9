"""Candidate noise: a NOISE whose batch item k is what seed + k alone would give."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .types import CATEGORY


class CandidateNoise(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_CandidateNoise",
            display_name="Candidate Noise (FG-DM)",
            category=CATEGORY,
            description="Noise for SamplerCustomAdvanced in which every item of the batch has its own seed, so that "
            "each candidate of a search can be made again alone.",
            search_aliases=["batch seed", "per item noise", "reproducible batch", "variations"],
            inputs=[
                inputs.seed(
                    "Seed of the first candidate; candidate k has the noise of seed + k. Control increment goes on by 1, so "
                    "all candidates but one come again: for new ones choose randomize, or add the size of the batch."
                )
            ],
            outputs=[io.Noise.Output("noise", display_name="noise", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    @checked
    def execute(cls, seed) -> io.NodeOutput:
        from ..comfyui_fgdm.host.candidates import CandidateNoise as Noise

        return io.NodeOutput(Noise(seed))
