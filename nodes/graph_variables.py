"""Factor graph nodes: add a variable, a control net, or something known to a graph."""

from comfy_api.latest import io

from . import inputs
from .checks import checked
from .types import CATEGORY, FactorType, GraphType


def common_inputs(name: str, name_tooltip: str) -> list:
    """Inputs that every sampled variable has after its model."""
    return [
        io.Conditioning.Input("positive", tooltip="The prompt of this variable, encoded."),
        io.Conditioning.Input("negative", tooltip="The negative prompt of this variable, encoded."),
        io.Latent.Input(
            "latent",
            tooltip="Size and batch: an Empty Latent Image. Or where to start from: a picture or map through VAE Encode, "
            "perhaps with a mask. All variables of a graph need the same batch, not the same size.",
        ),
        inputs.seed("Seed of the noise of this variable, as in KSampler."),
        inputs.cfg("Guidance scale of this variable."),
        io.Float.Input(
            "denoise",
            default=1.0,
            min=0.0,
            max=1.0,
            step=0.01,
            tooltip="1: from noise alone. Less: keeps what is in latent, the more the lower it is.",
        ),
        GraphType.Input("graph", optional=True, tooltip="The graph so far; leave open to start one."),
        io.Sampler.Input(
            "sampler",
            optional=True,
            tooltip="A sampler for this variable alone. Only sequential runs use it; joint runs have one for all.",
        ),
        io.Sigmas.Input(
            "sigmas",
            optional=True,
            tooltip="Noise levels (scheduler and steps) for this variable alone. Only sequential runs use them.",
        ),
        io.String.Input("name", default=name, advanced=True, tooltip=name_tooltip),
    ]


OUTPUT = "The graph with this variable."


class GraphFactor(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_GraphFactor",
            display_name="Factor Variable (FG-DM)",
            category=f"{CATEGORY}/graph",
            description="Adds a condition variable (segmentation, depth, normal, sketch, pose) to a factor graph: the base "
            "model with a factor. What it is conditioned on stands in the factor file and has to be in the graph too.",
            search_aliases=["fg-dm", "factor graph", "joint sampling", "condition map", "depth", "semantic"],
            inputs=[
                io.Model.Input("model", tooltip="The plain base model; the factor is applied to it inside."),
                FactorType.Input("factor", tooltip="The factor from Load Factor."),
                *common_inputs("", "Name of the variable; empty: what the factor draws, for example segmentation."),
                io.Float.Input(
                    "strength",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.01,
                    advanced=True,
                    tooltip="How strongly the factor acts: 1 as trained.",
                ),
            ],
            outputs=[GraphType.Output("graph", display_name="graph", tooltip=OUTPUT)],
        )

    @classmethod
    @checked
    def execute(cls, model, factor, name="", strength=1.0, graph=None, **fields) -> io.NodeOutput:
        from ..comfyui_fgdm.host.graph.variables import Graph, Sampled

        node = Sampled(name or factor.info.variable, model, factor=factor, strength=strength, **fields)
        return io.NodeOutput((graph or Graph()).add(node))


class GraphImage(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_GraphImage",
            display_name="Image Variable (FG-DM)",
            category=f"{CATEGORY}/graph",
            description="Adds the image to a factor graph: the plain model. Add Graph Control for each condition that its "
            "control nets are to show it.",
            search_aliases=["fg-dm", "factor graph", "joint sampling"],
            inputs=[
                io.Model.Input("model", tooltip="The model that makes the image, with LoRAs if wanted."),
                *common_inputs("image", "Name of the variable."),
            ],
            outputs=[GraphType.Output("graph", display_name="graph", tooltip=OUTPUT)],
        )

    @classmethod
    @checked
    def execute(cls, model, name="image", graph=None, **fields) -> io.NodeOutput:
        from ..comfyui_fgdm.host.graph.variables import Graph, Sampled

        return io.NodeOutput((graph or Graph()).add(Sampled(name, model, **fields)))


class GraphGiven(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_GraphGiven",
            display_name="Given Variable (FG-DM)",
            category=f"{CATEGORY}/graph",
            description="Adds a condition of your own to a factor graph: a map that is known and not sampled.",
            search_aliases=["fg-dm", "factor graph", "own map", "composition", "layout"],
            inputs=[
                io.String.Input("name", default="segmentation", tooltip="Name of the variable that this is."),
                io.Image.Input("image", optional=True, tooltip="The map as a picture; control nets see it as it is."),
                io.Latent.Input("latent", optional=True, tooltip="The map as a latent, for factors that depend on it."),
                GraphType.Input("graph", optional=True, tooltip="The graph so far; leave open to start one."),
            ],
            outputs=[GraphType.Output("graph", display_name="graph", tooltip=OUTPUT)],
        )

    @classmethod
    @checked
    def execute(cls, name, image=None, latent=None, graph=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.graph.variables import Given, Graph

        if image is None and latent is None:
            raise ValueError(
                f"image, latent: nothing is connected that says what {name!r} is. Connect the map as a picture, as a latent, "
                "or both."
            )
        known = {} if latent is None else latent
        return io.NodeOutput((graph or Graph()).add(Given(name, known.get("samples"), image, known)))
