"""Tell the host about the embedded tiny family, so that core's own loaders read its checkpoint and ControlNet.

`register()` appends one model class to the host's list; nothing of the host is replaced.
"""

from __future__ import annotations

import comfy.clip_model
import comfy.latent_formats
import comfy.model_base
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base

from ...iconworld.family import text

VOCABULARY_ROWS = 256  # networks.TextConfig.vocabulary
TEXT_CONFIG = {
    "num_hidden_layers": 2,
    "hidden_size": 128,
    "num_attention_heads": 4,
    "intermediate_size": 512,
    "hidden_act": "quick_gelu",
    "max_position_embeddings": text.LENGTH,
    "eos_token_id": text.END,
}


class WordTokenizer:
    """The word-level tokenizer in the shape that the host's `SDTokenizer` drives."""

    @classmethod
    def from_pretrained(cls, _path, **_options) -> WordTokenizer:
        return cls()

    def __call__(self, prompt: str) -> dict[str, list[int]]:
        table = text.table()
        return {"input_ids": [text.START, *(table.get(word, text.UNKNOWN) for word in text.words_of(prompt)), text.END]}

    def get_vocab(self) -> dict[str, int]:
        return {"<start>": text.START, "<end>": text.END, "<unknown>": text.UNKNOWN, **text.table()}


class Tokenizer(comfy.sd1_clip.SDTokenizer):
    def __init__(self, embedding_directory=None, tokenizer_data={}):
        super().__init__(
            tokenizer_path="",
            max_length=text.LENGTH,
            embedding_directory=embedding_directory,
            embedding_size=TEXT_CONFIG["hidden_size"],
            embedding_key="clip_l",
            tokenizer_class=WordTokenizer,
            tokenizer_data=tokenizer_data,
        )


class SDTokenizer(comfy.sd1_clip.SD1Tokenizer):
    def __init__(self, embedding_directory=None, tokenizer_data={}):
        super().__init__(embedding_directory=embedding_directory, tokenizer_data=tokenizer_data, tokenizer=Tokenizer)


class TextModel(comfy.clip_model.CLIPTextModel):
    """CLIP's text transformer with a small table of words instead of CLIP's 49,408 pieces."""

    def __init__(self, config_dict, dtype, device, operations):
        super().__init__(config_dict, dtype, device, operations)
        self.set_input_embeddings(
            operations.Embedding(VOCABULARY_ROWS, config_dict["hidden_size"], dtype=dtype, device=device)
        )


class ClipModel(comfy.sd1_clip.SDClipModel):
    def __init__(self, device="cpu", dtype=None, model_options={}):
        super().__init__(
            device=device,
            dtype=dtype,
            max_length=text.LENGTH,
            textmodel_json_config=dict(TEXT_CONFIG),
            model_class=TextModel,
            special_tokens={"start": text.START, "end": text.END, "pad": text.END},
            return_projected_pooled=False,
            model_options=model_options,
        )


class SDClipModel(comfy.sd1_clip.SD1ClipModel):
    def __init__(self, device="cpu", dtype=None, model_options={}, **kwargs):
        super().__init__(device=device, dtype=dtype, model_options=model_options, clip_model=ClipModel, **kwargs)


class LatentFormat(comfy.latent_formats.LatentFormat):
    """Twelve channels, principal components of 8 x 8 patches; a linear look at them for previews (fitted on the autoencoder)."""

    latent_channels = 12
    scale_factor = 1.0

    def __init__(self):
        self.latent_rgb_factors = PREVIEW_FACTORS
        self.latent_rgb_factors_bias = PREVIEW_BIAS


# The mean colour of a cell is linear in its first three components (least squares on the autoencoder; the rest is below 0.003).
PREVIEW_FACTORS = [[0.4410, 0.3396, 0.3797], [-0.3457, -0.0568, 0.4523], [-0.2115, 0.3993, -0.1116]] + [
    [0.0, 0.0, 0.0]
] * 9
PREVIEW_BIAS = [-0.0531, 0.1499, 0.0153]


class IconWorld(comfy.supported_models.SD15):
    """The icon-world family: an SD 1.x layout at small width, v-prediction. It is known by its prompts' width and its
    latents' channels, so that recipes may choose the shape of the UNet."""

    unet_config = {
        "context_dim": 128,
        "in_channels": 12,
        "use_linear_in_transformer": False,
        "adm_in_channels": None,
        "use_temporal_attention": False,
    }
    unet_extra_config = {"num_heads": -1, "num_head_channels": 32}
    latent_format = LatentFormat

    def model_type(self, state_dict, prefix=""):
        return comfy.model_base.ModelType.V_PREDICTION

    def inpaint_model(self):
        return False

    def clip_target(self, state_dict={}):
        return comfy.supported_models_base.ClipTarget(SDTokenizer, SDClipModel)


def register() -> None:
    """Make the family known to the host's checkpoint and ControlNet loaders; calling it again changes nothing."""
    models = comfy.supported_models.models
    if not any(
        getattr(model, "__name__", "") == IconWorld.__name__ and model.unet_config == IconWorld.unet_config
        for model in models
    ):
        models.append(IconWorld)
