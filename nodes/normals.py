"""Normals from Depth: the normal map that belongs to a depth map, for one that was edited."""

from comfy_api.latest import io

from .checks import checked
from .editing import EDITING


class NormalsFromDepth(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="FGDM_NormalsFromDepth",
            display_name="Normals from Depth (FG-DM)",
            category=EDITING,
            description="Makes the normal map that belongs to a depth map, such as one that was edited: red faces left, green up, blue the "
            "viewer, as the normal ControlNet of Stable Diffusion 1.5 expects. Edges of objects stay sharp.",
            search_aliases=["fg-dm", "depth to normal", "normal map", "normalbae", "bump map"],
            inputs=[
                io.Image.Input("depth", tooltip="Depth maps: near is bright. Of a batch, each one."),
                io.Float.Input(
                    "relief",
                    default=1.0,
                    min=0.0,
                    max=100.0,
                    step=0.05,
                    round=0.001,
                    tooltip="How high the whole range from farthest to nearest is, in shorter sides of the picture. Depth maps do not say it; more makes slopes steeper.",
                ),
                io.Int.Input(
                    "radius",
                    default=0,
                    min=0,
                    max=64,
                    advanced=True,
                    tooltip="Slopes are measured over this many pixels on each side; larger is smoother. 0: what suits the size of the map.",
                ),
                io.Image.Input(
                    "normal",
                    optional=True,
                    tooltip="The normal map before the edit; it stays as it is where the depth is not changed. Connect changed as well.",
                ),
                io.Mask.Input("changed", optional=True, tooltip="Where the depth was edited: the output changed of Edit Map."),
            ],
            outputs=[io.Image.Output("normal", display_name="normal", tooltip="The normal maps.")],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(cls, depth, relief, radius=0, normal=None, changed=None) -> io.NodeOutput:
        from ..comfyui_fgdm.host.normals import follow

        return io.NodeOutput(follow(depth, relief, radius, normal, changed))
