"""The nodes of the pack, one file for each step of a user's work."""

import logging

from comfy_api.latest import ComfyExtension, io

log = logging.getLogger(__name__)


class FGDMExtension(ComfyExtension):
    """Registers the model folders and the tiny model family, and lists the nodes."""

    async def on_load(self) -> None:
        """Never raises: the host would drop every node. What fails is logged, and the nodes that need it say so."""
        for what, step in (
            ("the folders of factors and palettes", _folders),
            ("palettes of your own", _palettes),
            ("the tiny model family", _family),
            ("text in the map editor", _letters),
        ):
            try:
                step()
            except Exception:
                log.exception("FGDM: %s cannot be used:", what)

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        from .apply_factor import ApplyFactor
        from .attend_excite import AttendExcite
        from .best_of_n import BestOfN
        from .candidate_noise import CandidateNoise
        from .choose_map import ChooseMap
        from .compare_maps import CompareMaps
        from .concepts import Concepts
        from .decode_map import DecodeMap
        from .edit_by_text import EditByText
        from .edit_by_words import EditByWords
        from .edit_map import EditMap
        from .finish_map import FinishMap
        from .graph_sampling import GraphControl, GraphGuider, GraphResult
        from .graph_variables import GraphFactor, GraphGiven, GraphImage
        from .inversion_files import LoadInversion, SaveInversion
        from .invert import Invert
        from .judge import Judge
        from .load_embedded import LoadEmbedded, LoadEmbeddedImageFactor
        from .load_factor import LoadFactor
        from .load_pictures import LoadPictures
        from .normals import NormalsFromDepth
        from .objects import Objects
        from .objects_by_model import ObjectsByModel
        from .paste_edited import PasteEdited
        from .regions import DeleteRegion, PasteRegion, TransformRegion
        from .sample_maps import SampleMaps
        from .save_factor import SaveFactor
        from .select_best import SelectBest
        from .train_factor import TrainFactor
        from .train_image_factor import TrainImageFactor
        from .train_joint import TrainJoint
        from .whole_maps import ChangeClass, DrawOnMap
        from .write_examples import WriteExamples

        return [
            LoadEmbedded, LoadEmbeddedImageFactor, LoadFactor, ApplyFactor, Objects, SampleMaps, CandidateNoise, BestOfN, SelectBest, AttendExcite,
            DecodeMap,
            GraphFactor, GraphImage, GraphGiven, GraphControl, GraphGuider, GraphResult,
            ChooseMap, EditMap, EditByWords, TransformRegion, DeleteRegion, PasteRegion, ChangeClass, DrawOnMap, CompareMaps, NormalsFromDepth,
            Invert, Concepts, EditByText, FinishMap, PasteEdited, SaveInversion, LoadInversion,
            Judge, ObjectsByModel,
            LoadPictures, WriteExamples, TrainFactor, SaveFactor, TrainImageFactor, TrainJoint,
        ]  # fmt: skip


def _folders() -> None:
    from ..comfyui_fgdm.host import folders

    folders.register()


def _palettes() -> None:
    from ..comfyui_fgdm.host import own

    own.library()


def _letters() -> None:
    from ..comfyui_fgdm.host import letters

    letters.register()


def _family() -> None:
    from ..comfyui_fgdm.host.models import family

    family.register()
