"""The nodes of the pack, one file for each step of a user's work."""

from comfy_api.latest import ComfyExtension, io


class FGDMExtension(ComfyExtension):
    """Registers the model folders and the tiny model family, and lists the nodes."""

    async def on_load(self) -> None:
        from ..comfyui_fgdm.host import folders, own
        from ..comfyui_fgdm.host.models import family

        folders.register()
        own.library()
        family.register()

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from .apply_factor import ApplyFactor
        from .best_of_n import BestOfN
        from .candidate_noise import CandidateNoise
        from .decode_map import DecodeMap
        from .graph_sampling import GraphControl, GraphGuider, GraphResult
        from .graph_variables import GraphFactor, GraphGiven, GraphImage
        from .load_embedded import LoadEmbedded, LoadEmbeddedImageFactor
        from .load_factor import LoadFactor
        from .objects import Objects
        from .sample_maps import SampleMaps

        return [
            LoadEmbedded, LoadEmbeddedImageFactor, LoadFactor, ApplyFactor, Objects, SampleMaps, CandidateNoise, BestOfN, DecodeMap,
            GraphFactor, GraphImage, GraphGiven, GraphControl, GraphGuider, GraphResult,
        ]  # fmt: skip
