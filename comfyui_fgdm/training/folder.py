"""The plain folder format of training data: one folder a variable, one picture an example, captions as text.

    FOLDER/segmentation/NAME.png     class indices (grey or indexed PNG; 255 is void) or the exact colours of a palette
    FOLDER/depth/NAME.png            and so on for other variables, and image/ for pictures; jpg and webp are read, too
    FOLDER/captions/NAME.txt         one caption a line; it may also lie beside a picture, FOLDER/image/NAME.txt

Files of one example have one NAME. What does not fit is named before anything is trained.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
CAPTIONS = "captions"


class FolderError(ValueError):
    """Training data that cannot be used; the text names folder and files, and says what to do."""


@dataclass(frozen=True)
class Example:
    """One example: its name, its picture file of each variable, its captions (may be empty)."""

    name: str
    files: dict[str, Path]
    captions: tuple[str, ...]


@dataclass(frozen=True)
class FolderContents:
    """What lies in a folder. counts: pictures of each variable folder. complete: examples that have all wanted variables, by
    name. incomplete: name -> variables it lacks. no_caption: names of complete examples without one. strange: files that are
    neither pictures nor captions."""

    folder: Path
    counts: dict[str, int]
    complete: tuple[Example, ...]
    incomplete: dict[str, tuple[str, ...]]
    no_caption: tuple[str, ...]
    strange: tuple[Path, ...]


def look(folder: Path, variables: Sequence[str]) -> FolderContents:
    """What is there for these variables. FolderError if there is no such folder, or no folder for one of them."""
    if not folder.is_dir():
        raise FolderError(f"data.folder: {folder} is no folder")
    found = {path.name: path for path in sorted(folder.iterdir()) if path.is_dir() and path.name != CAPTIONS}
    for variable in variables:
        if variable not in found:
            there = ", ".join(found) or "no folders"
            raise FolderError(
                f"data.folder: {folder} holds no folder {variable!r} for the {variable} maps; it has {there}. "
                f"Put them there as {variable}/NAME.png"
            )
    pictures: dict[str, dict[str, Path]] = {}
    strange: list[Path] = []
    for variable, place in found.items():
        pictures[variable] = {}
        for path in sorted(place.iterdir()):
            if path.suffix.lower() in PICTURES:
                if path.stem in pictures[variable]:
                    raise FolderError(
                        f"data.folder: {pictures[variable][path.stem].name} and {path.name} in {place} have one name; "
                        "remove one of them"
                    )
                pictures[variable][path.stem] = path
            elif path.suffix.lower() != ".txt":
                strange.append(path)
    names = sorted(set().union(*(pictures[variable] for variable in variables)))
    complete, incomplete = [], {}
    for name in names:
        if lacking := tuple(variable for variable in variables if name not in pictures[variable]):
            incomplete[name] = lacking
        else:
            files = {variable: pictures[variable][name] for variable in pictures if name in pictures[variable]}
            complete.append(Example(name, files, _captions(folder, name, found)))
    return FolderContents(
        folder,
        {variable: len(files) for variable, files in pictures.items()},
        tuple(complete),
        incomplete,
        tuple(example.name for example in complete if not example.captions),
        tuple(strange),
    )


def examples(folder: Path, variables: Sequence[str], without_caption: bool = False) -> tuple[Example, ...]:
    """All examples of a folder. FolderError names what is unpaired, what has no caption, or an empty folder.

    without_caption: examples without a caption are taken all the same; they are learned as for an empty prompt.
    """
    contents = look(folder, variables)
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
        raise FolderError(f"data.folder: {folder} holds no pictures ({', '.join(PICTURES)}){strange}")
    if contents.no_caption and not without_caption:
        some = ", ".join(contents.no_caption[:5])
        raise FolderError(
            f"data.folder: {len(contents.no_caption)} of {len(contents.complete)} examples have no caption: {some}. "
            f"Write {CAPTIONS}/NAME.txt, one caption a line, or set data.without_caption = true"
        )
    return contents.complete


def _captions(folder: Path, name: str, found: dict[str, Path]) -> tuple[str, ...]:
    for place in (folder / CAPTIONS, *found.values()):
        file = place / f"{name}.txt"
        if file.is_file():
            try:
                lines = file.read_text(encoding="utf-8-sig").splitlines()
            except UnicodeDecodeError:
                raise FolderError(f"data.folder: {file} is no text in UTF-8; save it as such") from None
            return tuple(line.strip() for line in lines if line.strip())
    return ()
