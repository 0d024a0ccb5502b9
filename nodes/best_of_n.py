"""Best of N: of a batch of maps, those that hold most of the wanted objects."""

from comfy_api.latest import io, ui

from .checks import checked
from .types import CATEGORY, FactorType, ObjectsType


class BestOfN(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_BestOfN",
            display_name="Best of N by Recall (FG-DM)",
            category=CATEGORY,
            description="Scores segmentation maps by object recall, the share of the wanted objects that a map holds, "
            "and keeps the best.",
            search_aliases=[
                "fg-dm",
                "object recall",
                "pick best",
                "rank maps",
                "prompt compliance",
                "missing objects",
                "variations",
            ],  # fmt: skip
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("maps", tooltip="The candidate maps, one batch."),
                ObjectsType.Input("objects", tooltip="The wanted objects, from Objects."),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="The factor that drew the maps; only its classes are then considered.",
                ),
                io.Int.Input("keep", default=1, min=1, max=64, tooltip="How many maps to keep, best first."),
                io.Int.Input(
                    "seed",
                    optional=True,
                    default=0,
                    min=0,
                    max=0xFFFFFFFFFFFFFFFF,
                    force_input=True,
                    tooltip="Seed of the first map, if map k was made from seed + k: the seeds are then reported.",
                ),
                io.Float.Input(
                    "min_area",
                    default=0.001,
                    min=0.0,
                    max=1.0,
                    step=0.0005,
                    round=0.00001,
                    advanced=True,
                    tooltip="Share of the map an object must cover to count as present.",
                ),
                io.Int.Input(
                    "erode",
                    default=1,
                    min=0,
                    max=8,
                    advanced=True,
                    tooltip="Pixels taken off every region before it is measured, so that specks and seams between "
                    "colours do not count as objects.",
                ),
            ],
            outputs=[
                io.Image.Output(
                    "best", display_name="best maps", tooltip="The kept maps, best first, as they came in."
                ),
                io.Image.Output("chart", display_name="chart", tooltip="All maps, best first, with what each lacks."),
                io.Float.Output("recall", display_name="recall", tooltip="Recall of the best map, 0 to 1."),
                io.Int.Output("index", display_name="index", tooltip="Place of the best map in the batch, from 0."),
                io.String.Output("json", display_name="json", tooltip="All scores as JSON."),
                io.Image.Output("table", display_name="table", tooltip="The scores of all maps as a table."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, maps, objects, keep, min_area, erode, factor=None, seed=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.progress import show_text
        from ..comfyui_fgdm.host.reports import score_maps

        result = score_maps(maps, objects, factor, seed=seed, keep=keep, min_area=min_area, erode=erode)
        show_text(result.summary, cls)
        return io.NodeOutput(
            maps[result.best],
            result.chart,
            result.recall,
            result.best[0],
            result.json,
            result.table,
            ui=ui.PreviewImage(result.chart, cls=cls),
        )
