"""The tiny family's data and recipes: shards on disk, keyed by name, and a whole recipe in miniature."""

import numpy as np
import pytest
import torch
from torch import nn

from comfyui_fgdm.iconworld.family import autoencoder, data, shards
from comfyui_fgdm.iconworld.family.parts import Base
from comfyui_fgdm.iconworld.world import truth
from comfyui_fgdm.iconworld.world.captions import make_caption
from comfyui_fgdm.iconworld.world.draw import draw_scene
from comfyui_fgdm.iconworld.world.layouts import sample_layout
from comfyui_fgdm.iconworld.world.scenes import World
from comfyui_fgdm.maps import palettes
from comfyui_fgdm.maps.pictures import grey, paint_grey
from comfyui_fgdm.maps.variable import VariableKind
from comfyui_fgdm.training import loop
from tools.toy_icons import toy_bank

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def shard_folder(tmp_path_factory):
    """A folder of two shards of the varied world, with the segmentation as latents and the depth as pictures."""
    root = tmp_path_factory.mktemp("data") / "shards"
    encoder = autoencoder.PatchEncoder()
    torch.manual_seed(0)
    encoder.fit(torch.rand(4, 3, 64, 64))
    for number in range(2):
        made = make_shard(root / f"{number:04d}", encoder, ["image", "segmentation"], ["segmentation", "depth"], number)
        assert made
    return root, encoder


def make_shard(folder, encoder, latents, pictures, number=0):
    return shards.make_shard(folder, 50 + 1000 * number, 12, World(), toy_bank(), encoder, latents, pictures)


def test_shards_ground_words_in_the_masks_of_what_they_name(shard_folder):
    shard = shards.read_shards(shard_folder[0], ["segmentation"], ["segmentation"])
    batch = shard.draw(64, torch.Generator().manual_seed(0), dropout=0.3)
    assert batch.latents["segmentation"].shape == (64, 12, 16, 16) and batch.masks.shape == (64, 48, 16, 16)
    assert batch.masks[:, 0].max() == 0, "the start token names nothing"
    empty = batch.tokens[:, 1] == 1
    assert torch.equal(empty, batch.dropped)
    assert 5 < int(empty.sum()) < 35 and batch.masks[empty].max() == 0
    full = shard.draw(64, torch.Generator().manual_seed(0), dropout=0.0)
    labels = palettes.decode(full.pictures["segmentation"].permute(0, 2, 3, 1), palettes.COCO, World().classes)
    areas = (labels[:, None] == torch.arange(183)[None, :, None, None]).flatten(2).float().mean(2)
    named = full.masks.flatten(2).mean(2)
    for b in range(64):
        for value in named[b][named[b] > 0]:
            assert (areas[b] - value).min() < 0.01, "a word covers no more than its class and instances"
            assert float(value) <= float(areas[b].max()) + 0.01


def test_shards_hold_what_is_true_of_their_scenes(shard_folder):
    root, encoder = shard_folder
    shard = shards.read_shards(root, ["image", "segmentation"], ["segmentation", "depth"])
    scenes = []
    for number in range(2):
        seeds = np.load(root / f"{number:04d}" / "scenes.npz")["seeds"]
        scenes += [draw_scene(sample_layout(int(seed), World(), toy_bank()), toy_bank()) for seed in seeds]
    assert len(shard.tokens) == len(scenes) == 24 and all(min(scene.visible) >= 0.33 for scene in scenes)
    near = np.stack([1 - truth.depth(scene) for scene in scenes])
    held = shard.pictures["depth"].levels(np.arange(24))
    np.testing.assert_allclose(held[..., 0] / 255, near, atol=0.5 / 255 + 1e-6)
    painted = np.stack([data.paint(scene.labels) for scene in scenes])
    np.testing.assert_array_equal(shard.pictures["segmentation"].levels(np.arange(24)), painted)
    for name, levels in (("image", np.stack([scene.image for scene in scenes])), ("segmentation", painted)):
        latents = encoder(torch.from_numpy(levels).permute(0, 3, 1, 2).float() / 255)
        torch.testing.assert_close(torch.from_numpy(shard.latents[name]).float(), latents, atol=2e-3, rtol=2e-3)


def test_a_shard_gets_what_a_new_variable_needs_and_keeps_its_scenes(shard_folder, tmp_path):
    root, encoder = shard_folder
    folder = tmp_path / "shards" / "0000"
    make_shard(folder, encoder, ["image"], ["segmentation"])
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(FileNotFoundError, match="normal.npz"):
        shards.read_shards(folder.parent, ["image"], ["normal"])
    assert make_shard(folder, encoder, ["image", "depth"], ["segmentation", "normal"])
    assert not make_shard(folder, encoder, ["image", "depth"], ["segmentation", "normal"])
    assert {path.name for path in folder.iterdir()} - set(before) == {"depth.npy", "normal.npz"}
    assert all((folder / name).read_bytes() == content for name, content in before.items())
    late = shards.read_shards(folder.parent, ["image"], ["normal"])
    first = shards.read_shards(root, ["image"], ["depth"], limit=1)
    np.testing.assert_array_equal(late.latents["image"], first.latents["image"])


