"""Names and tooltips in Chinese: complete, translated, and of the English texts as they are now."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tools import locales

ROOT = Path(__file__).resolve().parents[2]
ENGLISH = locales.read(locales.ENGLISH)
CHINESE = locales.read(locales.CHINESE)
PROPER = {
    "MODEL",
    "CLIP",
    "VAE",
    "CONTROL_NET",
    "Latent",
    "ControlNet",
}  # names of types, which core leaves as they are, too
HOW = "write it into locales/zh/nodeDefs.json, then: python -m tools.locales --translated"


def test_chinese_has_every_text_and_nothing_else() -> None:
    ours, theirs = (dict(locales.texts(tree)) for tree in (ENGLISH, CHINESE))
    assert sorted(set(ours) - set(theirs)) == [], HOW
    assert sorted(set(theirs) - set(ours)) == []


def test_chinese_texts_are_chinese() -> None:
    for path, text in locales.texts(CHINESE):
        assert text in PROPER or re.search(r"[\u4e00-\u9fff]", text), f"{path}: {text!r}"
        assert len(text) > 12 or not path.endswith("description"), f"{path} is no sentence"
        assert not re.search(r"[\u4e00-\u9fff],|[\u4e00-\u9fff];", text), f"{path}: punctuation of another script"


def test_what_names_a_file_a_number_or_an_option_still_does() -> None:
    """Words that the user meets as they are: options of combos, folders, numbers. A translation that loses one misleads."""
    chinese = dict(locales.texts(CHINESE))
    for path, text in locales.texts(ENGLISH):
        kept = re.findall(
            r"models/\w+|\b\d+(?:\.\d+)?\b|\b(?:nearest|official|clean|as drawn|auto|list|joint|next latent|ADE20K|COCO)(?=:)",
            text,
        )
        missing = [word for word in kept if word not in chinese[path]]
        assert not missing, f"{path}: {missing} of {text!r} is not in {chinese[path]!r}"


def test_chinese_is_of_the_present_english() -> None:
    stale = locales.to_translate(ENGLISH, CHINESE, json.loads(locales.SOURCES.read_text("utf-8")))
    assert [path for path, _ in stale] == [], HOW


def test_the_order_is_that_of_the_english_file() -> None:
    assert [path for path, _ in locales.texts(CHINESE)] == [path for path, _ in locales.texts(ENGLISH)]


def test_a_changed_text_is_found() -> None:
    english = {"A": {"inputs": {"x": {"name": "x", "tooltip": "new"}}}}
    chinese = {"A": {"inputs": {"x": {"name": "\u53d8\u91cf", "tooltip": "\u65e7"}}}}
    sources = {"A/inputs/x/name": locales.mark("x"), "A/inputs/x/tooltip": locales.mark("old")}
    assert locales.to_translate(english, chinese, sources) == [("A/inputs/x/tooltip", "new")]
    assert locales.to_translate(english, {}, sources) == [("A/inputs/x/name", "x"), ("A/inputs/x/tooltip", "new")]
