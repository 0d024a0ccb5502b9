"""JSON files of a user's own: palettes, and tables of the classes of one palette in another.

A file with "labels" is a palette (format: palette_file.py), one with "classes" a table (format: conversion.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from . import conversion, palettes
from .conversion import Table
from .json_file import PaletteError, read_json
from .library import Library
from .palette_file import Palette, read_palette


def read(paths: Sequence[Path]) -> Library:
    """The palettes and tables in these files; a table may name palettes of any of them.

    A file that cannot be used is left out, whatever is wrong with it: nothing is raised.
    """
    found: dict[str, tuple[Path, Palette]] = {}
    tables: dict[tuple[str, str], tuple[Path, Table]] = {}
    table_paths, problems = [], []
    for path in paths:
        try:
            if _is_table(path):
                table_paths.append(path)
                continue
            palette = read_palette(path)
            _check_name(path, palette, found)
            found[palette.name] = path, palette
        except Exception as error:
            problems.append(_problem(path, error))
    own = [palette for _, palette in found.values()]
    for path in table_paths:
        try:
            table = conversion.read_table(path, *own)
            _check_pair(path, table, tables)
            tables[table.source.name, table.target.name] = path, table
        except Exception as error:
            problems.append(_problem(path, error))
    return Library(tuple(own), tuple(table for _, table in tables.values()), tuple(problems))


def _problem(path: Path, error: Exception) -> str:
    """What is wrong with a file, as one line of printable characters: its path first, then what and the remedy."""
    what = (
        str(error) if isinstance(error, PaletteError) else f"{path}: cannot be used ({type(error).__name__}: {error})"
    )
    what = what.removeprefix(f"{path}: ")
    line = f"{path}: {what if len(what) <= 500 else what[:497] + '...'}"
    return "".join(c if c.isprintable() else "?" for c in line)


def _is_table(path: Path) -> bool:
    try:
        raw = read_json(path)
    except PaletteError as error:
        raise PaletteError(f"{path}: {error}") from None
    if "labels" not in raw and "classes" not in raw:
        raise PaletteError(
            f"{path}: is neither a palette (with 'labels') nor a table of classes (with 'classes'); "
            "add what is missing, or remove the file"
        )
    return "labels" not in raw


def _check_name(path: Path, palette: Palette, found: dict[str, tuple[Path, Palette]]) -> None:
    if palette.name in palettes.NAMES:
        raise PaletteError(f"{path}: the name {palette.name!r} is that of a shipped palette; write another")
    if palette.name in found:
        raise PaletteError(
            f"{path}: there is a palette {palette.name!r} already, in {found[palette.name][0].name}; "
            "give one another name, or remove one"
        )


def _check_pair(path: Path, table: Table, found: dict[tuple[str, str], tuple[Path, Table]]) -> None:
    pair = table.source.name, table.target.name
    if table.source == table.target:
        raise PaletteError(f"{path}: 'from' and 'to' are one palette; a table joins two")
    if pair in found:
        raise PaletteError(
            f"{path}: there is a table from {pair[0]!r} to {pair[1]!r} already, in {found[pair][0].name}; remove one"
        )