def test_slots_and_coverage_sum_to_the_picture():
    scene = draw_scene(sample_layout(2, World(), toy_bank()), toy_bank())
    cover = data.coverage(scene).astype(int).sum(0)
    assert np.abs(cover - 255).max() <= 3
    tokens, refers = data.ground(scene, make_caption(scene.layout, 2))
    assert len(tokens) == len(refers) == 48 and refers.any()


TOY = VariableKind(
    "warmth", "Warmth", "grey: red is bright", "float [B, H, W] in 0..1", lambda red: paint_grey(red, "warmth"), grey
)


def warmth_of(scene):
    """What a toy variable says of a scene: how red its picture is."""
    return torch.from_numpy(scene.image[None, ..., 0]).float() / 255


def test_a_whole_recipe_in_miniature(tmp_path, monkeypatch):
    """Data, every part and the files, with the toy icons and two steps a part; the written family loads and samples. Then a
    variable registered from outside joins: its data is drawn, its parts are trained, it samples and is read."""
    from dataclasses import replace

    from comfyui_fgdm.iconworld import __main__ as command
    from comfyui_fgdm.iconworld.family import recipes, sample, shipped
    from comfyui_fgdm.iconworld.family.networks import UNetConfig
    from comfyui_fgdm.iconworld.world import truths
    from comfyui_fgdm.maps import kinds

    monkeypatch.setattr(command, "_bank", lambda folder: toy_bank())
    monkeypatch.setattr(command, "SHARD", 8)
    unet, out, run = (
        UNetConfig(channels=32, mult=(1, 2), attention=(False, True)),
        tmp_path / "weights",
        tmp_path / "run",
    )
    below = recipes.MapVariable("depth", ("segmentation",), rank=4)
    maps = (recipes.MapVariable("segmentation", rank=4, blocks=2, control_rank=0), below)

    def try_recipe(maps, *commands):
        recipe = replace(recipes.CPU, scenes=1, pool=8, unet=unet, maps=maps, budgets={})
        budget = loop.Budget(samples=8, batch=4, lr=1e-3, warmup=1)
        recipe = replace(recipe, budgets=dict.fromkeys(recipe.parts, budget))
        monkeypatch.setitem(recipes.RECIPES, "cpu", recipe)
        for words in commands:
            assert command.main(["--folder", str(run), "--weights", str(out), *words]) == 0
        return shipped.load(unet, root=out) if out.exists() else None

    try_recipe(maps, ["data"], ["train", "all", "--threads", "1"])
    for log in run.glob("*.log.jsonl"):
        log.unlink()  # as of parts that were stopped before their first line
    family = try_recipe(maps, ["export"])
    assert len((out / "SHA256SUMS").read_text().splitlines()) == 7
    info = family.factors["segmentation"].info
    assert (info.training["samples"], info.training["recipe"], info.classes) == (8, "cpu", World().classes)
    context, empty = sample.encode(family.base, ["a dog on the grass"])
    latents = sample.ddim(family.map("segmentation"), torch.randn(1, 12, 16, 16), context, empty, 2, 3.0)
    depth = sample.ddim(family.map("depth", {"segmentation": latents}), latents, context, empty, 2, 3.0)
    assert family.decode(latents).shape == family.decode(depth).shape == (1, 128, 128, 3)
    hint = torch.rand(1, 128, 128, 3)
    for hints in ({"segmentation": hint}, {"depth": hint}, {"segmentation": hint, "depth": hint}):
        assert sample.ddim(family.image(hints), latents, context, empty, 2, 3.0).isfinite().all()
    assert shipped.load(unet, use_lora=False, root=out).factors["segmentation"].info == info

    monkeypatch.setattr(kinds, "_KINDS", dict(kinds._KINDS))
    monkeypatch.setattr(truths, "TRUTHS", dict(truths.TRUTHS))
    kinds.register(TOY)
    truths.register("warmth", warmth_of)
    toy = recipes.MapVariable("warmth", ("segmentation", "depth"), rank=4, control_rank=4)
    done = {
        path.name: path.read_bytes() for path in (run / "base.pt", run / "depth.pt", run / "shards/0000/scenes.npz")
    }
    words = [["train", part, "--threads", "1"] for part in ("warmth", "warmth_image")]
    family = try_recipe((*maps, toy), ["data"], *words, ["export"])
    assert all(path.read_bytes() == done[path.name] for path in (run / "base.pt", run / "depth.pt"))
    assert (run / "shards/0000/scenes.npz").read_bytes() == done["scenes.npz"]
    assert family.factors["warmth"].info.parents == ("segmentation", "depth")
    velocity = family.map("warmth", {"segmentation": latents, "depth": depth})
    picture = family.decode(sample.ddim(velocity, latents, context, empty, 2, 3.0))
    assert kinds.get("warmth").to_values(picture).shape == (1, 128, 128)
    shown = sample.ddim(family.image({"warmth": picture}), latents, context, empty, 2, 3.0)
    other = sample.ddim(family.image({"warmth": 1 - picture}), latents, context, empty, 2, 3.0)
    assert (shown - other).abs().max() > 0, "the picture follows the toy's maps"
    with pytest.raises(SystemExit):
        command.main(["--folder", str(run), "train", "coldness"])


