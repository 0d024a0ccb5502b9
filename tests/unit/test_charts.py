"""Charts: sizes, colours and the facts they must show; whether they are pretty is seen, not tested."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.objects import charts, gallery, recall, words

DOG, TREE, GRASS = 17, 168, 123


@pytest.fixture
def maps() -> torch.Tensor:
    labels = torch.full((3, 64, 64), GRASS)
    labels[1:, 5:30, 5:30] = DOG
    labels[2, 35:60, 35:60] = TREE
    return labels


@pytest.fixture
def texts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every text that is drawn, in order."""
    drawn: list[str] = []
    real = ImageDraw.ImageDraw.text

    def spy(self, xy, text, *args, **kw):
        drawn.append(text)
        return real(self, xy, text, *args, **kw)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    return drawn


def count(picture: np.ndarray, rgb: tuple[int, int, int]) -> int:
    return int((picture == np.array(rgb)).all(-1).sum())


def is_picture(picture: np.ndarray) -> bool:
    return picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def test_score_chart_shows_every_map_best_first(maps: torch.Tensor, texts: list[str]) -> None:
    query = words.from_list("dog, tree")
    scores = recall.score(maps, query)
    chart = charts.score_chart(scores, query, palettes.encode(maps), seeds=[7, 8, 2**64 - 1])
    assert is_picture(chart)
    seeds = [text for text in texts if text.startswith("seed ")]
    assert seeds == [f"seed {2**64 - 1}", "seed 8", "seed 7"]
    assert [t for t in texts if t in ("1.00", "0.50", "0.00")] == ["1.00", "0.50", "0.00"]
    assert texts.count("missing") == 3 and "3 maps, best 1.00, mean 0.50" in texts
    green, bar = count(chart, charts.GOOD), count(chart, charts.BAR)
    worse = charts.score_chart(recall.score(maps[:1], query), query)
    assert green > 0 and bar > 0 and count(worse, charts.GOOD) == count(worse, charts.BAR) == 0
    assert count(chart, palettes.COCO.labels[DOG].rgb) > 400  # thumbnails and the line under the name


def test_score_chart_of_many_maps_and_objects_stays_bounded(texts: list[str]) -> None:
    names = [x.name for x in palettes.COCO.labels[:91] if x.index not in palettes.COCO.retired][:40]
    query = words.from_list(", ".join(names))
    scores = recall.score(torch.zeros(100, 4, 4, dtype=torch.long), query)
    chart = charts.score_chart(scores, query)
    assert chart.shape[0] < 4000 and chart.shape[1] < 2500
    assert "and 36 more maps with lower scores" in texts
    assert any("20 more objects are not shown" in text for text in texts)


def test_a_gallery_shows_large_pictures_best_first_with_what_each_lacks(maps: torch.Tensor, texts: list[str]) -> None:
    query = words.from_prompt("a dog near a unicorn under a tree")
    sheet = gallery.score_gallery(recall.score(maps, query), query, palettes.encode(maps), [7, 8, 2**64 - 1])
    assert is_picture(sheet)
    assert [text for text in texts if text.startswith("seed ")] == [f"seed {2**64 - 1}", "seed 8", "seed 7"]
    assert [t for t in texts if t in ("1.00", "0.50", "0.00")] == ["1.00", "0.50", "0.00"]
    assert [t for t in texts if "missing" in t or t == "holds all"] == [
        "holds all", "missing: tree", "missing: dog, tree",
    ]  # fmt: skip
    assert "not counted: unicorn" in texts, "words without a class stand on the sheet"
    side = (25 / 64 * 440) ** 2  # of one dog on a map of 440 pixels
    assert 1.6 * side < count(sheet, palettes.COCO.labels[DOG].rgb) < 2.4 * side, "two dogs, large"
    assert count(sheet, charts.GOOD) > 4 * 4 * 400, "a frame around the best"
    texts.clear()
    charts.score_chart(recall.score(maps, query), query, palettes.encode(maps))
    assert "not counted: unicorn" in texts, "and on the table"


