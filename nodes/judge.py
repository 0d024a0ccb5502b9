"""Judge Image: which objects a finished picture holds, by a judge that had no part in choosing its map."""

from comfy_api.latest import io, ui

from . import inputs
from .checks import checked
from .types import CATEGORY, ObjectsType

OF_THE_OBJECTS = "of the objects"


class Judge(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host.choices import By
        from ..comfyui_fgdm.objects.choices import Pairs

        return io.Schema(
            node_id="FGDM_Judge",
            display_name="Judge Image (FG-DM)",
            category=CATEGORY,
            description="Object recall of finished pictures, by a detector's boxes or a segmentation of them, side by side "
            "with what the search promised. Objects that the judge does not know are left out and named.",
            search_aliases=[
                "fg-dm",
                "object recall",
                "evaluate",
                "verify picture",
                "detections",
                "rt-detr",
                "score images",
            ],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Image.Input("image", tooltip="The finished pictures, one batch."),
                ObjectsType.Input(
                    "objects", tooltip="The wanted objects, from Objects: the same as the maps were chosen by."
                ),
                io.Combo.Input(
                    "judge",
                    options=By,
                    default=By.BOXES,
                    tooltip="Who judges. boxes: a detector, such as core's Run Real-Time Detection (RT-DETR). segmentation: a "
                    "map of the picture in the colours of a palette. embedded judge: reads pictures of the tiny family only.",
                ),
                io.BoundingBox.Input(
                    "boxes",
                    optional=True,
                    force_input=True,
                    tooltip="Boxes with labels and scores that a detector found in the pictures, one list a picture.",
                ),
                io.Image.Input(
                    "segmentation",
                    optional=True,
                    tooltip="Segmentations of the pictures, as a segmenter draws them: one each, in any size. Not the maps "
                    "that the pictures were made from: those say nothing about the pictures.",
                ),
                io.String.Input(
                    "selector",
                    optional=True,
                    force_input=True,
                    tooltip="The json of Best of N or Sample Maps: what was found on the maps is then put beside what is "
                    "found in the pictures.",
                ),
                io.Combo.Input(
                    "pairs",
                    options=Pairs,
                    default=Pairs.BEST_FIRST,
                    optional=True,
                    tooltip="Which map each picture was made from. best first: the k-th picture from the k-th best map, as "
                    "Best of N gives them. all, in order: from the k-th map of the batch.",
                ),
                inputs.palette(
                    "Which palette the segmentation is in: ade20k150 for common segmenters. Objects are looked for "
                    "under what their classes are there.",
                    OF_THE_OBJECTS,
                ),
                io.String.Input(
                    "classes",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="All that the detector can find, with commas. Empty: the 80 classes of COCO, as RT-DETR knows them. "
                    "One class: boxes without labels are of it, such as those of SAM 3, asked for one thing.",
                ),
                io.Float.Input(
                    "threshold",
                    default=0.5,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="Boxes with a lower score than this do not count.",
                ),
                io.String.Input(
                    "judge_name",
                    default="",
                    optional=True,
                    advanced=True,
                    tooltip="What the detector or segmenter is called, for the report. If the selector goes by the same name, "
                    "the report says that they are the same model, and so no check on each other.",
                ),
            ],
            outputs=[
                io.Float.Output("recall", display_name="recall", tooltip="Mean recall of the pictures, 0 to 1."),
                io.Image.Output(
                    "table", display_name="table", tooltip="Map and picture side by side, object by object."
                ),
                io.String.Output("json", display_name="json", tooltip="All of it as JSON."),
                io.Float.Output(
                    "recalls", display_name="recalls", is_output_list=True, tooltip="Recall of each picture, as a list."
                ),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls, image, objects, judge, boxes=None, segmentation=None, selector=None, pairs="best first", palette=OF_THE_OBJECTS,
        classes="", threshold=0.5, judge_name="",
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host.choices import By
        from ..comfyui_fgdm.host.judging import Judging, judge_image
        from ..comfyui_fgdm.host.progress import show_text
        from ..comfyui_fgdm.objects.choices import Pairs

        told = inputs.named(palette, OF_THE_OBJECTS)
        judging = Judging(By(judge), told, classes, threshold, judge_name, Pairs(pairs))
        found = judge_image(image, objects, judging, boxes, segmentation, selector)
        show_text(found.summary, cls)
        return io.NodeOutput(
            found.recall, found.table, found.json, found.recalls, ui=ui.PreviewImage(found.table, cls=cls)
        )
