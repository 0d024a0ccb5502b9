"""What the map editor in the browser asks the server for while text is written on a sketch: the letters, exactly as Edit Map will write
them, and the names of the fonts there are."""

from __future__ import annotations

import asyncio
import io
import os
from collections.abc import Mapping
from pathlib import Path

import folder_paths
from aiohttp import web

# The host's start loads this file, so the functions import what they need.

LETTERS, FONTS = "/fgdm/letters", "/fgdm/fonts"
MOST_FONTS = 500
LARGEST_MAP = 16_384


def register() -> None:
    """Add the two addresses to the host's server; nothing happens where there is none."""
    from server import PromptServer

    server = getattr(PromptServer, "instance", None)
    if server is None:
        return
    server.routes.get(LETTERS)(_letters)
    server.routes.get(FONTS)(_fonts)


async def _letters(request: web.Request) -> web.Response:
    """A grey PNG of how much of each pixel the letters cover. 204: they show nothing. 400: what is asked for is wrong, with why."""
    from ..editing.regions import Gone

    try:
        data = await asyncio.get_running_loop().run_in_executor(None, picture, dict(request.query))
    except Gone:
        return web.Response(status=204)
    except ValueError as error:
        return web.json_response({"error": str(error)}, status=400)
    return web.Response(body=data, content_type="image/png", headers={"Cache-Control": "no-store"})


async def _fonts(request: web.Request) -> web.Response:
    return web.json_response(await asyncio.get_running_loop().run_in_executor(None, font_names))


def picture(query: Mapping[str, str]) -> bytes:
    """The PNG for a query of text, size, width and height of the map, and perhaps font. ValueError for one that Edit Map would refuse, Gone for
    letters that show nothing."""
    import numpy as np
    from PIL import Image

    from ..editing import keys, sketch
    from . import value_editing

    try:
        size, width, height = (float(query[name]) for name in ("size", "width", "height"))
    except (KeyError, ValueError):
        raise ValueError("size, width and height have to be numbers") from None
    size = keys.WIDTH.read(size, None)
    text = keys.text(sketch.LONGEST).read(query.get("text"), None)
    sides = keys.number(1, LARGEST_MAP)
    map_size = int(sides(width, None)), int(sides(height, None))
    font = query.get("font")
    covered = sketch.letters(text, size, map_size, value_editing.font(font, size) if font else None)
    out = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(covered)).save(out, "PNG", compress_level=1)
    return out.getvalue()


def font_names() -> list[str]:
    """Names of the font files in the host's input folder and the folders in it, in alphabetical order."""
    from . import value_editing

    base = Path(folder_paths.get_input_directory())
    found = []
    for folder, _, files in os.walk(base):
        inside = (Path(folder, name).relative_to(base).as_posix() for name in files)
        found += [name for name in inside if Path(name).suffix.lower() in value_editing.FONTS]
        if len(found) >= MOST_FONTS:
            break
    return sorted(found[:MOST_FONTS])
