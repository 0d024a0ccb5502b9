"""Objects by a language model: the object list of a prompt, from an endpoint that the server's owner has set up."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .inputs import OF_THE_FACTOR
from .types import CATEGORY, FactorType, ObjectsType


class ObjectsByModel(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.objects.choices import Scope, Shots

        return io.Schema(
            node_id="FGDM_ObjectsByModel",
            display_name="Objects by a Language Model (FG-DM)",
            category=CATEGORY,
            description="Asks a language model which objects a map of the prompt should hold. Off until an OpenAI-compatible "
            "endpoint is set up in the server's environment or settings; without one, or where it fails, reads as Objects does.",
            search_aliases=["fg-dm", "llm", "openai", "ollama", "object list", "objectgpt", "chat"],
            inputs=[
                io.String.Input(
                    "text",
                    multiline=True,
                    dynamic_prompts=False,
                    default="a dog and a bicycle under a tree",
                    tooltip="The prompt. It is sent to the endpoint, if one is set up.",
                ),
                io.Combo.Input(
                    "shots",
                    options=Shots,
                    default=Shots.ZERO,
                    tooltip="Whether the model is shown one example of a caption with its objects.",
                ),
                io.Combo.Input(
                    "scope",
                    options=Scope,
                    default=Scope.NAMED,
                    tooltip="Which objects to list. all the scene may hold: as in the FG-DM paper, also what goes unsaid.",
                ),
                io.Combo.Input(
                    "if_it_fails",
                    options=["read by the table", "stop"],
                    default="read by the table",
                    tooltip="What to do where no endpoint is set up, it is down, too slow, or its answer is no list of classes.",
                ),
                FactorType.Input(
                    "factor",
                    optional=True,
                    tooltip="With a factor, objects are classes of its palette that it was trained to draw.",
                ),
                inputs.palette("Whose classes the objects are. of the factor: those of the factor, COCO without one."),
                io.Boolean.Input(
                    "counts",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="three dogs: a map holds them if it has at least three separate regions of dogs. Off: one is enough.",
                ),
                *inputs.language_model("Seconds that the whole question may take."),
            ],
            hidden=[io.Hidden.unique_id],
            outputs=[
                ObjectsType.Output("objects", display_name="objects", tooltip="For Best of N and Sample Maps."),
                io.String.Output("names", display_name="names", tooltip="The class names, comma separated."),
                io.String.Output(
                    "report", display_name="report", tooltip="Who listed them, what was understood and what not."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_):
        from ..comfyui_fgdm.host import chat, own

        return f"{own.fingerprint()} {chat.fingerprint()}"

    @classmethod
    @checked
    def execute(
        cls, text, shots, scope, if_it_fails, factor=None, palette=OF_THE_FACTOR, counts=True, model="", timeout=30.0
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.asking import Asking
        from ..comfyui_fgdm.host.asking_model import Question, ask_model
        from ..comfyui_fgdm.host.progress import show_text
        from ..comfyui_fgdm.objects import words
        from ..comfyui_fgdm.objects.choices import Scope, Shots

        asking = Asking(palette=inputs.named(palette), counts=counts)
        question = Question(asking, Shots(shots), Scope(scope), model, timeout, if_it_fails == "stop")
        query, who = ask_model(text, factor, question)
        summary, report = words.summary(query), f"{who}\n{words.describe(query)}"
        show_text(f"{summary}\n{who}", cls)
        return io.NodeOutput(query, query.text, report, ui={"text": (f"{summary}\n{report}",)})
