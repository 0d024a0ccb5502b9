"""WebDataset shards: tar files whose members of one example follow each other under one name. No splits: use one folder each.

    NAME.image.jpg  NAME.segmentation.png  NAME.depth.png ...     a picture of each variable, as in the plain folder format
    NAME.jpg  NAME.png                                            in short: the photo, and the label map
    NAME.txt                                                      one caption a line

NAME is what is before the first dot of a member's file name, with its folders. Endings are those of the plain format. Shards are
not unpacked: pictures are read from where they lie. So shards must not be compressed (pictures are already).
"""

from __future__ import annotations

import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from . import listing
from .captions import of_text
from .contents import Contents, gather
from .sources import FolderError, Part, PicturePart, file_stamp

_TAR = (".tar", ".tar.gz", ".tgz")  # the latter to say what to do with them
ENDINGS = tuple(ending.removeprefix(".") for ending in listing.PICTURES)
_SHORT = {"jpg": "image", "jpeg": "image", "webp": "image", "png": "segmentation"}


def shards(folder: Path) -> list[Path]:
    """The shards in a folder, or the one that it is; sorted."""
    if folder.is_file():
        return [folder] if folder.name.endswith(_TAR) else []
    return sorted(folder / name for name in listing.names(folder) if name.endswith(_TAR))


def recognised(folder: Path) -> bool:
    """Whether this is a tar file, or a folder of them."""
    return bool(shards(folder))


def variables(folder: Path) -> list[str]:
    """Names of the variables of which the first shard holds pictures, in alphabetical order."""
    found = {_place(file, part.name)[1] for file in shards(folder)[:1] for part in members(file)}
    return sorted(name for name in found if name not in (None, "txt"))  # type: ignore[type-var, arg-type]


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What the shards hold for these variables. FolderError for a shard that is cut off, or two members of one name."""
    files = shards(folder)
    if not files:
        raise FolderError(f"data.folder: {folder} holds no shards (*.tar)")
    found: dict[str, dict[str, PicturePart]] = {variable: {} for variable in variables}
    texts: dict[str, Part] = {}
    strange: list[Path] = []
    for file in files:
        for part in members(file):
            name, variable = _place(file, part.name)
            if variable == "txt":
                texts[name] = part
            elif variable is None:
                strange.append(Path(part.name))
            elif name in found.setdefault(variable, {}):
                raise FolderError(f"{file} holds two pictures of {variable} of the name {name!r}; remove one of them")
            else:
                found[variable][name] = PicturePart(part)
    _require(folder, found, variables, strange)

    def caption(name: str) -> tuple[str, ...]:
        return of_text(texts[name].read(), f"{texts[name].name!r} in {texts[name].file}") if name in texts else ()

    complete, incomplete = gather(found, variables, caption)
    counts = {variable: len(parts) for variable, parts in found.items()}
    return Contents(
        folder, "webdataset", None, counts, complete, incomplete, tuple(strange),
        "NAME.txt in the shards", (f"{len(files)} shards",),
    )  # fmt: skip


def members(file: Path) -> list[Part]:
    """The files in a tar, by where they lie; links, folders and devices are left out. Nothing is unpacked: names are keys.

    FolderError for what is no tar, a compressed one, or one that is cut off.
    """
    stamp = file_stamp(file)
    try:
        with tarfile.open(file, "r:") as tar:
            found = [
                Part(file, one.name, one.offset_data, one.size, tuple(stamp))
                for one in tar
                if one.isreg() and not one.issparse()
            ]
            end = tar.offset
    except (tarfile.TarError, EOFError) as error:
        raise FolderError(f"{_what(file)} ({error})") from None
    except OSError as error:
        raise FolderError(f"{file} cannot be read ({error.strerror or error})") from None
    late = [part for part in found if part.offset + part.size > stamp[1]]
    if late or end + tarfile.BLOCKSIZE > stamp[1]:  # a tar ends with empty blocks
        after = late[0].name if late else found[-1].name if found else "its start"
        raise FolderError(f"{file} is cut off at {after!r}: copy or download it again")
    return found


def _what(file: Path) -> str:
    with file.open("rb") as stream:
        start = stream.read(4)
    if start[:2] == b"\x1f\x8b" or start[:3] == b"BZh" or start == b"\xfd7zX" or start == b"\x28\xb5\x2f\xfd":
        return (
            f"{file} is compressed; unpack it to a plain tar, in which pictures can be found without reading all of it"
        )
    return f"{file} is cut off, damaged or no tar file: copy or download it again"


def _place(file: Path, member: str) -> tuple[str, str | None]:
    """(name of the example, variable, or "txt", or None for what is neither) of a member."""
    folder, _, base = member.rpartition("/")
    key, _, ending = base.partition(".")
    name = f"{file.stem}/{folder}/{key}" if folder else f"{file.stem}/{key}"
    ending = ending.lower()
    variable, _, picture = ending.rpartition(".")
    if ending == "txt" or not key:
        return name, "txt" if key else None
    if variable and "." not in variable and picture in ENDINGS:
        return name, variable
    return name, _SHORT.get(ending)


def _require(
    folder: Path, found: Mapping[str, Mapping[str, PicturePart]], variables: Sequence[str], strange: Sequence[Path]
) -> None:
    for variable in variables:
        if not found[variable]:
            there = ", ".join(name for name, parts in found.items() if parts) or "no pictures"
            also = f", and files such as {strange[0]}" if strange else ""
            raise FolderError(
                f"data.folder: the shards in {folder} hold no {variable} maps; they hold {there}{also}. Members are called "
                f"NAME.{variable}.png, or in short NAME.jpg (image) and NAME.png (segmentation)"
            )
