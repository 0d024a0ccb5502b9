"""Objects: which classes of the palette a text asks for."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .inputs import OF_THE_FACTOR
from .types import CATEGORY, FactorType, ObjectsType


class Objects(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.objects.choices import Denied

        return io.Schema(
            node_id="FGDM_Objects",
            display_name="Objects (FG-DM)",
            category=CATEGORY,
            description="Finds the objects that a map of a prompt should hold: from the prompt itself, or from a list.",
            search_aliases=["fg-dm", "object list", "object recall", "nouns of a prompt", "missing objects"],
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a dog and a bicycle under a tree",
                    tooltip="The prompt, or a list of objects separated by commas, semicolons or lines: 'dog, bicycle and "
                    "tree, no people'. Plurals, common synonyms, emphasis and denials are understood.",
                ),
                io.Combo.Input(
                    "mode",
                    options=["auto", "prompt", "list"],
                    default="auto",
                    tooltip="How to read the text. auto: as a list if it looks like one, else as a prompt. Only a list "
                    "counts vague words such as light or wood, where they stand alone.",
                ),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="With a factor, objects are classes of its palette, and those that it was not trained to "
                    "draw are left out and reported.",
                ),
                inputs.palette(
                    "Whose classes the objects are. of the factor: those of the factor, COCO without one. Maps of "
                    "faces (celebamask19) have attributes such as bald."
                ),
                io.Boolean.Input(
                    "counts",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="three dogs: a map holds them if it has at least three separate regions of dogs; two that "
                    "touch are one. Off: one is enough, as the FG-DM paper counts.",
                ),
                io.Combo.Input(
                    "denied",
                    options=Denied,
                    default=Denied.LEFT_OUT,
                    optional=True,
                    advanced=True,
                    tooltip="What becomes of things that the text denies (no people, without cars). left out: they are not "
                    "looked for. must be absent: a map is better if it has none.",
                ),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                ObjectsType.Output("objects", display_name="objects", tooltip="For Best of N and Sample Maps."),
                io.String.Output("names", display_name="names", tooltip="The matched class names, comma separated."),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="What was matched, left out, and why, and words without a class.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_):
        from ..comfyui_fgdm.host import own

        return own.fingerprint()  # of palettes that a user may edit

    @classmethod
    @checked
    def execute(cls, text, mode, factor=None, palette=OF_THE_FACTOR, counts=True, denied="left out") -> io.NodeOutput:
        from ..comfyui_fgdm.host.asking import Asking, ask
        from ..comfyui_fgdm.host.progress import show_text
        from ..comfyui_fgdm.objects import words
        from ..comfyui_fgdm.objects.choices import Denied

        told = inputs.named(palette)
        query = ask(text, factor, Asking(mode, told, counts, Denied(denied)))
        report, summary = words.describe(query), words.summary(query)
        show_text(summary, cls)
        return io.NodeOutput(query, query.text, report, ui={"text": (f"{summary}\n{report}",)})
