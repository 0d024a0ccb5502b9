"""Palettes against the colour rule, and decoding against a comparison with every colour in double precision."""

from __future__ import annotations

import time

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.palettes import COCO, PaletteError


def voc_colour(index: int) -> tuple[int, int, int]:
    """The PASCAL VOC colour map: three bits of the index at a time, from the highest bit of each channel down."""
    rgb = [0, 0, 0]
    for shift in range(7, -1, -1):
        for channel in range(3):
            rgb[channel] |= (index >> channel & 1) << shift
        index >>= 3
    return tuple(rgb)


def brute_force(images: torch.Tensor, classes: list[int] | None, margin: float) -> torch.Tensor:
    """Nearest colour by all distances in float64 of the picture rounded to 1/16 level; the lower label on ties."""
    labels = list(range(183)) if classes is None else sorted(classes)
    table = torch.tensor([voc_colour(c) for c in labels], dtype=torch.float64)
    pixels = (images.reshape(-1, 3).double() * 255 * 16).round() / 16
    distance = ((pixels[:, None] - table) ** 2).sum(-1)
    least = distance.min(1, keepdim=True).values
    first = (distance == least).int().argmax(1)
    out = torch.tensor(labels)[first]
    out[least.squeeze(1) > margin**2] = COCO.void
    return out.reshape(images.shape[:-1])


def test_colours_follow_the_rule() -> None:
    assert len(COCO) == 183 and COCO.void == 182
    assert [label.index for label in COCO.labels] == list(range(183))
    assert [label.rgb for label in COCO.labels] == [voc_colour(i) for i in range(183)]


def test_known_labels() -> None:
    for index, name, rgb in [
        (0, "person", (0, 0, 0)),
        (17, "dog", (128, 64, 0)),
        (89, "toothbrush", (224, 64, 0)),
        (123, "grass", (224, 192, 64)),
        (148, "road", (0, 96, 128)),
        (156, "sky-other", (64, 96, 128)),
        (168, "tree", (64, 32, 64)),
        (182, "unlabeled", (0, 224, 192)),
    ]:
        assert (COCO.labels[index].name, COCO.labels[index].rgb) == (name, rgb)
        assert COCO.index(name.upper()) == index


def test_retired_labels_are_the_eleven_that_coco_never_annotates() -> None:
    assert {COCO.labels[c].name for c in COCO.retired} == {
        *("street sign", "hat", "shoe", "eye glasses", "plate", "mirror", "window", "desk", "door"),
        *("blender", "hair brush"),
    }


def test_palettes_by_name() -> None:
    assert palettes.get("coco183") is COCO
    assert {name: len(palettes.get(name)) for name in palettes.NAMES} == {
        "ade20k150": 151,
        "celebamask19": 19,
        "cityscapes19": 20,
        "coco183": 183,
    }
    assert all(palettes.get(name).name == name for name in palettes.NAMES)
    with pytest.raises(PaletteError, match=r"ade.*known: ade20k150, celebamask19, cityscapes19, coco183"):
        palettes.get("ade")
    with pytest.raises(PaletteError, match="unicorn"):
        COCO.index("unicorn")


def test_encode_then_decode_gives_every_label_back() -> None:
    labels = torch.arange(183).reshape(1, 3, 61)
    picture = palettes.encode(labels)
    assert picture.shape == (1, 3, 61, 3) and picture.dtype == torch.float32
    assert torch.equal((picture * 255).round().long().reshape(-1, 3), torch.tensor([voc_colour(i) for i in range(183)]))
    assert torch.equal(palettes.decode(picture), labels)
    assert torch.equal(palettes.decode_official(picture), labels)


@pytest.mark.parametrize("classes", [None, [0], [17, 1, 168, 148], [64, 128, 0, 182], list(range(0, 183, 5))])
@pytest.mark.parametrize("margin", [0.0, 16.0, 48.0, 500.0])
def test_decode_equals_brute_force(classes: list[int] | None, margin: float) -> None:
    generator = torch.Generator().manual_seed(7)
    noise = torch.rand(1, 60, 60, 3, generator=generator)
    levels = (noise * 255).round() / 255
    halves = (noise * 16).round() / 16 * 240 / 255  # many points exactly between colours
    near = palettes.encode(torch.randint(0, 183, (1, 60, 60), generator=generator))
    near = (near + torch.randn(near.shape, generator=generator) * 8 / 255).clamp(0, 1)
    images = torch.cat([noise, levels, halves, near])
    assert torch.equal(palettes.decode(images, COCO, classes, margin), brute_force(images, classes, margin))


@settings(max_examples=60, deadline=None)
@given(
    rgb=st.tuples(*[st.floats(0, 255)] * 3),
    classes=st.sets(st.integers(0, 182), min_size=1, max_size=12),
    margin=st.floats(0, 400),
)
def test_decode_one_pixel_equals_brute_force(rgb, classes, margin) -> None:
    image = torch.tensor(rgb, dtype=torch.float32).reshape(1, 1, 1, 3) / 255
    assert torch.equal(palettes.decode(image, COCO, sorted(classes), margin), brute_force(image, list(classes), margin))


