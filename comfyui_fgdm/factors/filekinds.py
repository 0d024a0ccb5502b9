"""What a weights file seems to be, for error messages: told from its first bytes, or from its tensor names."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable
from pathlib import Path


def describe_bytes(path: Path) -> str:
    """What a file that is no readable safetensors file seems to be; never raises for its content."""
    size = path.stat().st_size
    if size == 0:
        return "an empty file"
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.lstrip()[:64].lower()
    if head.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer: the real file was not downloaded"
    if start.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page saved under this name: the download needs to be repeated"
    if head.startswith(b"PK\x03\x04"):
        if not zipfile.is_zipfile(path):
            return "a zip archive, such as a PyTorch pickle (.pth, .ckpt, .pt), that was cut off or damaged"
        return "a zip archive, such as a PyTorch pickle (.pth, .ckpt, .pt)"
    if head.startswith(b"\x80") and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return "an old PyTorch pickle (.pth, .ckpt, .pt)"
    if head.startswith(b"GGUF"):
        return "a GGUF file"
    if head.startswith((b"\x89PNG", b"\xff\xd8\xff")):
        return "a picture"
    if len(head) > 8 and head[8:9] == b"{":
        header = int.from_bytes(head[:8], "little")
        if header + 8 > size:
            return f"a truncated safetensors file: its header alone is {header} bytes, the file has {size}"
        return "a damaged or truncated safetensors file: the sizes in its header do not match the file"
    if start.startswith((b"{", b"[")):
        return "a JSON text"
    return "no weights file known here"


_KINDS = (
    # most specific first: (what it is, parts of names all of which must occur)
    ("a full FG-DM checkpoint, damaged or for another base", ("model.diffusion_model.adapter.",)),
    (
        "a full Stable Diffusion XL checkpoint; load it with Load Checkpoint",
        ("model.diffusion_model.", "conditioner.embedders."),
    ),
    (
        "a full Stable Diffusion checkpoint; load it with Load Checkpoint",
        ("model.diffusion_model.", "first_stage_model."),
    ),
    ("a ControlNet; load it with Load ControlNet Model", ("input_hint_block.",)),
    ("a ControlNet; load it with Load ControlNet Model", ("controlnet_cond_embedding.",)),
    ("a ControlNet; load it with Load ControlNet Model", ("zero_convs.",)),
    ("a T2I-Adapter or a damaged FG-DM adapter", ("body.", ".block1.", "conv_in.weight")),
    ("a damaged FG-DM adapter", ("body.", ".in_layers.0.", ".emb_layers.1.")),
    ("a T2I-Adapter; load it with Load ControlNet Model", ("adapter.body.",)),
    ("an IP-Adapter", ("ip_adapter.",)),
    ("a LoRA; load it with Load LoRA", ("lora_up",)),
    ("a LoRA; load it with Load LoRA", ("lora_A",)),
    ("a LoRA; load it with Load LoRA", (".lora.",)),
    (
        "a diffusion model without its other parts; load it with Load Diffusion Model",
        ("input_blocks.", "output_blocks."),
    ),
    ("a diffusers UNet; load it with Load Diffusion Model", ("down_blocks.", "up_blocks.", "time_embedding.")),
    ("a diffusion transformer; load it with Load Diffusion Model", ("double_blocks.",)),
    ("a VAE; load it with Load VAE", ("encoder.", "decoder.")),
    ("a VAE; load it with Load VAE", ("taesd_decoder.",)),
    ("a CLIP text encoder; load it with Load CLIP", ("text_model.",)),
    ("an upscaling or super-resolution model", ("conv_first.",)),
)


def describe_names(names: Iterable[str]) -> str:
    """What a file with these tensor names seems to be."""
    joined = "\n".join(names)
    if not joined:
        return "a file without tensors"
    for kind, parts in _KINDS:
        if all(part in joined for part in parts):
            return kind
    return "a weights file of a kind not known here"
