"""Prompts as Stable Diffusion 1.x reads them: 77 tokens of CLIP, its last layer behind the final norm."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

TOKENS = 77
"""Of an encoded prompt, its start and its end among them."""

HOSTS = Path("comfy") / "sd1_tokenizer"
"""Where ComfyUI keeps the vocabulary, below its folder."""

FILES = ("vocab.json", "merges.txt")


class VocabularyError(ValueError):
    """A vocabulary that is not there; the text says what to do."""


def tokenizer_folder(wished: Path | None, near: Sequence[Path]) -> Path:
    """The folder with vocab.json and merges.txt: the wished one, else the first that is there.

    near: folders that may hold it as ``tokenizer`` (those of diffusers do) or as ComfyUI does. VocabularyError if none does.
    """
    places = [wished] if wished else [folder / inner for folder in near for inner in ("tokenizer", HOSTS)]
    for place in places:
        if all((place / name).is_file() for name in FILES):
            return place
    if wished:
        raise VocabularyError(f"frozen.tokenizer: {wished} holds no {' and '.join(FILES)} of CLIP's tokenizer")
    raise VocabularyError(
        "base: a single file holds no vocabulary for prompts, and no ComfyUI was found around it. Set COMFYUI_PATH to the "
        f"folder of your ComfyUI, or frozen.tokenizer in the recipe to a folder with {' and '.join(FILES)}, such as "
        f"ComfyUI/{HOSTS.as_posix()} or the tokenizer folder of a diffusers model"
    )


class Tokens:
    """Texts to tokens. A text is taken as it is: there is no emphasis by brackets in it."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    def __call__(self, text: str) -> list[int]:
        """The 77 token numbers of a text: start, text, end, and ends again. Of a longer one the first part, as in the host:
        all prompts of a batch have one length."""
        start, end = self.tokenizer.bos_token_id, self.tokenizer.eos_token_id
        found = self.tokenizer(text, add_special_tokens=False)["input_ids"][: TOKENS - 2]
        return [start, *found] + [end] * (TOKENS - 1 - len(found))

    def lengths(self, words: Sequence[str]) -> list[int]:
        """How many tokens each word takes; CLIP splits a text at blanks first."""
        return [len(self.tokenizer(word, add_special_tokens=False)["input_ids"]) for word in words]


@torch.no_grad()
def encoded(texts: Sequence[str], tokens: Tokens, encoder: Any) -> Tensor:
    """float32 B x 77 x width: what the text encoder of transformers makes of these texts."""
    device = next(encoder.parameters()).device
    numbers = torch.tensor([tokens(text) for text in texts], device=device)
    return encoder(input_ids=numbers).last_hidden_state.float()
