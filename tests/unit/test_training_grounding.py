"""Grounding of words: which tokens name what is on a map, and where; the masks have to be those drawn by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from comfyui_fgdm.iconworld.family.backbone import TinyBackbone
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.reader import COCO_MAPS
from comfyui_fgdm.training import grounding, recipe, run
from comfyui_fgdm.training.recipe import RecipeError
from tools import toy_recipe
from tools.toy_folder import DOG, GRASS, write_maps

LIGHT = next(label.index for label in palettes.COCO.labels if label.name == "traffic light")
PERSON = 0


@pytest.fixture(scope="module")
def base() -> TinyBackbone:
    return TinyBackbone()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a dog on the grass", {1: DOG, 4: GRASS}),
        ("A Dog, a dog", {1: DOG}),  # the first mention
        ("no people , a traffic-light near dogs", {4: LIGHT, 6: DOG}),
        ("a traffic light", {1: LIGHT, 2: LIGHT}),
        ("a unicorn", {}),
        ("", {}),
    ],
)
def test_words_that_name_a_class(text: str, named: dict[int, int]) -> None:
    found = grounding.named_words(text, COCO_MAPS)
    assert {number: labels[0] for number, labels in found.items()} == named


def test_masks_are_the_share_of_each_cell_under_the_thing(base: TinyBackbone) -> None:
    labels = torch.full((2, 32, 32), GRASS)
    labels[0, 0:8, 4:16] = DOG  # a cell is 8 x 8: half of the first, all of the second
    maps = palettes.encode(labels).permute(0, 3, 1, 2)
    masks = grounding.Grounder(base, COCO_MAPS, 4).masks(maps, ["one , a dog on the grass", "a person"], 48)
    assert masks.shape == (2, 48, 4, 4)
    dog = torch.zeros(4, 4)
    dog[0, 0], dog[0, 1] = 0.5, 1.0
    assert torch.equal(masks[0, 4], dog), "token 0 is the start, and the comma is a token of the family"
    assert torch.equal(masks[0, 7], 1 - dog)
    assert masks[0, [0, 1, 2, 3, 5, 6, 8]].sum() == 0
    assert masks[1].sum() == 0, "a person is named, but not on the map"


def test_names_beyond_the_prompt_s_length_are_left_out(base: TinyBackbone) -> None:
    grounder = grounding.Grounder(base, COCO_MAPS, 4)
    text = " ".join(["very"] * 60) + " big dog"
    assert grounder.tokens(text, 48) == {}
    assert list(grounder.tokens("a dog", 48)) == [2]


def recipe_of(place: Path, factor: dict, grounded: float) -> recipe.TrainingRecipe:
    training = {"steps": 10, "lr": 3e-3, "warmup": 2, "grounding": grounded}
    return toy_recipe.recipe_of(
        place, factor={"rank": 0, **factor}, training=training, watch=toy_recipe.quiet(log_every=1)
    )


def test_attention_learns_where_things_are(tmp_path: Path, base: TinyBackbone) -> None:
    """With the loss, and without noise of its own in it, attention on the named things gets nearer to them."""
    write_maps(tmp_path / "data", 6)
    part = {"variable": "segmentation", "rank": 8}
    wanted = recipe_of(tmp_path, part, 1.0)
    current = run.Run(wanted, base, tmp_path / "run")

    def measured() -> float:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            return current.task.loss(current.data.draw(8, generator), 0, generator)[1]["grounding"]

    before = measured()
    list(current.records())
    assert measured() < 0.97 * before
    without = run.Run(recipe_of(tmp_path, part, 0.0), base, tmp_path / "plain")
    assert "grounding" not in without.loss(0, torch.Generator().manual_seed(0))[1]
    assert not without.data.store.pictures, "maps are kept only where they are needed"


def test_a_child_is_grounded_in_its_parent_s_map(tmp_path: Path, base: TinyBackbone) -> None:
    write_maps(tmp_path / "data", 6)
    wanted = recipe_of(tmp_path, {"variable": "depth", "parents": ["segmentation"]}, 0.3)
    current = run.Run(wanted, base, tmp_path / "run")
    assert current.loss(0, torch.Generator().manual_seed(0))[1]["grounding"] > 0
    with pytest.raises(RecipeError, match=r"training\.grounding: neither depth nor a parent is a label map"):
        recipe_of(tmp_path, {"variable": "depth"}, 0.3)
