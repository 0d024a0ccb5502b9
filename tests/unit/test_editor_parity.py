"""The browser editor's engine (JavaScript) and the engine of recipes (Python) give the same labels, pixel by pixel."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from comfyui_fgdm.editing import recipe, sketch
from comfyui_fgdm.editing.applying import TABLES, edit_labels, edit_levels, edit_people
from comfyui_fgdm.editing.pose import STANDING
from comfyui_fgdm.editing.regions import Gone
from comfyui_fgdm.editing.segmentation import TABLE
from comfyui_fgdm.maps import palettes, pose, pose_reading
from comfyui_fgdm.objects import recall
from comfyui_fgdm.objects.query import ObjectItem, ObjectQuery
from tools import node

HERE = Path(__file__).resolve().parent / "editor"
SEEDS = 24
SEEDS_OF_LEVELS = 10
SEEDS_OF_PEOPLE = 16
OPERATIONS = 24


@pytest.fixture(scope="module")
def node_program() -> str:
    found = node.find()
    if found is None:
        pytest.skip(f"the tests of the editor's JavaScript need node: {node.HOW}")
    return found


def run(program: str, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run([program, *arguments], input=text, capture_output=True, text=True, check=False, cwd=HERE)


def scene(rng: np.random.Generator, palette: Any, height: int, width: int) -> np.ndarray:
    """A label map of a few classes: bands of stuff, boxes and discs over them, and some noise."""
    classes = rng.choice(len(palette), 6, replace=False)
    y, x = np.mgrid[:height, :width]
    labels = classes[(y * 3) // height]
    for k in range(8):
        cx, cy, r = rng.integers(0, width), rng.integers(0, height), rng.integers(2, max(3, width // 5))
        inside = (abs(x - cx) < r) & (abs(y - cy) < r) if k % 2 else (x - cx) ** 2 + (y - cy) ** 2 < r * r
        labels = np.where(inside, classes[3 + k % 3], labels)
    return np.where(rng.random(labels.shape) < 0.01, classes[5], labels)


class Chooser:
    """Random operations that mostly find what they are about."""

    def __init__(self, rng: np.random.Generator, palette: Any, shape: tuple[int, ...], second: np.ndarray) -> None:
        self.rng, self.palette, self.shape, self.second = rng, palette, shape, second
        self.ids: list[str] = []

    def label(self) -> int | str:
        index = int(self.rng.integers(len(self.palette)))
        return index if self.rng.random() < 0.5 else self.palette.labels[index].name

    def point(self, shape: tuple[int, ...] | None = None, spread: float = 0.1) -> list[float]:
        height, width = shape or self.shape
        x, y = self.rng.uniform(-spread, 1 + spread, 2) * (width, height)
        return [round(float(x), 2), round(float(y), 2)] if self.rng.random() < 0.3 else [int(x), int(y)]

    def points(self, most: int, shape: tuple[int, ...] | None = None) -> list[list[float]]:
        return [self.point(shape) for _ in range(int(self.rng.integers(1, most + 1)))]

    def what(self, shape: tuple[int, ...], present: np.ndarray) -> dict[str, Any]:
        found: dict[str, Any] = {}
        kind = self.rng.integers(4)
        if kind != 0:
            found["class"] = int(self.rng.choice(np.unique(present)))
        if kind in (0, 1):
            found["at"] = self.point(shape)
        if kind == 2:
            found["within"] = self.points(9, shape)
        return found

    def new(self) -> str:
        self.ids.append(f"o{len(self.ids)}")
        return self.ids[-1]

    def operation(self, labels: np.ndarray) -> dict[str, Any]:
        rng, made = self.rng, list(self.ids)
        names = ["lift", "paste", "stroke", "stroke", "line", "rectangle", "ellipse", "polygon", "fill", "background"]
        names += ["recolour", "stroke", "lift"]
        names += ["transform"] * 8 + ["duplicate", "delete", "order", "order", "order", "reclass"] if made else []
        name = str(rng.choice(names))
        found: dict[str, Any] = {"op": name}
        if name == "lift":
            found |= {"id": self.new(), **self.what(self.shape, labels)}
            if rng.random() < 0.4:
                found["fill"] = "surroundings" if rng.random() < 0.3 else self.label()
        elif name == "paste":
            found |= {"id": self.new(), **self.what(self.second.shape, self.second)}
            if rng.random() < 0.5:
                found["to"] = self.point()
        elif name in ("transform", "duplicate", "delete", "order", "reclass"):
            found["target"] = str(rng.choice(made))
            if name == "transform":
                found |= self.transform()
            elif name == "duplicate":
                found |= {"id": self.new(), "move": [int(v) for v in rng.integers(-30, 30, 2)]}
            elif name == "order":
                kind = str(rng.choice(["front", "back", "forward", "backward", "before", "behind"]))
                found |= {kind: str(rng.choice(made))} if kind in ("before", "behind") else {"to": kind}
            elif name == "reclass":
                found["class"] = self.label()
        elif name == "background":
            found |= {"source": "second"} if rng.random() < 0.3 else {"class": self.label()}
        elif name == "recolour":
            found |= {"from": int(rng.choice(np.unique(labels))), "to": self.label()}
        else:
            found["class"] = None if name == "stroke" and rng.random() < 0.25 else self.label()
            if name == "fill":
                found["at"] = self.point(spread=0.0)
            elif name in ("rectangle", "ellipse"):
                found["box"] = [*self.point(), *self.point()]
            else:
                found["points"] = self.points(12 if name != "polygon" else 7)
            if name == "stroke" or (name != "fill" and rng.random() < 0.4):
                found["size"] = int(rng.integers(1, 20)) if rng.random() < 0.7 else round(float(rng.uniform(1, 20)), 2)
            if rng.random() < 0.4:
                found["id"] = self.new()
        if name == "order" and found["target"] in (found.get("before"), found.get("behind")):
            found = {"op": "order", "target": found["target"], "to": "front"}
        return found

    def transform(self) -> dict[str, Any]:
        rng = self.rng
        found: dict[str, Any] = {}
        if rng.random() < 0.3:
            found["flip"] = str(rng.choice(["horizontal", "vertical"]))
        if rng.random() < 0.4:
            scale = [round(float(v), 3) for v in rng.uniform(0.4, 2.2, 2)]
            found["scale"] = scale if rng.random() < 0.5 else float(rng.choice([0.5, 2, scale[0]]))
        if rng.random() < 0.4:
            found["rotate"] = int(rng.choice([90, -90, 180, 270, int(rng.integers(-360, 720)), 45, 30]))
        if rng.random() < 0.6 or not found:
            found["move"] = [int(v) for v in rng.integers(-25, 25, 2)]
        return found


def wanted(rng: np.random.Generator, labels: np.ndarray, palette: Any) -> ObjectQuery:
    """Objects of which most are on the map, some as any of several classes."""
    classes = np.unique(labels).tolist() + rng.integers(0, len(palette), 3).tolist()
    items = [(c, tuple(rng.choice(classes, 2).tolist()) if k % 3 == 0 else ()) for k, c in enumerate(classes)]
    return ObjectQuery(tuple(ObjectItem(str(c), c, str(c), also) for c, also in items), palette=palette)


def as_json(labels: np.ndarray) -> dict[str, Any]:
    return {"width": labels.shape[1], "height": labels.shape[0], "data": labels.ravel().tolist()}


def case(seed: int) -> dict[str, Any]:
    """A random recipe on a random map, with what Python makes of it."""
    rng = np.random.default_rng(seed)
    palette = palettes.get(str(rng.choice(["coco183", "celebamask19"])))
    labels = scene(rng, palette, *map(int, rng.integers(20, 100, 2)))
    second = scene(rng, palette, *map(int, rng.integers(20, 60, 2)))
    chooser = Chooser(rng, palette, labels.shape, second)
    operations = [chooser.operation(labels) for _ in range(OPERATIONS)]
    height, width = labels.shape
    made_on = (width, height) if seed % 3 else (int(rng.integers(30, 90)), int(rng.integers(30, 90)))
    scale = (width / made_on[0], height / made_on[1])
    edited = edit_labels(labels, recipe.check(operations, TABLE, palette), palette, scale=scale, second=second)
    query = wanted(rng, edited.values, palette)
    present, _ = recall.presence(torch.from_numpy(edited.values)[None], query)
    return {
        "map": as_json(labels),
        "second": as_json(second),
        "classes": [[one.index, one.name, "#000000", one.index in palette.things] for one in palette.labels],
        "nothing": palette.void,
        "operations": operations,
        "madeOn": {"width": made_on[0], "height": made_on[1]},
        "want": edited.values.ravel().tolist(),
        "skipped": [one.index for one, _ in edited.skipped],
        "wanted": [[item.label, *item.also] for item in query.items],
        "present": present[0].tolist(),
    }


class LevelChooser(Chooser):
    """Random operations on a depth map or a sketch."""

    def __init__(self, rng: np.random.Generator, variable: str, levels: np.ndarray) -> None:
        super().__init__(rng, None, levels.shape, levels)
        self.variable, self.levels = variable, levels

    def level(self) -> float:
        return float(
            self.rng.choice([0, 255, int(self.rng.integers(256)), round(float(self.rng.uniform(0, 255)), 1), 12.5])
        )

    def on_a_line(self) -> list[float]:
        """A point of some level, if there is one."""
        rows, columns = np.nonzero(self.levels > 30)
        k = int(self.rng.integers(len(rows)))
        return [int(columns[k]), int(rows[k])]

    def operation(self, labels: np.ndarray) -> dict[str, Any]:
        rng, made = self.rng, list(self.ids)
        names = ["lift", "lift", "stroke", "stroke", "line", "rectangle", "ellipse", "polygon"]
        names += ["shift", "gradient", "gradient"] if self.variable == "depth" else ["erase", "erase", "text", "text"]
        names += ["transform"] * 5 + ["duplicate", "delete", "order", "order", "shift"] if made else []
        name = str(rng.choice([one for one in names if one != "shift" or self.variable == "depth"]))
        if name in ("transform", "duplicate", "delete", "order"):
            found: dict[str, Any] = {"op": name, "target": str(rng.choice(made))}
            more = {
                "transform": self.transform,
                "order": lambda: {"to": str(rng.choice(["front", "back", "forward", "backward"]))},
            }
            return found | ({"id": self.new(), "move": [5, -3]} if name == "duplicate" else more.get(name, dict)())
        found = {"op": name}
        if name == "lift":
            found |= {"id": self.new()}
            found |= {"within": self.points(9)} if rng.random() < 0.4 else {"at": self.on_a_line()}
            if rng.random() < 0.5:
                found["fill"] = "surroundings" if rng.random() < 0.4 else self.level()
            if rng.random() < 0.5:
                found["tolerance"] = int(rng.integers(0, 256))
        elif name == "shift":
            found |= {"by": float(rng.choice([-40, 30.5, -0.5, 90]))} | (
                {"target": str(rng.choice(made))} if made and rng.random() < 0.7 else {}
            )
        elif name == "gradient":
            found |= {"from": self.point(), "to": self.point(), "values": [self.level(), self.level()]}
            found |= {"within": self.points(9)} if rng.random() < 0.7 else {}
        elif name == "text":
            text = str(rng.choice(["ab", "Stra\u00dfe!", " ", "two\nlines"]))
            found |= {"text": text, "at": self.point(), "size": round(float(rng.uniform(4, 30)), 2)}
            found |= {"rotate": int(rng.choice([90, -20, 33]))} if rng.random() < 0.5 else {}
            found |= {"value": self.level()} if rng.random() < 0.5 else {}
        else:
            found |= (
                {"box": [*self.point(), *self.point()]}
                if name in ("rectangle", "ellipse")
                else {"points": self.points(9)}
            )
            if name in ("stroke", "erase") or rng.random() < 0.4:
                found["size"] = round(float(rng.uniform(1, 12)), 2)
            if name != "erase" and (self.variable == "depth" or rng.random() < 0.7):
                found["value"] = None if name == "stroke" and rng.random() < 0.3 else self.level()
        if name != "lift" and name != "shift" and rng.random() < 0.4:
            found["id"] = self.new()
        return found


def case_of_levels(seed: int) -> dict[str, Any]:
    """A random recipe on a random depth map or sketch, with what Python makes of it, and the letters of its texts."""
    rng = np.random.default_rng(1000 + seed)
    variable = "sketch" if seed % 2 else "depth"
    height, width = map(int, rng.integers(30, 90, 2))
    y, x = np.mgrid[:height, :width]
    smooth = (np.sin(x / 9 + seed) + np.cos(y / 7)) * 60 + 128
    levels = (
        np.where(abs(smooth - 128) < 30, smooth, 0)
        if variable == "sketch"
        else np.where(x * 3 // width == 1, smooth, y)
    )
    levels = np.clip(levels, 0, 255).astype(np.uint8)
    chooser = LevelChooser(rng, variable, levels)
    operations = [chooser.operation(levels) for _ in range(OPERATIONS)]
    made_on = (width, height) if seed % 3 else (int(rng.integers(30, 90)), int(rng.integers(30, 90)))
    scale = (width / made_on[0], height / made_on[1])
    checked = recipe.check(operations, TABLES[variable])
    edited = edit_levels(levels, checked, variable, scale=scale)
    texts = []
    for raw, one in zip(operations, checked):
        if one.name == "text":
            size = recipe.rescale(one, TABLES[variable]["text"], scale).arguments["width"]
            try:
                picture = as_json(sketch.letters(raw["text"], size, (width, height)))
            except Gone:
                picture = None
            texts.append([{"text": raw["text"], "size": size}, picture])
    return {
        "variable": variable,
        "map": as_json(levels),
        "second": None,
        "classes": [],
        "operations": operations,
        "madeOn": {"width": made_on[0], "height": made_on[1]},
        "want": edited.values.ravel().tolist(),
        "skipped": [one.index for one, _ in edited.skipped],
        "wanted": [],
        "present": [],
        "letters": texts,
    }


class PoseChooser(Chooser):
    """Random operations on people."""

    def operation(self, labels: np.ndarray) -> dict[str, Any]:
        rng, made = self.rng, list(self.ids)
        names = ["lift", "lift", "add"]
        names += ["transform"] * 4 + ["joint"] * 6 + ["hide", "hide", "duplicate", "delete"] if made else []
        name = str(rng.choice(names))
        if name in ("lift", "add"):
            more = {} if name == "lift" else {"size": round(float(rng.uniform(10, 90)), 1)}
            return {"op": name, "id": self.new(), "at": self.point()} | more
        found: dict[str, Any] = {"op": name, "target": str(rng.choice(made))}
        if name == "transform":
            found |= self.transform()
        elif name == "duplicate":
            found |= {"id": self.new(), "move": [7, -4]}
        elif name in ("joint", "hide"):
            found["joint"] = str(rng.choice(pose.JOINTS))
            if name == "joint":
                found |= {"to": self.point()} | ({"follow": bool(rng.integers(2))} if rng.random() < 0.6 else {})
        return found


def case_of_people(seed: int) -> dict[str, Any]:
    """A random recipe on a random pose map, with what Python makes of it."""
    rng = np.random.default_rng(2000 + seed)
    height, width = map(int, rng.integers(60, 120, 2))
    bodies = []
    for _ in range(int(rng.integers(0, 4))):
        size, (x, y) = rng.uniform(40, 90), rng.uniform(0, 1, 2) * (width, height)
        shaken = [(x + (dx * size) / 1000 + rng.normal(), y + (dy * size) / 1000) for dx, dy in STANDING]
        bodies.append(tuple(None if rng.random() < 0.1 else (float(a), float(b)) for a, b in shaken))
    people = pose_reading.PeopleRead(tuple(bodies), float(rng.choice([0.5, 1.0, 2.0, 3.25])), bright=seed % 4 == 0)
    chooser = PoseChooser(rng, None, (height, width), np.zeros((height, width)))
    operations = [chooser.operation(chooser.second) for _ in range(OPERATIONS)]
    made_on = (width, height) if seed % 3 else (int(rng.integers(60, 120)), int(rng.integers(60, 120)))
    scale = (width / made_on[0], height / made_on[1])
    edited = edit_people(bodies, recipe.check(operations, TABLES["pose"]), scale=scale)
    return {
        "variable": "pose",
        "map": as_json(pose_reading.indices(people.draw(height, width))),
        "second": None,
        "classes": [],
        "people": bodies,
        "bold": people.bold,
        "bright": people.bright,
        "operations": operations,
        "madeOn": {"width": made_on[0], "height": made_on[1]},
        "want": pose_reading.indices(people.draw(height, width, edited.values)).ravel().tolist(),
        "skipped": [one.index for one, _ in edited.skipped],
        "wanted": [],
        "present": [],
    }


def test_the_engine_by_itself(node_program: str) -> None:
    result = run(node_program, "--test", "engine.test.mjs")
    assert result.returncode == 0, result.stdout[-6000:]


def test_random_recipes_give_the_same_labels(node_program: str) -> None:
    cases = [case(seed) for seed in range(SEEDS)]
    done = sum(len(one["operations"]) - len(one["skipped"]) for one in cases)
    assert done > 0.8 * SEEDS * OPERATIONS, "most operations have to find what they are about"
    levels = [case_of_levels(seed) for seed in range(SEEDS_OF_LEVELS)]
    assert sum(len(one["operations"]) - len(one["skipped"]) for one in levels) > 0.7 * SEEDS_OF_LEVELS * OPERATIONS
    people = [case_of_people(seed) for seed in range(SEEDS_OF_PEOPLE)]
    assert sum(len(one["operations"]) - len(one["skipped"]) for one in people) > 0.6 * SEEDS_OF_PEOPLE * OPERATIONS
    assert sum(any(one["want"]) for one in people) > 0.8 * SEEDS_OF_PEOPLE
    cases += levels + people
    result = run(node_program, "parity.mjs", text=json.dumps(cases))
    assert result.returncode == 0, result.stderr[-3000:]
    assert json.loads(result.stdout) == []


def test_the_editor_speaks_chinese(node_program: str) -> None:
    code = "import { ENGLISH } from '../../../web/editor/ui/texts.mjs'; console.log(JSON.stringify(ENGLISH))"
    english = json.loads(run(node_program, "--input-type=module", "--eval", code).stdout)
    file = HERE.parents[2] / "locales" / "zh" / "main.json"
    chinese = json.loads(file.read_text("utf-8"))["fgdmEditor"]
    assert sorted(chinese) == sorted(english)
    for key, text in english.items():
        assert re.search(r"[\u4e00-\u9fff]", chinese[key]), key
        assert sorted(re.findall(r"\{\w+\}", text)) == sorted(re.findall(r"\{\w+\}", chinese[key])), key
