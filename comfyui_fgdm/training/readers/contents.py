"""What lies in a folder of training data: examples, paired by name, and what does not fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from .captions import ClassCaption
from .sources import FolderError, Source


@dataclass(frozen=True)
class Example:
    """One example: its name, the source of each variable ("image": the photo), its captions (may be empty).

    told: makes a caption of what a map shows, for data that has none.
    """

    name: str
    sources: Mapping[str, Source]
    captions: tuple[str, ...] = ()
    told: ClassCaption | None = None

    @property
    def caption_count(self) -> int:
        """How many captions ``texts`` gives, without reading anything."""
        return len(self.captions) or int(self.told is not None)

    def texts(self) -> tuple[str, ...]:
        """The captions as written, or else the one that its map tells, which is read for it."""
        return self.captions if self.captions or self.told is None else (self.told.text(),)


@dataclass(frozen=True)
class Contents:
    """What lies in a folder. format: what it is read as. palette: of its label maps; None: that of the recipe. counts: pictures
    of each variable. complete: examples that have all wanted variables, by name. incomplete: name -> variables it lacks.
    strange: files that are neither pictures nor captions. captions_in: where captions are looked for, in words. notes: what
    else there is to know, line by line."""

    folder: Path
    format: str
    palette: str | None
    counts: Mapping[str, int]
    complete: tuple[Example, ...]
    incomplete: Mapping[str, tuple[str, ...]]
    strange: tuple[Path, ...] = ()
    captions_in: str = "captions/NAME.txt, one caption a line"
    notes: tuple[str, ...] = ()

    @property
    def no_caption(self) -> tuple[str, ...]:
        """Names of complete examples without a caption."""
        return tuple(example.name for example in self.complete if not example.caption_count)


def gather(
    found: Mapping[str, Mapping[str, Source]],
    variables: Sequence[str],
    captions: Callable[[str], tuple[str, ...] | ClassCaption],
) -> tuple[tuple[Example, ...], dict[str, tuple[str, ...]]]:
    """The complete examples of sources by variable and name, and the names that lack one of the wanted variables.

    captions: those of a name, or what tells one.
    """
    complete, incomplete = [], {}
    for name in sorted(set().union(*(found[variable] for variable in variables))):
        if lacking := tuple(variable for variable in variables if name not in found[variable]):
            incomplete[name] = lacking
            continue
        sources = {variable: found[variable][name] for variable in found if name in found[variable]}
        caption = captions(name)
        written = caption if isinstance(caption, tuple) else ()
        complete.append(Example(name, sources, written, caption if isinstance(caption, ClassCaption) else None))
    return tuple(complete), incomplete


def usable(contents: Contents, without_caption: bool = False, captions: int = 0) -> tuple[Example, ...]:
    """The examples of a folder. FolderError names what is unpaired, what has no caption, or an empty folder.

    without_caption: examples without a caption are taken all the same; they are learned as for an empty prompt.
    captions: at most so many are taken of each, the first ones; 0 for all.
    """
    folder = contents.folder
    if contents.incomplete:
        some = "; ".join(
            f"{name} lacks {', '.join(lacking)}" for name, lacking in list(contents.incomplete.items())[:5]
        )
        raise FolderError(
            f"data.folder: {len(contents.incomplete)} examples in {folder} are not complete: {some}. "
            "Add the files, or remove the others of the same name"
        )
    if not contents.complete:
        strange = f"; there are other files, such as {contents.strange[0].name}" if contents.strange else ""
        raise FolderError(f"data.folder: {folder} holds no pictures to train on{strange}")
    missing = contents.no_caption
    if missing and not without_caption:
        raise FolderError(
            f"data.folder: {len(missing)} of {len(contents.complete)} examples have no caption: {', '.join(missing[:5])}. "
            f"They are read from {contents.captions_in}; add them, or set data.without_caption = true"
        )
    if not captions:
        return contents.complete
    return tuple(replace(example, captions=example.captions[:captions]) for example in contents.complete)


def described(contents: Contents, variables: Sequence[str]) -> list[str]:
    """What lies in a folder, line by line, for people."""
    lines = [f"read as {contents.format}", *(f"{count} {name} pictures" for name, count in contents.counts.items())]
    lines.append(f"{len(contents.complete)} examples have all of: {', '.join(variables)}")
    if contents.incomplete:
        lines.append(f"{len(contents.incomplete)} are not complete, such as {next(iter(contents.incomplete))}")
    if contents.no_caption:
        lines.append(f"{len(contents.no_caption)} have no caption, such as {contents.no_caption[0]}")
    if contents.strange:
        lines.append(f"{len(contents.strange)} other files are left alone, such as {contents.strange[0].name}")
    return [*lines, *contents.notes]
