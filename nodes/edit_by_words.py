"""Edit by Words: plain sentences, read by a grammar and, where the user says so, by a language model."""

from comfy_api.latest import io

from . import editing, inputs
from .checks import checked
from .inputs import OF_THE_FACTOR


class EditByWords(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.host.choices import Asked

        return io.Schema(
            node_id="FGDM_EditByWords",
            display_name="Edit by Words (FG-DM)",
            category=editing.EDITING,
            description="Edits a map by plain English sentences: make the dog twice as large, swap the two people, remove the umbrella, "
            "put the kite left of the tree. A small grammar reads them, which the help page lists; a language model only where you say so.",
            search_aliases=["fg-dm", "instructions", "edit by text", "prompt editing", "move object", "map editor"],
            hidden=[io.Hidden.unique_id],
            inputs=[
                editing.map_input(),
                io.String.Input(
                    "instructions",
                    multiline=True,
                    dynamic_prompts=False,
                    default="make the dog twice as large",
                    tooltip="Sentences, one a line or ended by full stops. One that is not understood stops the run and is named; one about "
                    "something that is not on the map is left out and said.",
                ),
                *editing.reading_inputs(),
                io.Combo.Input(
                    "language_model",
                    options=Asked,
                    default=Asked.NEVER,
                    optional=True,
                    advanced=True,
                    tooltip="Whether to ask the language model that is set up for this server what sentences mean: those that the grammar does "
                    "not understand, or all. They are sent to it, with what is on the map; what it answers has to be a valid recipe.",
                ),
                *inputs.language_model("Seconds that a question to the language model may take."),
            ],
            outputs=[
                *editing.outputs()[:2],
                io.String.Output("recipe", display_name="recipe", tooltip="The same edits as a recipe for Edit Map, made for the first map."),
                editing.outputs()[2],
            ],
        )  # fmt: skip

    @classmethod
    def fingerprint_inputs(cls, language_model="never", **_):
        from ..comfyui_fgdm.host import chat

        return "" if language_model == "never" else chat.fingerprint()

    @classmethod
    @checked
    def execute(
        cls, map, instructions, factor=None, palette=OF_THE_FACTOR, language_model="never", model="", timeout=30.0
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.choices import Asked
        from ..comfyui_fgdm.host.map_operations import Model, by_words

        asked = Model(Asked(language_model), model, timeout)
        outcome, recipe = by_words(editing.opened(map, factor, palette), instructions, asked)
        shown = editing.shown(outcome, cls)
        return io.NodeOutput(*shown.args[:2], recipe, shown.args[2], ui=shown.ui)