def test_a_gallery_of_64_maps_is_readable(texts: list[str]) -> None:
    names = [x.name for x in palettes.COCO.labels[:91] if x.index not in palettes.COCO.retired][:40]
    query = words.from_list(", ".join(names))
    labels = torch.zeros(64, 16, 16, dtype=torch.long)
    sheet = gallery.score_gallery(recall.score(labels, query), query, palettes.encode(labels), range(2**64 - 64, 2**64))
    assert gallery.SMALLEST * 8 < sheet.shape[1] <= gallery.WIDTH + 1 and sheet.shape[0] < 2200
    seeds = [text for text in texts if text.startswith("seed ")]
    assert sorted(seeds) == [f"seed {k}" for k in range(2**64 - 64, 2**64)], "all 20 digits of each"
    assert any("more" in text for text in texts), "objects without room are counted"


def test_legend_lists_the_classes_that_occur_by_area(maps: torch.Tensor, texts: list[str]) -> None:
    picture = charts.legend(maps)
    assert is_picture(picture)
    assert [t for t in texts if not t.endswith("%")] == ["grass", "dog", "tree"]
    assert [t for t in texts if t.endswith("%")] == ["84.7 %", "10.2 %", "5.1 %"]
    for label in (DOG, TREE, GRASS):
        assert count(picture, palettes.COCO.labels[label].rgb) > 300
    assert count(picture, palettes.COCO.labels[60].rgb) == 0


def test_legend_of_all_classes_counts_the_rest(texts: list[str]) -> None:
    charts.legend(torch.arange(183).reshape(1, 3, 61), limit=10)
    assert "and 173 more classes" in texts


def test_overlay_blends_picture_and_map(maps: torch.Tensor) -> None:
    image = torch.ones(128, 128, 3)
    painted = (palettes.encode(maps[2]) * 255).round().byte().numpy().repeat(2, 0).repeat(2, 1)
    assert (charts.label_overlay(image, maps[2], alpha=1.0) == painted).all()
    assert (charts.label_overlay(image, maps[2], alpha=0.0) == 255).all()
    middle = charts.label_overlay(image, maps[2], alpha=0.5).astype(int)
    assert np.abs(middle - (painted.astype(int) + 255) / 2).max() <= 1
    with pytest.raises(ValueError, match="alpha"):
        charts.label_overlay(image, maps[2], alpha=1.5)


def test_contact_sheet_holds_every_picture_undistorted(texts: list[str]) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    pictures = [np.full((40, 20 * (n + 1), 3), rgb, np.uint8) for n, rgb in enumerate(colours)]
    sheet = charts.contact_sheet(pictures, ["one", "two", "three"], columns=2, side=80, title="maps")
    assert is_picture(sheet)
    assert [count(sheet, rgb) for rgb in colours] == [80 * 40, 80 * 80, 80 * 53]
    assert texts == ["maps", "one", "two", "three"]
    with pytest.raises(ValueError, match="at least one"):
        charts.contact_sheet([])
    with pytest.raises(ValueError, match="1 captions for 3"):
        charts.contact_sheet(pictures, ["one"])


def test_pictures_from_floats_are_clamped_and_not_changed() -> None:
    picture = torch.tensor([[-1.0, 0.5, 2.0], [float("nan"), 1.0, 0.0]]).reshape(1, 2, 3).repeat(4, 2, 1)
    before = picture.clone()
    sheet = charts.contact_sheet([picture], side=4)
    assert count(sheet, (0, 128, 255)) == count(sheet, (0, 255, 0)) == 8
    assert torch.equal(picture.nan_to_num(9), before.nan_to_num(9))


def test_to_tensor_is_the_picture_as_image_batch() -> None:
    array = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 14
    tensor = charts.to_tensor(array)
    assert tensor.shape == (1, 2, 3, 3) and tensor.dtype == torch.float32
    assert ((tensor[0] * 255).round().byte().numpy() == array).all()


def test_long_texts_are_cut_to_their_place() -> None:
    draw = ImageDraw.Draw(Image.new("RGB", (10, 10)))
    font = charts.font_of(13)
    assert charts.cut(draw, "dog", font, 100) == "dog"
    short = charts.cut(draw, "structural-other and more", font, 80)
    assert short.endswith("...") and draw.textlength(short, font) <= 80
