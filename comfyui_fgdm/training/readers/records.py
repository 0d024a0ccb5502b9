"""Large JSON files of annotations, read piece by piece: what is kept of each record is the caller's choice, so that a file of
several hundred megabytes never lies in memory, neither as text nor as objects."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .sources import FolderError

PIECE = 1 << 20
_SPACES = re.compile(r"[ \t\r\n]*")


def records(file: Path, sections: tuple[str, ...], origin: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """(section, record) of these lists of objects in a file {"images": [...], "annotations": [...]}, in the order of the file.

    origin: the download that holds such a file, for errors. FolderError, as soon as it is met, for a file that cannot be
    read, ends too early, is no JSON or lacks one of the sections.
    """
    try:
        with file.open("r", encoding="utf-8-sig") as stream:
            seen = yield from _Scanner(stream).sections(sections)
    except OSError as error:
        raise FolderError(f"{file} cannot be read ({error.strerror or error}); it comes with {origin}") from None
    except UnicodeDecodeError:
        raise FolderError(f"{file} is no text in UTF-8; it comes with {origin}") from None
    except _Broken as error:
        raise FolderError(f"{file} {error}; take it from {origin} anew") from None
    missing = [name for name in sections if name not in seen]
    if missing:
        raise FolderError(
            f"{file} is no annotation file: it has no list {missing[0]!r}, but {', '.join(map(repr, sorted(seen))) or 'nothing'}. "
            f"The right one comes with {origin}"
        )


class _Broken(ValueError):
    """What is wrong with a JSON text, as the end of a sentence."""


class _Scanner:
    """Reads the top level of a JSON object from a stream; values are left to the decoder of the standard library."""

    def __init__(self, stream: Any) -> None:
        self.stream, self.text, self.at, self.ended = stream, "", 0, False
        self.decoder = json.JSONDecoder()

    def sections(self, wanted: tuple[str, ...]) -> Iterator[Any]:
        """Yields (section, object); returns the names of all sections, those that are lists of objects or empty."""
        seen: set[str] = set()
        self.expect("{", "is no JSON object")
        while not self.skip("}"):
            if seen:
                self.expect(",", "is no JSON")
            name = self.value()
            self.expect(":", "is no JSON")
            seen.add(str(name))
            if name in wanted:
                for record in self.items():
                    if not isinstance(record, dict):
                        raise _Broken(f"is no annotation file: {name!r} holds {str(record)[:20]!r}")
                    yield name, record
            elif self.peek() == "[":
                for _ in self.items():
                    pass
            else:
                self.value()
        return seen

    def items(self) -> Iterator[Any]:
        """The values of a list, one by one."""
        self.expect("[", "is no annotation file: a list was expected")
        if self.skip("]"):
            return
        while True:
            yield self.value()
            after = self.peek()
            if after not in (",", "]"):
                raise _Broken("is no JSON" if after else "ends in the middle")
            self.at += 1
            if after == "]":
                return

    def peek(self) -> str:
        """The next character that is no space; empty at the end."""
        while True:
            self.at = _SPACES.match(self.text, self.at).end()  # type: ignore[union-attr]
            if self.at < len(self.text) or not self.more():
                return self.text[self.at : self.at + 1]

    def skip(self, character: str) -> bool:
        if self.peek() != character:
            return False
        self.at += 1
        return True

    def expect(self, character: str, what: str) -> None:
        if not self.skip(character):
            raise _Broken("ends in the middle" if not self.peek() else what)

    def value(self) -> Any:
        """The next value, whole."""
        if not self.peek():
            raise _Broken("ends in the middle")
        while True:
            try:
                value, end = self.decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError as error:
                if not self.more():
                    raise _Broken(f"ends in the middle or is no JSON ({error.msg})") from None
                continue
            except RecursionError:
                raise _Broken("is nested too deeply") from None
            if end < len(self.text) or not self.more():  # a number may go on in the next piece
                self.at = end
                return value

    def more(self) -> bool:
        """Another piece of the stream; what was read before ``at`` is dropped. False at the end."""
        if self.ended:
            return False
        piece = self.stream.read(max(PIECE, len(self.text) - self.at))
        self.ended = not piece
        if piece:
            self.text, self.at = self.text[self.at :] + piece, 0
        return bool(piece)
