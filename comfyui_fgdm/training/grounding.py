"""Which tokens of a prompt name something on a label map, and where that is: the masks that attention is grounded in.

The loss is ``objective.grounding``. A base that does not bind words to places yet learns it so many times sooner, and a factor
learns which class a word is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

from ..maps.reader import Reader
from ..objects import words
from ..objects.subjects import mention
from .backbone import Backbone


def named_words(text: str, reader: Reader) -> dict[int, tuple[int, ...]]:
    """Which words of a text name which labels: number of the word (split at blanks, from 0) -> labels that count as it.

    What a text denies, or only describes, names nothing; of a thing that is named twice the first mention counts.
    """
    return {
        number: (item.label, *item.also)
        for item in words.read(text, palette=reader.with_classes()).items
        for number in mention(text, item.phrase)
    }


@dataclass
class Grounder:
    """Makes masks for prompts as a base reads them, and label maps as a reader reads them. side: of the masks."""

    base: Backbone
    reader: Reader
    side: int
    _known: dict[str, dict[int, tuple[int, ...]]] = field(default_factory=dict)

    def tokens(self, text: str, length: int) -> dict[int, tuple[int, ...]]:
        """Which tokens of an encoded prompt of that length name which labels; token 0 is the start."""
        if text not in self._known:
            named, taken, at = named_words(text, self.reader), {}, 1
            for number, count in enumerate(self.base.lengths(text.split())):
                if number in named:
                    taken.update(dict.fromkeys(range(at, at + count), named[number]))
                at += count
            self._known[text] = taken
        return {token: labels for token, labels in self._known[text].items() if token < length - 1}

    def masks(self, maps: Tensor, prompts: Sequence[str], length: int) -> Tensor:
        """Maps B x 3 x S x S in 0..1 and their prompts -> B x length x side x side in 0..1: the share of each cell that
        the thing covers which a token names; zeros for tokens that name nothing on the map."""
        labels = self.reader.read(maps.permute(0, 2, 3, 1))
        result = torch.zeros(len(prompts), length, self.side, self.side)
        for item, text in enumerate(prompts):
            for token, wanted in self.tokens(text, length).items():
                there = torch.isin(labels[item], torch.tensor(wanted)).float()
                result[item, token] = F.adaptive_avg_pool2d(there[None, None], self.side)[0, 0]
        return result
