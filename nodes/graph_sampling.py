"""Factor graph nodes: control nets between variables, the guider that samples a graph, and its results."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .types import CATEGORY, GraphType


class GraphControl(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.maps.conversion import Shown

        return io.Schema(
            node_id="FGDM_GraphControl",
            display_name="Graph Control (FG-DM)",
            category=f"{CATEGORY}/graph",
            description="Links two variables of a factor graph by a control net: one sees the picture of the other while "
            "both are sampled. Several may be chained.",
            search_aliases=["fg-dm", "factor graph", "controlnet", "T2I-Adapter"],
            inputs=[
                GraphType.Input("graph", tooltip="The graph with both variables."),
                io.ControlNet.Input("control_net", tooltip="A control net or T2I adapter for the model of variable."),
                io.String.Input("variable", default="image", tooltip="Name of the variable that is controlled."),
                io.String.Input("shows", default="segmentation", tooltip="Name of the variable that it is shown."),
                io.Float.Input(
                    "strength", default=1.0, min=0.0, max=10.0, step=0.01, tooltip="Strength, as in Apply ControlNet."
                ),
                *inputs.percent_range("the control net"),
                io.Combo.Input(
                    "colours",
                    options=Shown,
                    default=Shown.CLEAN,
                    optional=True,
                    tooltip="How maps with classes are shown. clean: a sampled map in exact class colours, without specks; a "
                    "given one as it is. as drawn: as the VAE decodes it. ADE20K: clean, in the colours that stock "
                    "segmentation ControlNets know. Maps without classes are shown as drawn.",
                ),
            ],
            outputs=[GraphType.Output("graph", display_name="graph", tooltip="The graph with this link.")],
        )

    @classmethod
    @checked
    def execute(
        cls, graph, control_net, variable, shows, strength, start_percent, end_percent, colours="clean"
    ) -> io.NodeOutput:
        from ..comfyui_fgdm.host.graph.variables import Control
        from ..comfyui_fgdm.maps.conversion import Shown

        link = Control(control_net, shows, strength, start_percent, end_percent, Shown(colours))
        return io.NodeOutput(graph.link(variable, link))


class GraphGuider(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        from ..comfyui_fgdm.sampling.graph import Mode, View

        return io.Schema(
            node_id="FGDM_GraphGuider",
            display_name="Graph Guider (FG-DM)",
            category=f"{CATEGORY}/graph",
            description="What SamplerCustomAdvanced needs to sample a factor graph: guider, noise and latent. Any sampler "
            "and scheduler may drive it.",
            search_aliases=["fg-dm", "factor graph", "joint sampling", "sequential sampling"],
            inputs=[
                GraphType.Input("graph", tooltip="The graph with all its variables."),
                io.Combo.Input(
                    "mode",
                    options=Mode,
                    default=Mode.JOINT,
                    tooltip="joint: at every step all variables advance, parents first, each seeing what its parents just "
                    "became. sequential: each variable is sampled to its end before the next begins.",
                ),
                io.Vae.Input(
                    "vae",
                    optional=True,
                    tooltip="The VAE of the model; it makes the pictures that control nets see. A fast one of Load VAE, "
                    "such as taesd, saves time in joint runs, which decode at every refresh.",
                ),
                io.Combo.Input(
                    "parents_seen_as",
                    options=View,
                    default=View.NEXT,
                    advanced=True,
                    tooltip="Joint runs: what a factor reads of a parent in the making. next latent: its latent one step "
                    "on, as in the paper. predicted x0: the clean map as far as it can be told yet.",
                ),
                io.Int.Input(
                    "refresh",
                    default=1,
                    min=1,
                    max=1000,
                    advanced=True,
                    tooltip="Joint runs: control nets see their parent decoded anew every so many steps; 1 follows it "
                    "closest and decodes most often.",
                ),
            ],
            outputs=[
                io.Guider.Output("guider", display_name="guider", tooltip="For SamplerCustomAdvanced."),
                io.Noise.Output("noise", display_name="noise", tooltip="The noise of all variables, from their seeds."),
                io.Latent.Output("latent", display_name="latent", tooltip="The starts of all variables together."),
            ],
        )

    @classmethod
    @checked
    def execute(cls, graph, mode, vae=None, parents_seen_as="next latent", refresh=1) -> io.NodeOutput:
        from ..comfyui_fgdm.host.graph.joint import GraphSettings, make_guider
        from ..comfyui_fgdm.host.graph.variables import GraphNoise, start_latent
        from ..comfyui_fgdm.sampling.graph import Mode, View

        guider = make_guider(graph, vae, Mode(mode), GraphSettings(View(parents_seen_as), refresh))
        return io.NodeOutput(guider, GraphNoise(graph), start_latent(graph))


class GraphResult(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_GraphResult",
            display_name="Graph Result (FG-DM)",
            category=f"{CATEGORY}/graph",
            description="Takes one variable out of what a factor graph was sampled to.",
            search_aliases=["fg-dm", "factor graph", "split latent"],
            inputs=[
                GraphType.Input("graph", tooltip="The graph that was sampled."),
                io.Latent.Input("latent", lazy=True, tooltip="The output of SamplerCustomAdvanced."),
                io.String.Input("variable", default="image", tooltip="Name of the variable."),
            ],
            outputs=[io.Latent.Output("latent", display_name="latent", tooltip="The latent of that variable alone.")],
        )

    @classmethod
    @checked(packs=["latent"])
    def check_lazy_status(cls, graph, variable, latent=None):
        """Which inputs are still needed: a name that is not in the graph is refused before the graph is sampled for it."""
        from ..comfyui_fgdm.host.graph.variables import needs_run

        return ["latent"] if latent is None and needs_run(graph, variable) else []

    @classmethod
    @checked(packs=["latent"])
    def execute(cls, graph, variable, latent=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.graph.variables import result

        return io.NodeOutput(result(latent, graph, variable))
