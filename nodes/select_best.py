"""Select Best by Scores: of any batch of pictures, those that score best, wherever the scores come from."""

from comfy_api.latest import io, ui

from .checks import checked
from .types import CATEGORY


class SelectBest(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_SelectBest",
            display_name="Select Best by Scores (FG-DM)",
            category=CATEGORY,
            description="Of any batch of pictures keeps those with the best scores: numbers of your own, the output of a "
            "scorer, or what core's detectors found. Best of N without a factor.",
            search_aliases=["fg-dm", "best of n", "pick best", "rank images", "selector", "batch", "clip score", "detections"],
            is_output_node=True,
            is_input_list=True,  # scores may come one by one, as a list of the host's
            inputs=[
                io.Image.Input("images", tooltip="The pictures to choose from, all of one size."),
                io.Int.Input("keep", default=1, min=1, max=4096, tooltip="How many pictures to keep, best first."),
                io.Combo.Input(
                    "best", options=["highest", "lowest"], default="highest", tooltip="Which scores are the good ones.",
                ),
                io.String.Input(
                    "text", default="", tooltip="Scores typed in, one for each picture: 0.5, 0.75, 0.2. Used where nothing is "
                    "connected to 'scores'.",
                ),
                io.String.Input(
                    "wanted", default="", tooltip="For detections: what is to be found, as the detector calls it, separated by "
                    "commas. A picture's score is the share of these that is on it.",
                ),
                io.AnyType.Input(
                    "scores", optional=True, tooltip="One score for each picture: a list of numbers, JSON text (that of Best of N "
                    "too), or the bounding boxes of RT-DETR or SAM 3.",
                ),
            ],
            outputs=[
                io.Image.Output("images", display_name="best images", tooltip="The kept pictures, best first."),
                io.Image.Output("sheet", display_name="sheet", tooltip="All pictures, best first, with place and score."),
                io.Float.Output("score", display_name="score", tooltip="Score of the best picture."),
                io.Int.Output("index", display_name="index", tooltip="Place of the best picture, from 0."),
                io.String.Output("json", display_name="json", tooltip="All scores and ranks as JSON."),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, images, keep, best, text, wanted, scores=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.selection import select

        found = select(images, scores or text, wanted[0], keep[0], best[0] == "lowest")
        return io.NodeOutput(
            found.images, found.sheet, found.score, found.index, found.json, ui=ui.PreviewImage(found.sheet, cls=cls)
        )