def test_seeds_belong_to_parts_and_parents_come_first():
    from dataclasses import replace

    from comfyui_fgdm.iconworld.family import recipes

    first, below = recipes.CPU.maps
    assert [recipes.CPU.seed_of(part) for part in recipes.CPU.parts] == [1, 2, 3, 4, 5, 6, 7, 8], (
        "of the shipped family"
    )
    pose = recipes.MapVariable("pose", ("segmentation",))
    one, other = (replace(recipes.CPU, maps=maps) for maps in ((first, below, pose), (first, pose)))
    assert one.seed_of("pose") == other.seed_of("pose") not in range(10)
    assert one.latents == ("image", "segmentation")
    with pytest.raises(ValueError, match="name parents before"):
        replace(recipes.CPU, maps=(below, first))


def test_an_interrupted_write_leaves_nothing_that_is_read(tmp_path, monkeypatch):
    def half(file, **_arrays):
        file.write(b"half of an archive")
        raise KeyboardInterrupt

    shards.write_arrays(tmp_path / "0000.npz", labels=np.zeros(3))
    monkeypatch.setattr(shards.np, "savez", half)
    with pytest.raises(KeyboardInterrupt):
        shards.write_arrays(tmp_path / "0001.npz", labels=np.zeros(3))
    assert [path.name for path in tmp_path.glob("*.npz")] == ["0000.npz"]


def test_arrays_are_written_alike_by_older_numpy(tmp_path, monkeypatch):
    """Before 2.1 `savez` has no option but arrays: whatever else it is given ends up in the file."""
    savez = np.savez

    def older(file, **arrays):
        savez(file, **{f"{name} ": np.asanyarray(value) for name, value in arrays.items()})

    monkeypatch.setattr(shards.np, "savez", older)
    shards.write_arrays(tmp_path / "0000.npz", labels=np.zeros(3))
    assert np.load(tmp_path / "0000.npz").files == ["labels "]
    with pytest.raises(ValueError, match="labels: objects"):
        shards.write_arrays(tmp_path / "0001.npz", labels=np.array([{}, None]))
    assert [path.name for path in tmp_path.iterdir()] == ["0000.npz"]


def test_a_recipe_can_be_tried_at_a_share():
    from comfyui_fgdm.iconworld.family import recipes

    small = recipes.CPU.scaled(0.01)
    assert (small.scenes, small.pool) == (640, 200)
    assert small.budgets == recipes.CPU.budgets and small.unet == recipes.CPU.unet
    assert recipes.CPU.scaled(1.0) == recipes.CPU
    assert {budget.batch for budget in recipes.GPU.scaled(1.0, 16).budgets.values()} == {16}
    assert recipes.CPU.scaled(1.0, 24).budgets["judge"].batch == 16
    with pytest.raises(ValueError, match="batch: -1 is out of range"):
        recipes.CPU.scaled(1.0, -1)
    for share in (0.0, -1.0, 1.5):
        with pytest.raises(ValueError, match=f"share: {share} is out of range"):
            recipes.CPU.scaled(share)


def test_reduced_precision_gives_the_same_loss_to_its_rounding(shard_folder):
    from comfyui_fgdm.iconworld.family import parts
    from comfyui_fgdm.iconworld.family.networks import UNetConfig

    torch.manual_seed(0)
    base = Base(UNetConfig(channels=32, mult=(1, 2), attention=(False, True)))
    nn.init.normal_(base.unet.out[2].weight, std=0.1)
    loss_of = parts.base_loss(base, shards.read_shards(shard_folder[0], ["image"]), 8, late=True)
    exact, _ = loss_of(0, torch.Generator().manual_seed(0))
    reduced, _ = torch.autocast("cpu", torch.bfloat16)(loss_of)(0, torch.Generator().manual_seed(0))
    assert reduced.dtype == torch.float32 and reduced.item() != exact.item()
    assert reduced.item() == pytest.approx(exact.item(), rel=0.02)
    reduced.backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in base.parameters())
