"""What the nodes that train have in common: their inputs, and the recipe that these are."""

from __future__ import annotations

from typing import Any

from comfy_api.latest import io


def number(
    name: str, default: float, low: float, high: float, tooltip: str, step: float = 1.0, advanced: bool = True,
    optional: bool = False,
):  # fmt: skip
    """A number widget of whole numbers, or of fractions where ``step`` is one."""
    kind = io.Int.Input if isinstance(default, int) else io.Float.Input
    extra = {} if isinstance(default, int) else {"round": False}
    return kind(
        name,
        default=default,
        min=low,
        max=high,
        step=step,
        advanced=advanced,
        optional=optional,
        tooltip=tooltip,
        **extra,
    )


def frozen_base() -> list[Any]:
    """Sockets of the model that is trained on."""
    return [
        io.Model.Input("model", tooltip="The base model, with its LoRAs. It stays frozen, and as it is."),
        io.Clip.Input("clip", tooltip="The text encoder of the base; it stays frozen."),
        io.Vae.Input("vae", tooltip="The VAE of the base; it turns maps into latents, once."),
    ]


def training_folder(holds: str) -> Any:
    """The widget of the folder; holds: what has to be in it."""
    from ..comfyui_fgdm.host import datafolders

    tooltip = f"A folder in ComfyUI's input folder that holds {holds}."
    return io.Combo.Input("folder", options=datafolders.names(), tooltip=tooltip)


def peak_rate(default: float) -> Any:
    """The widget of the learning rate."""
    return number(
        "learning_rate", default, 1e-7, 1e-1, "Highest learning rate; it rises at first and falls to zero.", 1e-6, False
    )


def picture_edge(default: int) -> Any:
    """The widget of the size."""
    return number("size", default, 32, 1024, "Edge of the training pictures in pixels, a multiple of 8.", 8, False)


def distilling() -> Any:
    """The widget of attention distillation."""
    return number(
        "distillation", 0.0, 0.0, 10.0, "Weight of attention distillation (equation 7 of the paper); 0: none.", 0.01
    )


def mirrored() -> Any:
    """The widget of mirrored views."""
    return io.Boolean.Input(
        "flip", default=True, advanced=True, tooltip="Show every picture mirrored as well. Off for poses."
    )


def course(seed: str) -> list[Any]:
    """Widgets of how a training runs; seed: what it is of."""
    return [
        io.Boolean.Input("without_caption", default=False, advanced=True, tooltip="Take pictures without a caption, too."),
        number("report_every", 200, 1, 100_000, "Steps between validations, sheets of samples and checkpoints."),
        number("seed", 0, 0, 2**63 - 1, seed, advanced=False),
        io.Boolean.Input(
            "start_anew", default=False, advanced=True, tooltip="Off: an earlier training of the same settings goes on where it "
            "stopped. On: a new one, in a folder of its own.",
        ),
    ]  # fmt: skip


def of_folder(folder: Any) -> str:
    """Changes with the files of a training folder."""
    from ..comfyui_fgdm.host import datafolders

    return datafolders.fingerprint(folder) if isinstance(folder, str) else ""


def names_in(text: str) -> list[str]:
    """Names separated by commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def sections(factor: dict, data: dict, training: dict, report_every: int) -> dict[str, dict]:
    """The sections of a recipe, from those of widgets."""
    return {
        "factor": factor,
        "data": data,
        "training": {**training, "warmup": max(1, min(200, training["steps"] // 10))},
        "watch": dict.fromkeys(("validate_every", "sample_every", "save_every"), report_every),
    }
