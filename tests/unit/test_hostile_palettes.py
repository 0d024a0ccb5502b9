"""Files of a user's own that nobody would write on purpose: whatever is in one, it is used or left out with the reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from comfyui_fgdm.maps import own_files, palettes
from comfyui_fgdm.maps.conversion import Colours, PaletteError
from comfyui_fgdm.objects import charts

PETS: dict[str, Any] = {
    "name": "pets",
    "void": 0,
    "labels": [
        {"index": 0, "name": "nothing", "rgb": [0, 0, 0]},
        {"index": 1, "name": "dog", "rgb": [255, 0, 0]},
        {"index": 2, "name": "cat", "rgb": [0, 0, 255]},
    ],
    "synonyms": {"dog": ["puppy"], "dog|cat": ["pet"]},
}
TABLE = {"name": "t", "from": "pets", "to": "ade20k150", "classes": {"dog": "animal", "cat": None}}
DIGITS = "9" * 5000

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(0, 3),
    st.floats(),
    st.text(max_size=80),
    st.sampled_from(["\ud800", "a\nb", "a\rb", "", " ", "x" * 5000, 10**4000, -1, "coco183", "pets", "dog"]),
)
anything = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=8), inner, max_size=4)),
)


def places(raw: Any, path: tuple = ()) -> list[tuple]:
    """Paths to all values inside a JSON value."""
    pairs = raw.items() if isinstance(raw, dict) else enumerate(raw) if isinstance(raw, list) else ()
    return [spot for key, value in pairs for spot in ((*path, key), *places(value, (*path, key)))]


@st.composite
def damaged(draw: Any) -> bytes:
    """A palette or a table in which some values are replaced, taken out or added, and then some of its bytes."""
    raw = json.loads(json.dumps(draw(st.sampled_from([PETS, TABLE]))))
    for _ in range(draw(st.integers(0, 3))):
        spots = places(raw)
        if not spots:
            break
        *way, last = draw(st.sampled_from(spots))
        inside = raw
        for key in way:
            inside = inside[key]
        if draw(st.booleans()):
            inside[last] = draw(anything)
        elif isinstance(inside, dict):
            inside.pop(last)
            inside[draw(st.sampled_from(["same_colour", "things", "retired", "synonyms", "about", "classes", "x"]))] = (
                draw(anything)
            )
        else:
            inside.append(draw(anything))
    text = json.dumps(raw, allow_nan=True).encode()
    if draw(st.booleans()):
        at = draw(st.integers(0, len(text)))
        text = text[:at] + draw(st.binary(max_size=6)) + text[at + draw(st.integers(0, 6)) :]
    return draw(st.sampled_from([b"", b"", b"\xef\xbb\xbf", b"\xff\xfe"])) + text


def check(folder: Path, data: bytes) -> str:
    """What is wrong with a file of these bytes, empty if it is used; nothing else may come of it."""
    (folder / "a.json").write_bytes(data)
    (folder / "good.json").write_text(json.dumps({**PETS, "name": "good"}))
    library = own_files.read([folder / "a.json", folder / "good.json"])
    assert library.palette("good").index("dog") == 1, "a bad file is in the way of nothing else"
    for problem in library.problems:
        assert problem.startswith(f"{folder / 'a.json'}: ") and problem.isprintable() and len(problem) < 1000
        assert "cannot be used" not in problem, "every mistake has words of its own"
    for palette in library.palettes:
        labels = torch.arange(len(palette))[None, None]
        assert palettes.encode(labels, palette).shape == (1, 1, len(palette), 3)
        assert all(label.name.isprintable() and len(label.name) <= 64 for label in palette.labels)
        charts.legend(labels, palette)
    for table in library.tables:
        assert len(table.targets) == len(table.source)
    assert library.table(palettes.COCO, Colours.ADE20K)
    with pytest.raises(PaletteError, match="unknown palette 'missed'"):
        library.palette("missed")
    return library.problems[0] if library.problems else ""


@settings(
    max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)
@given(data=st.one_of(damaged(), st.binary(max_size=40)))
def test_whatever_is_in_a_file_it_is_used_or_left_out(tmp_path: Path, data: bytes) -> None:
    check(tmp_path, data)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (json.dumps(PETS).replace("255", DIGITS), "holds a number of too many digits"),
        (json.dumps({**PETS, "void": int(DIGITS[:4000])}), "'void' is 999"),
        ("[" * 200_000, "nested too deeply"),
        ('{"labels": ' + "[" * 900 + "]" * 900 + ', "name": "a", "void": 0}', "write it as"),
        (json.dumps(PETS) + " " * 2_000_000, "is 2.0 MB, a palette or table has at most 1.0 MB"),
        (json.dumps({**PETS, "same_colour": [[0, 1]] * 2000}), "'same_colour' must be a list of at most 1024 groups"),
        (json.dumps(PETS).replace('"dog"', '"d\\nog"'), "'name' must be one line of printable characters"),
        (json.dumps(PETS).replace('"dog"', '"\\ud800"'), "'name' must be one line of printable characters"),
        (json.dumps(PETS).replace("dog", "d" * 5000), "'name' must have at most 64 characters, has 5000"),
        (json.dumps(PETS).replace("pets", "p" * 65), "'name' must have at most 64 characters, has 65"),
        (json.dumps(TABLE).replace("animal", "a" * 100_000), "has no class called 'aaaa"),
    ],
)  # fmt: skip
def test_it_says_what_is_wrong_in_a_few_words(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "zz.json").write_text(json.dumps(PETS))
    data = text.encode()
    if '"from"' in text:
        (tmp_path / "a.json").write_bytes(data)
        (problem,) = own_files.read([tmp_path / "a.json", tmp_path / "zz.json"]).problems
    else:
        problem = check(tmp_path, data)
    assert message in problem and len(problem) < 1000


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """Editors of some systems put one at the start of every file in UTF-8; UTF-16 is told how to help itself."""
    text = json.dumps(PETS)
    assert check(tmp_path, text.encode("utf-8-sig")) == ""
    for encoding in ("utf-16", "utf-16-le", "utf-32"):
        assert "save it as UTF-8" in check(tmp_path, text.encode(encoding)), encoding


def test_a_folder_or_a_pipe_is_no_file(tmp_path: Path) -> None:
    import os

    (tmp_path / "folder.json").mkdir()
    os.mkfifo(tmp_path / "pipe.json")  # reading one would wait for ever
    library = own_files.read([tmp_path / "folder.json", tmp_path / "pipe.json", tmp_path / "gone.json"])
    assert ["is no file" in problem or "cannot be read" in problem for problem in library.problems] == [True] * 3


def test_a_legend_takes_names_of_any_length() -> None:
    """Of palettes that were made in code; those of files are bounded."""
    names = ["nothing", "d" * 100_000, "two\nlines\tand more"]
    labels = tuple(palettes.Label(i, name, (i, 0, 0)) for i, name in enumerate(names))
    drawn = charts.legend(torch.arange(3)[None], palettes.Palette("long", labels, 0))
    assert drawn.shape[1] == 320