def test_ties_go_to_the_lower_label_and_the_margin_is_inclusive() -> None:
    half = torch.tensor([16.0, 0.0, 0.0]).reshape(1, 1, 1, 3) / 255  # person (0,0,0) and bed (32,0,0) are both 16 away
    assert palettes.decode(half).item() == 0
    assert palettes.decode(half, classes=[64]).item() == 64
    assert palettes.decode(half, margin=16).item() == 0
    assert palettes.decode(half, margin=15.9).item() == COCO.void
    assert palettes.decode(half, classes=[54], margin=None).item() == 54


def test_nearest_colour_is_robust_to_noise_where_the_official_rule_is_not() -> None:
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(183).repeat_interleave(100).reshape(1, 183, 100)
    picture = palettes.encode(labels)
    noisy = (picture + torch.randn(picture.shape, generator=generator) * 4 / 255).clamp(0, 1)
    nearest = (palettes.decode(noisy) == labels).float().mean().item()
    official = (palettes.decode_official(noisy) == labels).float().mean().item()
    assert nearest > 0.999
    assert 0.75 < official < 0.81  # 0.7788 measured with the released code


def test_official_rule_equals_its_definition() -> None:
    generator = torch.Generator().manual_seed(3)
    levels = torch.randint(0, 256, (1, 40, 50, 3), generator=generator)
    levels[0, :20] = (torch.tensor([voc_colour(i % 183) for i in range(1000)]).reshape(20, 50, 3) + 28).clamp(max=255)
    expected = torch.full((1, 40, 50), COCO.void)
    for index in range(183):  # ascending: a later match overwrites
        match = ((levels - torch.tensor(voc_colour(index))).abs() <= 28).all(-1)
        expected[match] = index
    assert torch.equal(palettes.decode_official(levels / 255), expected)


def test_decode_accepts_other_strides_and_strange_values() -> None:
    labels = torch.randint(0, 183, (2, 8, 9), generator=torch.Generator().manual_seed(1))
    channels_first = palettes.encode(labels).permute(0, 3, 1, 2).contiguous()
    assert torch.equal(palettes.decode(channels_first.permute(0, 2, 3, 1)), labels)
    strange = torch.tensor([float("nan"), -5.0, float("-inf"), 7.0, float("inf"), 1.5]).reshape(1, 1, 2, 3)
    assert palettes.decode(strange, margin=None).tolist() == [
        [[0, brute_force(torch.ones(1, 1, 1, 3), None, 999).item()]]
    ]
    assert palettes.decode(torch.zeros(0, 4, 4, 3)).shape == (0, 4, 4)
    before = strange.clone()
    palettes.decode(strange)
    assert torch.equal(strange.nan_to_num(1.25), before.nan_to_num(1.25))


def test_batches_do_not_influence_each_other() -> None:
    images = torch.rand(4, 16, 16, 3, generator=torch.Generator().manual_seed(2))
    together = palettes.decode(images)
    assert all(torch.equal(palettes.decode(images[i : i + 1])[0], together[i]) for i in range(4))


def test_decode_works_inside_and_after_inference_mode() -> None:
    images = torch.rand(1, 8, 8, 3, generator=torch.Generator().manual_seed(5))
    classes = [3, 33, 133]  # a table of their own, so that it is made inside inference mode
    with torch.inference_mode():
        inside = palettes.decode(images, classes=classes).clone()
    assert torch.equal(palettes.decode(images.requires_grad_(), classes=classes), inside)


@pytest.mark.parametrize(
    "bad",
    [torch.zeros(4, 4, 3), torch.zeros(1, 4, 4), torch.zeros(1, 3, 4, 4), torch.zeros(1, 4, 4, 3, dtype=torch.uint8)],
)
def test_decode_refuses_what_is_no_picture(bad: torch.Tensor) -> None:
    with pytest.raises(PaletteError, match=r"\[B, H, W, 3\]"):
        palettes.decode(bad)
    with pytest.raises(PaletteError, match=r"\[B, H, W, 3\]"):
        palettes.decode_official(bad)


def test_bad_labels_classes_and_margins_are_refused() -> None:
    picture = torch.zeros(1, 2, 2, 3)
    for labels in (torch.tensor([255]), torch.tensor([-1]), torch.tensor([183])):
        with pytest.raises(PaletteError, match="0..182"):
            palettes.encode(labels)
    with pytest.raises(PaletteError, match="integers"):
        palettes.encode(torch.zeros(2, 2))
    with pytest.raises(PaletteError, match="500"):
        palettes.decode(picture, classes=[500])
    with pytest.raises(PaletteError, match="empty"):
        palettes.decode(picture, classes=[])
    for margin in (-1.0, float("nan")):
        with pytest.raises(PaletteError, match="margin"):
            palettes.decode(picture, margin=margin)


def test_a_megapixel_is_read_in_a_tenth_of_a_second() -> None:
    # CPU time of one thread, as a busy machine must not decide whether this passes; the best of a few runs
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 183, (1, 64, 64), generator=generator)
    picture = palettes.encode(labels.repeat_interleave(16, 1).repeat_interleave(16, 2))
    picture = (picture + torch.randn(picture.shape, generator=generator) * 6 / 255).clamp(0, 1)

    def seconds() -> float:
        start = time.process_time()
        palettes.decode(picture)
        return time.process_time() - start

    assert min(seconds() for _ in range(5)) < 0.1
