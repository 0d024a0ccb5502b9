"""Command lines about objects: `objects` reads a caption, `recall` counts what maps hold of what their captions ask for."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from PIL import Image

from ..maps import palettes
from ..maps.palette_file import Palette, PaletteError
from . import folder_maps, recall, tally, words
from .query import ObjectsError
from .sentence import Reading
from .tally_chart import tally_chart

REFUSALS = (PaletteError, ObjectsError)


def add(commands) -> None:
    """Both, to the sub-commands of a parser."""
    objects = commands.add_parser("objects", help="which objects a caption asks for, and which words name none")
    objects.add_argument("caption", metavar="CAPTION", help="a prompt or a list")
    _about_reading(objects)
    objects.add_argument("--mode", choices=[mode.value for mode in words.ObjectMode], default="auto")
    objects.add_argument("--json", action="store_true", help='print {"objects", "unmatched", "not_representable"}')
    objects.set_defaults(run=_objects)
    held = commands.add_parser(
        "recall", help="recall of a folder of segmentation maps, object by object, such as the attributes of faces"
    )
    held.add_argument(
        "folder", metavar="FOLDER", type=Path, help="of the maps, or one that holds segmentation/ and captions/"
    )
    held.add_argument(
        "--captions", metavar="FOLDER", type=Path, help="of NAME.txt (default: beside the maps, or captions/)"
    )
    held.add_argument("--caption", metavar="TEXT", help="one for all maps")
    _about_reading(held)
    held.add_argument("--json", action="store_true", help="print it as JSON")
    held.add_argument("--chart", metavar="FILE", type=Path, help="write the histogram as a picture (.png)")
    held.set_defaults(run=_recall)


def _about_reading(parser: argparse.ArgumentParser) -> None:
    shipped = ", ".join(palettes.NAMES)
    parser.add_argument(
        "--palette",
        metavar="NAME",
        default=palettes.COCO.name,
        help=f"{shipped}, or a JSON file (default: %(default)s)",
    )
    parser.add_argument(
        "--counts",
        action="store_true",
        help='"three dogs" asks for three; the JSON of objects then has "counts" as well',
    )
    parser.add_argument("--absences", action="store_true", help='"no cars" asks for maps without cars')


def _palette(name: str) -> Palette:
    return palettes.read_palette(Path(name)) if name.endswith(".json") else palettes.get(name)


def _objects(options: argparse.Namespace) -> None:
    """not_representable: what the caption asks for and no map of the palette can hold."""
    reading = Reading(options.counts, options.absences)
    query = words.read(options.caption, options.mode, _palette(options.palette), reading)
    if options.json:
        missing = [phrase for phrase, _ in query.not_representable]
        found: dict = {"objects": list(query.names), "unmatched": list(query.unmatched), "not_representable": missing}
        if options.counts:
            found["counts"] = {item.name: item.count for item in query.items if not item.absent}
        print(json.dumps(found, ensure_ascii=False))
    else:
        print(words.describe(query) or "nothing")


def _recall(options: argparse.Namespace) -> None:
    palette, reading = _palette(options.palette), Reading(options.counts, options.absences)
    found = tally.tally(
        _scored(one, palette, reading) for one in folder_maps.maps_of(options.folder, options.captions, options.caption)
    )
    if not found.recalls:
        raise ObjectsError(
            f"none of the captions of {found.without} maps names an object of {palette.name!r}; name another palette"
        )
    if options.chart is not None:
        Image.fromarray(tally_chart(found, palette)).save(options.chart, format="PNG")
    if options.json:
        print(json.dumps(found.to_json(), ensure_ascii=False))
        return
    print(f"recall {found.recall:.3f} of {len(found.recalls)} maps")
    if found.without:
        print(f"not counted: {found.without} maps whose captions name no object")
    for name, one in found.objects.items():
        print(f"{one.recall:.3f}  {one.held} of {one.asked}  {name}")


def _scored(one: folder_maps.MapFile, palette: Palette, reading: Reading):
    query = words.read(one.caption, words.ObjectMode.AUTO, palette, reading)
    scores = recall.score(folder_maps.labels_of(one.path, palette), query) if query.items else None
    return scores, query
