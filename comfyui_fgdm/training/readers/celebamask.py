"""CelebAMask-HQ as published, CelebAMask-HQ.zip. Splits: train, val, test, all.

    FOLDER/CelebA-HQ-img/0.jpg
    FOLDER/CelebAMask-HQ-mask-anno/0/00000_hair.png     one mask a part, 2000 pictures a folder
    FOLDER/CelebAMask-HQ-attribute-anno.txt             40 attributes of each picture, 1 or -1
    FOLDER/CelebA-HQ-to-CelebA-mapping.txt              the number in CelebA, which decides the split
    FOLDER/celeba-caption/0.txt                         captions of Multi-Modal-CelebA-HQ, if they are there

FOLDER may also be the one that holds CelebAMask-HQ. The masks are merged in the order of the data set's own script, which is that
of the palette: a later part covers an earlier one. Captions are made of the attributes where there are no written ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...maps import palettes
from . import listing
from .captions import lines, listed, written
from .contents import Contents, gather
from .labels import PartMasks
from .sources import FolderError, PictureFile, Source

PALETTE = "celebamask19"
ARCHIVE = "CelebAMask-HQ.zip"
PARTS = (
    *("skin", "nose", "eye_g", "l_eye", "r_eye", "l_brow", "r_brow", "l_ear", "r_ear", "mouth", "u_lip", "l_lip"),
    *("hair", "hat", "ear_r", "neck_l", "neck", "cloth"),
)
"""Names of the masks; the label of a part is its place, counted from 1."""

_SPLITS = {"train": (0, 162771), "val": (162771, 182638), "test": (182638, 1 << 31), "all": (0, 1 << 31)}

_IS = {"Chubby": "chubby", "Bald": "bald", "Smiling": "smiling"}
_HAS = {
    "Black_Hair": "black hair", "Blond_Hair": "blond hair", "Brown_Hair": "brown hair", "Gray_Hair": "gray hair",
    "Straight_Hair": "straight hair", "Wavy_Hair": "wavy hair", "Bangs": "bangs", "Receding_Hairline": "a receding hairline",
    "Arched_Eyebrows": "arched eyebrows", "Bushy_Eyebrows": "bushy eyebrows", "Narrow_Eyes": "narrow eyes",
    "Bags_Under_Eyes": "bags under the eyes", "Big_Nose": "a big nose", "Pointy_Nose": "a pointy nose", "Big_Lips": "big lips",
    "Mouth_Slightly_Open": "a slightly open mouth", "High_Cheekbones": "high cheekbones", "Rosy_Cheeks": "rosy cheeks",
    "Oval_Face": "an oval face", "Double_Chin": "a double chin", "Pale_Skin": "pale skin", "Mustache": "a mustache",
    "Goatee": "a goatee", "Sideburns": "sideburns", "5_o_Clock_Shadow": "a five o'clock shadow", "Heavy_Makeup": "heavy makeup",
}  # fmt: skip
_WEARS = {
    "Eyeglasses": "eyeglasses", "Wearing_Hat": "a hat", "Wearing_Earrings": "earrings", "Wearing_Necklace": "a necklace",
    "Wearing_Necktie": "a necktie", "Wearing_Lipstick": "lipstick",
}  # fmt: skip


def root_of(folder: Path) -> Path:
    """The folder itself, or CelebAMask-HQ in it."""
    inner = folder / "CelebAMask-HQ"
    return inner if listing.is_folder(inner) else folder


def recognised(folder: Path) -> bool:
    """Whether a folder looks like CelebAMask-HQ."""
    root = root_of(folder)
    return any(listing.is_folder(root / name) for name in ("CelebAMask-HQ-mask-anno", "CelebA-HQ-img"))


def look(folder: Path, variables: Sequence[str], split: str) -> Contents:
    """What is there for these variables, of "image" and "segmentation". FolderError says what is missing, and where it was looked for."""
    root, remedy = root_of(folder), f"{ARCHIVE} holds it"
    chosen = _chosen(root, split)
    found: dict[str, Mapping[str, Source]] = {}
    strange: list[Path] = []
    if "segmentation" in variables:
        masks, strange = _masks(listing.first(root, ("CelebAMask-HQ-mask-anno",), "masks", remedy))
        found["segmentation"] = {name: one for name, one in masks.items() if chosen is None or name in chosen}
    if "image" in variables:
        files, _ = listing.pictures(listing.first(root, ("CelebA-HQ-img",), "photos", remedy))
        found["image"] = {name: PictureFile(p) for name, p in files.items() if chosen is None or name in chosen}
    told = _told(root / "CelebAMask-HQ-attribute-anno.txt")
    texts = written(root / "celeba-caption")
    complete, incomplete = gather(
        found, variables, lambda name: lines(texts[name]) if name in texts else told.get(name, ())
    )
    counts = {variable: len(files) for variable, files in found.items()}
    notes = (f"{len(texts)} files of written captions, else captions of the attributes",)
    return Contents(
        folder, "celebamask", PALETTE, counts, complete, incomplete, tuple(strange), f"CelebAMask-HQ-attribute-anno.txt of {ARCHIVE}", notes
    )  # fmt: skip


def _masks(place: Path) -> tuple[dict[str, PartMasks], list[Path]]:
    """(the masks of each picture by its name, files that are no mask of a part)."""
    parts: dict[int, dict[int, PictureFile]] = {}
    strange: list[Path] = []
    for folder in listing.folders(place).values():
        for name in listing.names(folder):
            number, _, part = name.removesuffix(".png").partition("_")
            if number.isdecimal() and part in PARTS and name.endswith(".png"):
                parts.setdefault(int(number), {})[PARTS.index(part) + 1] = PictureFile(folder / name)
            else:
                strange.append(folder / name)
    void = palettes.get(PALETTE).void
    return {str(n): PartMasks(tuple(sorted(one.items())), PALETTE, void) for n, one in parts.items()}, strange


def _chosen(root: Path, split: str) -> set[str] | None:
    """Names of the pictures of a split; None: all."""
    if split not in _SPLITS:
        raise FolderError(f"data.split: CelebAMask-HQ has no split {split!r}; there are {', '.join(_SPLITS)}")
    if split == "all":
        return None
    file = root / "CelebA-HQ-to-CelebA-mapping.txt"
    if not file.is_file():
        raise FolderError(
            f"data.split: {root} holds no {file.name}, which says what belongs to the split {split!r}; it comes with {ARCHIVE}. "
            'Or set data.split = "all"'
        )
    first, after = _SPLITS[split]
    rows = [line.split() for line in lines(file)]
    return {row[0] for row in rows if len(row) >= 2 and row[1].isdecimal() and first <= int(row[1]) < after}


def _told(file: Path) -> dict[str, tuple[str, ...]]:
    """One caption for each picture, of its attributes; none if there is no file of them."""
    if not file.is_file():
        return {}
    header, *rows = lines(file)[1:] or ("",)  # the first line is how many there are
    names = header.split()
    found = {}
    for row in rows:
        name, *values = row.split()
        if len(values) != len(names) or not names:
            raise FolderError(
                f"{file}: {name!r} has {len(values)} values for {len(names)} attributes; take it from {ARCHIVE} anew"
            )
        found[Path(name).stem] = (caption({key for key, value in zip(names, values, strict=True) if value == "1"}),)
    return found


def caption(attributes: set[str]) -> str:
    """A caption of CelebA's attributes: what can be seen, but for judgements of taste."""
    words = ["young"] * ("Young" in attributes) + [word for key, word in _IS.items() if key in attributes]
    text = " ".join(["a", *words, "man" if "Male" in attributes else "woman"])
    has, wears = ([word for key, word in table.items() if key in attributes] for table in (_HAS, _WEARS))
    return text + (f" with {listed(has)}" if has else "") + (f", wearing {listed(wears)}" if wears else "")
