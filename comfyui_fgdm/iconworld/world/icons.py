"""Fetch the open-licence icon sets and rasterise them into a bank (training time only).

The sets are npm packages: Noto (two generations, Apache-2.0) and Fluent (colour and flat, MIT) for training,
Twemoji (CC-BY-4.0) held out as a style never seen in training. Nothing fetched is ever committed.
"""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from .classes import THINGS, TINTS

TRAIN_STYLES = ("noto", "noto-v1", "fluent-emoji", "fluent-emoji-flat")
HELD_OUT_STYLE = "twemoji"
PACKAGES = {
    "noto": "1.2.9",
    "noto-v1": "1.2.5",
    "fluent-emoji": "1.2.7",
    "fluent-emoji-flat": "1.2.6",
    "twemoji": "1.2.5",
}
SIZE = 112


@dataclass(frozen=True)
class Icon:
    """rgba: uint8 H x W x 4, cropped to its content. tints: the same icon recoloured, by colour word."""

    name: str
    style: str
    rgba: np.ndarray
    tints: dict[str, np.ndarray]

    @cached_property
    def silhouette(self) -> np.ndarray:
        return silhouette(self.rgba)


def silhouette(rgba: np.ndarray) -> np.ndarray:
    """uint8 H x W, 255 inside the outline of what is drawn and 0 outside. Holes belong to the thing (a wheel is a disc), as in
    COCO's polygons."""
    return np.asarray(ndimage.binary_fill_holes(rgba[..., 3] > 127)).astype(np.uint8) * 255


def fetch(folder: Path) -> None:
    """Install the icon packages with npm into `folder` (a cache, ignored by git). Needs npm and the registry."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted = [f"@iconify-json/{name}@{version}" for name, version in PACKAGES.items()]
    manifest = folder / "package.json"
    if not manifest.exists():
        manifest.write_text('{"private": true}')
    command = ["npm", "install", "--no-audit", "--no-fund", *wanted]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"npm could not install the icon packages into {folder}: {done.stderr.strip()[-500:]}")


def licences(folder: Path) -> dict[str, dict]:
    """Licence and author of each installed set, from the package itself: {style: {title, spdx, author, version}}."""
    result = {}
    for style in PACKAGES:
        root = folder / "node_modules/@iconify-json" / style
        info = json.loads((root / "info.json").read_text())
        version = json.loads((root / "package.json").read_text())["version"]
        result[style] = {
            "name": info["name"],
            "author": info["author"]["name"],
            "url": info["author"]["url"],
            "spdx": info["license"]["spdx"],
            "version": version,
        }
    return result


def _svg(collection: dict, name: str) -> str | None:
    alias = collection.get("aliases", {}).get(name)
    body = collection["icons"].get(alias["parent"] if alias else name)
    if body is None:
        return None
    width = body.get("width", collection.get("width", 16))
    height = body.get("height", collection.get("height", 16))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{SIZE}" height="{SIZE}">{body["body"]}</svg>'
    )


def _raster(svg: str) -> np.ndarray:
    import resvg_py

    png = resvg_py.svg_to_bytes(svg_string=svg)
    rgba = np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGBA"))
    solid = rgba[..., 3] > 127
    if not solid.any():
        raise ValueError("an icon without a solid pixel")
    rows, columns = np.flatnonzero(solid.any(1)), np.flatnonzero(solid.any(0))
    return rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].copy()


def tint(rgba: np.ndarray, hue: float) -> np.ndarray:
    """Recolour the saturated pixels of an icon to one hue (degrees); greys, black and white stay."""
    hsv = np.asarray(Image.fromarray(rgba[..., :3]).convert("HSV")).astype(np.int16)
    coloured = hsv[..., 1] > 60
    hsv[..., 0] = np.where(coloured, int(hue / 360 * 255), hsv[..., 0])
    hsv[..., 1] = np.where(coloured, np.maximum(hsv[..., 1], 150), hsv[..., 1])
    rgb = np.asarray(Image.fromarray(hsv.astype(np.uint8), "HSV").convert("RGB"))
    return np.dstack([rgb, rgba[..., 3]])


def build_bank(folder: Path, cache: Path) -> dict[int, list[Icon]]:
    """All icons of all classes, by COCO label index; rasterised once and cached in `cache` (an .npz file)."""
    if cache.exists():
        return load_bank(cache)
    arrays, index = {}, []
    for style in PACKAGES:
        collection = json.loads((folder / "node_modules/@iconify-json" / style / "icons.json").read_text())
        for thing in THINGS:
            for name in thing.icons:
                svg = _svg(collection, name)
                if svg is None:
                    continue
                arrays[f"a{len(index)}"] = _raster(svg)
                index.append({"index": thing.index, "name": name, "style": style})
    cache.parent.mkdir(parents=True, exist_ok=True)
    np.savez(cache, index=np.array(json.dumps(index)), **arrays)
    return load_bank(cache)


def load_bank(cache: Path) -> dict[int, list[Icon]]:
    """Read a cached bank; the tints are made here, they are cheap."""
    bank: dict[int, list[Icon]] = {}
    tintable = {thing.index for thing in THINGS if thing.tint}
    with np.load(cache) as data:
        for number, entry in enumerate(json.loads(str(data["index"]))):
            rgba = data[f"a{number}"]
            tints = {word: tint(rgba, hue) for word, hue in TINTS.items()} if entry["index"] in tintable else {}
            bank.setdefault(entry["index"], []).append(Icon(entry["name"], entry["style"], rgba, tints))
    return bank
