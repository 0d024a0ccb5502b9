"""Sample maps: candidates, scores and the best map in one node, for the common case."""

from comfy_api.latest import io, ui

from . import inputs
from .checks import checked
from .types import CATEGORY, FactorType, ObjectsType


class SampleMaps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        import comfy.samplers

        return io.Schema(
            node_id="FGDM_SampleMaps",
            display_name="Sample Maps, Best of N (FG-DM)",
            category=CATEGORY,
            description="Samples segmentation maps of a prompt until one holds all its objects, and gives the best: Apply Factor, "
            "Candidate Noise, a sampler, VAE Decode and Best of N in one.",
            search_aliases=[
                "fg-dm",
                "factor graph",
                "best of n",
                "segmentation map",
                "layout",
                "object recall",
                "semantic",
                "composition",
                "missing objects",
                "variations",
                "early stop",
            ],
            is_output_node=True,
            hidden=[io.Hidden.unique_id],
            inputs=[
                io.Model.Input("model", tooltip="The plain base model; the factor is applied to it inside this node."),
                FactorType.Input("factor", tooltip="The segmentation factor from Load Factor."),
                io.Conditioning.Input("positive", tooltip="The prompt, encoded."),
                io.Conditioning.Input("negative", tooltip="The negative prompt, encoded; usually empty for maps."),
                io.Vae.Input("vae", tooltip="The VAE of the base model; it turns latents into maps."),
                ObjectsType.Input("objects", tooltip="The objects a good map should hold, from Objects."),
                inputs.seed(
                    "Seed of the first candidate; candidate k is what seed + k alone would make. Control increment goes on "
                    "by 1, so all maps but one come again: for new ones choose randomize, or add the count."
                ),
                io.Int.Input(
                    "count", default=10, min=1, max=64, tooltip="How many maps to sample at most (the N of best of N)."
                ),
                io.Int.Input("steps", default=10, min=1, max=1000, tooltip="Sampling steps; maps need few, 10 to 20."),
                inputs.cfg("Guidance scale of the maps: 4 for the tiny family of this pack, 7.5 for Stable Diffusion."),
                io.Combo.Input(
                    "sampler",
                    options=comfy.samplers.KSampler.SAMPLERS,
                    default="ddim",
                    tooltip="Sampler. Those that add noise on the way sample one candidate at a time.",
                ),
                io.Combo.Input(
                    "scheduler",
                    options=comfy.samplers.KSampler.SCHEDULERS,
                    default="sgm_uniform",
                    tooltip="How the noise levels of the steps are spaced. normal spends its last step on almost no "
                    "noise, which matters with few steps.",
                ),
                io.Int.Input(
                    "width",
                    default=0,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="Width of the maps in pixels, a multiple of 8; 0 = the size the factor was trained at.",
                ),
                io.Int.Input(
                    "height",
                    default=0,
                    min=0,
                    max=4096,
                    step=8,
                    tooltip="Height of the maps in pixels, a multiple of 8; 0 = the size the factor was trained at.",
                ),
                io.Int.Input(
                    "batch_size",
                    default=4,
                    min=1,
                    max=64,
                    advanced=True,
                    tooltip="How many candidates are sampled at once. It is halved where memory runs out.",
                ),
                io.Float.Input(
                    "stop_at", optional=True, default=1.0, min=0.0, max=1.0, step=0.05, round=0.001,
                    tooltip="Recall at which the search stops: 1 as soon as a map holds all objects, 0.8 four of five. "
                    "0 samples all maps of the count, none pruned.",
                ),
                io.Boolean.Input(
                    "prune", optional=True, default=True, advanced=True,
                    tooltip="Of later batches finish only the half that looks best after six tenths of the steps. With the "
                    "samplers ddim, euler, heun and dpm_2.",
                ),
                io.Boolean.Input(
                    "keep_on_interrupt", optional=True, default=False, advanced=True,
                    tooltip="If you interrupt the search, go on with the best map that is finished, instead of ending the run.",
                ),
            ],
            outputs=[
                io.Image.Output("best", display_name="best map", tooltip="The map with the highest recall."),
                io.Image.Output(
                    "maps", display_name="all maps", tooltip="All finished maps, in the order of their seeds."
                ),
                io.Image.Output("chart", display_name="chart", tooltip="All maps, best first, with what each lacks."),
                io.Float.Output("recall", display_name="recall", tooltip="Recall of the best map, 0 to 1."),
                io.String.Output("json", display_name="json", tooltip="All scores and seeds as JSON."),
                io.Image.Output("table", display_name="table", tooltip="The scores of all maps as a table."),
            ],
        )  # fmt: skip

    @classmethod
    @checked
    def execute(
        cls, model, factor, positive, negative, vae, objects, seed, count, steps, cfg, sampler, scheduler, width, height,
        batch_size, stop_at=0.0, prune=False, keep_on_interrupt=False,
    ) -> io.NodeOutput:  # fmt: skip
        from ..comfyui_fgdm.host.progress import show_result, show_text
        from ..comfyui_fgdm.host.reports import score_maps
        from ..comfyui_fgdm.host.sample_maps import MapSettings, sample_maps

        settings = MapSettings(
            count=count, batch_size=batch_size, steps=steps, cfg=cfg, sampler=sampler, scheduler=scheduler,
            width=width, height=height, stop_at=stop_at, prune=prune, keep_on_interrupt=keep_on_interrupt,
        )  # fmt: skip
        found = sample_maps(model, factor, positive, negative, vae, seed, settings, objects)
        maps = found.maps
        result = score_maps(maps, objects, factor, seed=seed, usage=found.usage)
        show_result(result.chart, count * steps)
        show_text(result.summary, cls)
        return io.NodeOutput(
            maps[result.best],
            maps,
            result.chart,
            result.recall,
            result.json,
            result.table,
            ui=ui.PreviewImage(result.chart, cls=cls),
        )
