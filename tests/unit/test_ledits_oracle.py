"""Inversion and edits against diffusers' LEDITS++ pipeline, on one small Stable Diffusion with random weights.

The two agree by definition: noise maps, masks and edited latents, for the same levels and the same starting noise. They differ,
and the tests say so, in
- the end: on the way to level 0 the pipeline gives the last prediction, so its reconstruction is not exact; ours adds what is left.
  Where it ends above 0 it takes the clean latent for one scaled to that level, which is sqrt(1 + sigma^2) times too large (.04 %);
- skip: the pipeline takes the last N of int(N (1 + skip)) levels, ours any row of levels;
- high noise: with both masks the pipeline leaves out the one by noise for t > 800; ours only if told to;
- source prompt: the pipeline mixes up what it encodes, and guides from the source prompt towards the empty one; ours, away from it;
- words: beside transformers 5 the pipeline takes the padding for words of the concept (`length` is 77), which ``Tokenizer`` mends;
- order 1: the pipeline gives DDIM's ``add_noise`` times that are no integers, which ``Ddim`` mends;
- few steps: below 15 the pipeline's solver edits its last step in another order than it inverted it in (`lower_order_final`);
- the grid of attention: the pipeline knows a quarter of the latents' side alone, and fails where no layer has it.
"""

from __future__ import annotations

import pytest
import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DPMSolverMultistepScheduler,
    LEditsPPPipelineStableDiffusion,
    UNet2DConditionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from PIL import Image
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from comfyui_fgdm.sampling import edits, inversion
from comfyui_fgdm.sampling.attention_maps import AttentionMean, Tokens
from comfyui_fgdm.sampling.inversion import Order
from tools.toy_tokenizer import write_tokenizer

WORDS = ["red car", "dog"]
STEPS, SKIP, SIDE = 8, 0.15, 16
GRID = SIDE // 4


class Tokenizer(CLIPTokenizer):
    def __call__(self, *args, **options):
        encoded = super().__call__(*args, **options)
        if "length" in encoded:
            encoded["length"] = (encoded["input_ids"] != self.pad_token_id).sum(1) + 1
        return encoded


class Ddim(DDIMScheduler):
    def add_noise(self, original_samples, noise, timesteps):
        return super().add_noise(original_samples, noise, timesteps.long())


@pytest.fixture(scope="module")
def pipe(tmp_path_factory: pytest.TempPathFactory):
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        block_out_channels=(16, 32, 32), layers_per_block=1, cross_attention_dim=32, attention_head_dim=8, norm_num_groups=8, sample_size=64,
        down_block_types=("DownBlock2D", *("CrossAttnDownBlock2D",) * 2), up_block_types=(*("CrossAttnUpBlock2D",) * 2, "UpBlock2D"),
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8), latent_channels=4, norm_num_groups=4, sample_size=32,
        down_block_types=("DownEncoderBlock2D",) * 2, up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    config = CLIPTextConfig(
        vocab_size=514, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        bos_token_id=512, eos_token_id=513, pad_token_id=513,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("words") / "tokenizer"
    write_tokenizer(folder)
    tokenizer = Tokenizer.from_pretrained(folder, model_max_length=77)
    made = LEditsPPPipelineStableDiffusion(
        vae=vae, text_encoder=CLIPTextModel(config), tokenizer=tokenizer, unet=unet, scheduler=scheduler("zero"),
        safety_checker=None, feature_extractor=None, requires_safety_checker=False,
    )  # fmt: skip
    made.set_progress_bar_config(disable=True)
    return made


def scheduler(end: str, order: int = 2):
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear", "steps_offset": 1}
    if order == 1:
        made = Ddim(clip_sample=False, set_alpha_to_one=False, **schedule)
        made.alphas_cumprod = torch.cumprod(
            1 - made.betas.double(), 0
        )  # its variances are differences of almost equal numbers
        made.final_alpha_cumprod = made.alphas_cumprod[0]
        return made
    return DPMSolverMultistepScheduler(
        algorithm_type="sde-dpmsolver++", solver_order=2, final_sigmas_type=end, lower_order_final=False, **schedule
    )


def encode(pipe, text: str) -> torch.Tensor:
    ids = pipe.tokenizer(text, padding="max_length", max_length=77, truncation=True, return_tensors="pt").input_ids
    return pipe.text_encoder(ids)[0].detach()


class Watched(AttnProcessor):
    """The library's own attention, with its queries and keys handed to ours."""

    def __init__(self, watch):
        super().__init__()
        self.watch = watch

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, **options):
        if self.watch.mean is not None and encoder_hidden_states is not None:
            q, k = attn.to_q(hidden_states), attn.to_k(encoder_hidden_states)
            self.watch.mean.add(q, k, attn.heads, self.watch.conditions)
        return super().__call__(attn, hidden_states, encoder_hidden_states, **options)


