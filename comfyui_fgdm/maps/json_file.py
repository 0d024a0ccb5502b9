"""JSON files that people write: reading one, and saying what is wrong with it."""

from __future__ import annotations

import json
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MAX_NAME = 64
MAX_BYTES = 1_000_000


class PaletteError(ValueError):
    """A label, class, picture or file that a palette cannot represent."""


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file; PaletteError if it cannot be read, is something else or repeats a key."""
    try:
        raw = json.loads(_text(Path(path)), object_pairs_hook=_without_repeats)
    except OSError as error:
        raise PaletteError(f"cannot be read ({error.strerror or error}); check the path") from None
    except json.JSONDecodeError as error:
        raise PaletteError(f"is not JSON: {error.msg} in line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise PaletteError("is not JSON of a palette: nested too deeply") from None
    except PaletteError:
        raise
    except ValueError:  # of Python's limit, some 4300
        raise PaletteError("holds a number of too many digits; colours and indices have at most four") from None
    if not isinstance(raw, dict):
        raise PaletteError(f"must hold a JSON object {{...}}, not {type(raw).__name__}")
    return raw


def _text(path: Path) -> str:
    """The text of a file; OSError if it cannot be read, PaletteError for one that is too large or no text."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise PaletteError("is no file; remove it")
    if found.st_size > MAX_BYTES:
        raise PaletteError(
            f"is {found.st_size / 1e6:.1f} MB, a palette or table has at most {MAX_BYTES / 1e6:.1f} MB; remove it"
        )
    try:
        text = path.read_bytes().decode("utf-8-sig")  # some editors begin files with a byte order mark
    except UnicodeDecodeError:
        raise PaletteError("is no text in UTF-8; save it as UTF-8") from None
    if "\0" in text:
        raise PaletteError("is no text in UTF-8 (it looks like UTF-16 or UTF-32); save it as UTF-8")
    return text


def said(value: Any, most: int = 80) -> str:
    """A value for a message: shortened, in printable characters."""
    try:
        text = json.dumps(value) if isinstance(value, (dict, list)) else repr(value)
    except (RecursionError, ValueError):
        text = f"a {type(value).__name__}"
    return text if len(text) <= most else text[: most - 3] + "..."


def check_name(value: Any, where: str = "'name' ") -> str:
    """A name without blanks around it; PaletteError unless it is one line of 1 to ``MAX_NAME`` printable characters."""
    if not isinstance(value, str) or not value.strip():
        raise PaletteError(f"{where}must be a text that is not empty, got {said(value)}")
    if len(name := value.strip()) > MAX_NAME:
        raise PaletteError(f"{where}must have at most {MAX_NAME} characters, has {len(name)}; shorten it")
    if not name.isprintable():
        raise PaletteError(f"{where}must be one line of printable characters, got {said(name)}")
    return name


def check_fields(raw: dict[str, Any], required: Sequence[str], optional: Sequence[str], where: str = "") -> None:
    """PaletteError if a field is missing or unknown; ``where`` names the entry, with a colon at its end."""
    for name in required:
        if name not in raw:
            raise PaletteError(f"{where}{name!r} is missing; add it")
    for name in raw:
        if name not in (*required, *optional):
            known = ", ".join((*required, *optional))
            raise PaletteError(f"{where}unknown field {said(name)}; remove or rename it, the fields are {known}")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise PaletteError(f"{said(key)} is there twice; remove one")
        found[key] = value
    return found
