"""Factor graph diffusion models (FG-DM) for ComfyUI: see README.md.

The host imports this file at start-up, so it only says where things are; nodes are
imported when the host asks for them.
"""

WEB_DIRECTORY = "./web"


async def comfy_entrypoint():
    """Return the extension that lists the nodes (called once by the host)."""
    from .nodes import FGDMExtension

    return FGDMExtension()