class Predictor:
    """Our denoiser over the pipeline's UNet."""

    def __init__(self, pipe, sigmas: torch.Tensor, times: list[int]):
        self.pipe, self.mean, self.conditions = pipe, None, []
        self.time_of = dict(zip(sigmas.tolist(), times))
        self.empty, self.words = encode(pipe, ""), [encode(pipe, word) for word in WORDS]
        self.tokens = {k: Tokens(tuple(range(1, 1 + count)), 77) for k, count in enumerate(token_counts(pipe))}
        names = pipe.unet.attn_processors
        self.processors = {name: Watched(self) if "mid" not in name else AttnProcessor() for name in names}

    @torch.no_grad()
    def several(self, x, sigma, contexts):
        self.pipe.unet.set_attn_processor(dict(self.processors))
        level = float(sigma[0])
        scaled = x / (1 + level**2) ** 0.5
        noise = self.pipe.unet(torch.cat([scaled] * len(contexts)), self.time_of[level], torch.cat(contexts)).sample
        return [x - level * one for one in noise.chunk(len(contexts))]

    def denoise(self, x, sigma):
        return self.several(x, sigma, [self.empty])[0]

    def __call__(self, x, sigma, acting):
        self.conditions = [-1, *acting]
        self.mean = AttentionMean(tuple(x.shape[-2:]), SIDE // GRID, self.tokens)
        base, *found = self.several(x, sigma, [self.empty, *(self.words[k] for k in acting)])
        maps, self.mean = self.mean.maps(), None
        return edits.Predictions(base, found, [maps.get(k) for k in acting])


def token_counts(pipe) -> list[int]:
    return [len(pipe.tokenizer(word).input_ids) - 2 for word in WORDS]


class Twins:
    """The pipeline's inversion of a picture and ours of the same latents, levels and starting noise."""

    def __init__(self, pipe, end: str, order: int, source: str = ""):
        pipe.scheduler = scheduler(end, order)
        self.pipe, self.order = pipe, Order(order)
        seed = torch.Generator().manual_seed(4)
        gradient = torch.linspace(0, 255, 32).to(torch.uint8)
        picture = Image.fromarray(
            torch.stack([gradient.expand(32, 32), gradient[:, None].expand(32, 32)] * 2, -1)[..., :3].numpy()
        )
        pipe.invert(
            picture,
            num_inversion_steps=STEPS,
            skip=SKIP,
            generator=seed,
            source_prompt=source,
            source_guidance_scale=2.0,
        )
        times = pipe.inversion_steps.tolist()
        if order == 2:
            self.sigmas = pipe.scheduler.sigmas[-STEPS - 1 :].clone()
        else:
            alphas = pipe.scheduler.alphas_cumprod[torch.tensor([*times, 0])]
            self.sigmas = ((1 - alphas) / alphas).sqrt().float()
        with torch.no_grad():
            self.source = pipe.encode_image(picture, torch.float32)[0]
        seed.manual_seed(4)
        drawn = [torch.randn(self.source.shape, generator=seed) for _ in times]
        auxiliary = torch.stack(drawn[::-1])  # the pipeline draws the last level first
        meant = self.source * (1 + self.sigmas[-1] ** 2) ** 0.5
        auxiliary += (self.source - meant) / self.sigmas[:-1, None, None, None, None]  # the same path but for its end
        self.predict = Predictor(pipe, self.sigmas, times)
        denoise = self.predict.denoise
        if source:
            text = encode(pipe, source)

            def denoise(x, sigma):
                base, told = self.predict.several(x, sigma, [self.predict.empty, text])
                return told + 2.0 * (base - told)  # as the pipeline does; meant is base + 2 (told - base)

        self.ours = finish(inversion.invert(denoise, meant, self.sigmas, self.order, auxiliary))

    def scaled(self, x: torch.Tensor, level: int) -> torch.Tensor:
        """Of noise level `level`, as the pipeline scales latents."""
        return x / (1 + self.sigmas[level] ** 2) ** 0.5


def finish(steps):
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


@pytest.mark.parametrize(("end", "order", "source"), [("zero", 2, ""), ("sigma_min", 2, "a dog"), ("sigma_min", 1, "")])
def test_noise_maps_and_reconstructions_are_those_of_the_pipeline(pipe, end, order, source):
    twins = Twins(pipe, end, order, source)
    torch.testing.assert_close(twins.scaled(twins.ours.path[0], 0), pipe.init_latents, atol=1e-4, rtol=0)
    size = pipe.zs.flatten(1).std(1).clamp_min(1)[:, None, None, None, None]  # up to ten at the last step
    torch.testing.assert_close(twins.ours.noises / size, pipe.zs / size, atol=1e-4, rtol=0)
    assert twins.ours.noises[:-1].std() > 1  # of an edit-friendly noise space, unlike that of a Markov chain
    if end != "zero":
        assert twins.ours.residual.abs().max() < 1e-5
        return
    replay, states, result = edits.edit(twins.predict, twins.ours, []), [], None
    while result is None:
        try:
            states.append(next(replay))
        except StopIteration as finished:
            result = finished.value
    (theirs,) = pipe(output_type="latent", use_intersect_mask=False).images
    torch.testing.assert_close(states[-1].x[0], theirs, atol=1e-4, rtol=0)
    assert (theirs - twins.source[0]).abs().max() > 1e-2  # the pipeline's reconstruction, and ours:
    assert (result - twins.source).abs().max() <= 1e-5


@pytest.fixture(scope="module")
def twins(pipe):
    return Twins(pipe, "sigma_min", 2)


@pytest.mark.parametrize(
    ("masks", "options"),
    [
        (edits.Masks.BOTH, {"use_intersect_mask": True}),
        (edits.Masks.ATTENTION, {"use_intersect_mask": False, "use_cross_attn_mask": True}),
        (edits.Masks.NOISE, {"use_intersect_mask": False}),
    ],
)
def test_edits_and_masks_are_those_of_the_pipeline(pipe, twins, masks, options):
    region = torch.zeros(1, 1, SIDE, SIDE)
    region[..., 2:13, 3:] = 1
    concepts = [
        edits.Concept(3.0, False, 0.7, 0, None, masks, region),
        edits.Concept(2.0, True, 0.6, 2, 6, masks, region),
    ]
    sigma_of_800 = float(((1 - pipe.scheduler.alphas_cumprod[800]) / pipe.scheduler.alphas_cumprod[800]) ** 0.5)
    states = list(edits.edit(twins.predict, twins.ours, concepts, attention_alone_above=sigma_of_800))
    (theirs,) = pipe(
        editing_prompt=WORDS, edit_guidance_scale=[3.0, 2.0], edit_threshold=[0.7, 0.6], reverse_editing_direction=[False, True],
        edit_warmup_steps=[0, 2], edit_cooldown_steps=[STEPS, 6], user_mask=region, output_type="latent", **options,
    ).images  # fmt: skip
    torch.testing.assert_close(twins.scaled(states[-1].x, -1)[0], theirs, atol=1e-4, rtol=0)
    assert (theirs - twins.source[0]).abs().max() > 0.1  # something was edited
    ours = torch.stack([state.masks for state in states])  # steps x concepts x B x 1 x h x w
    if (
        masks is not edits.Masks.BOTH
    ):  # the pipeline shows its masks without the user's, and lets this one act for t > 800
        shown = pipe.activation_mask[:, :, :, :1] * region
        assert torch.equal(ours, shown)
    assert (
        ours[:, 0].amax((0, 1, 2)).sum() > 5 and not ours[:2, 1].any() and not ours[6:, 1].any() and ours[2:6, 1].any()
    )
