"""Objects of the icon world's captions: its grammar knows which classes it names, the matcher must find just those."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from comfyui_fgdm.iconworld.world import captions, classes, layouts, scenes
from comfyui_fgdm.objects import words

BANK = {
    thing.index: [
        SimpleNamespace(style=style, rgba=SimpleNamespace(shape=(100, 90))) for style in ("noto", "fluent-emoji")
    ]
    for thing in classes.THINGS
}
WORLDS = {
    "cpu": scenes.World(),
    "gpu": scenes.World(things=classes.GPU_THINGS, stuff=classes.ALL_STUFF, indoor=0.4),
}


@pytest.mark.parametrize("name", WORLDS)
def test_captions_give_back_the_classes_they_name(name: str) -> None:
    world = WORLDS[name]
    seen: set[int] = set()
    for seed in range(200):
        caption = captions.make_caption(layouts.sample_layout(seed, world, BANK), seed)
        query = words.restrict(words.from_prompt(caption.text), world.classes)
        assert set(query.labels) == set(caption.named), caption.text
        seen.update(caption.named)
    assert seen == set(world.classes)
