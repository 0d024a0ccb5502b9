"""Inputs that several nodes of this pack have in common."""

from comfy_api.latest import io

from ..comfyui_fgdm.host.choices import OF_THE_FACTOR


def seed(tooltip: str) -> io.Int.Input:
    """A seed widget with the control that changes it after each run."""
    return io.Int.Input("seed", default=0, min=0, max=0xFFFFFFFFFFFFFFFF, control_after_generate=True, tooltip=tooltip)


def cfg(tooltip: str) -> io.Float.Input:
    """A guidance scale."""
    return io.Float.Input("cfg", default=4.0, min=0.0, max=100.0, step=0.1, round=0.01, tooltip=tooltip)


def percent_range(what: str) -> list[io.Float.Input]:
    """start_percent and end_percent: the part of the sampling in which `what` acts."""
    return [
        io.Float.Input(
            name,
            default=default,
            min=0.0,
            max=1.0,
            step=0.001,
            advanced=True,
            tooltip=f"Part of the sampling, 0 to 1, at which {what} {verb} to act.",
        )
        for name, default, verb in (("start_percent", 0.0, "starts"), ("end_percent", 1.0, "stops"))
    ]


def palette(tooltip: str, otherwise: str = OF_THE_FACTOR) -> io.Combo.Input:
    """The name of a palette; ``otherwise``, its default, stands for the one that need not be named."""
    from ..comfyui_fgdm.host import own

    return io.Combo.Input(
        "palette",
        options=[otherwise, *own.library().names],
        default=otherwise,
        optional=True,
        advanced=True,
        tooltip=tooltip,
    )


def language_model(timeout: str) -> list[io.String.Input | io.Float.Input]:
    """model and timeout of a question to the language model that is set up for the server; timeout: its tooltip."""
    return [
        io.String.Input(
            "model",
            default="",
            optional=True,
            advanced=True,
            tooltip="Name of the model at the endpoint. Empty: the one that is set up.",
        ),
        io.Float.Input(
            "timeout", default=30.0, min=1.0, max=600.0, step=1.0, optional=True, advanced=True, tooltip=timeout
        ),
    ]


def named(palette: str, otherwise: str = OF_THE_FACTOR) -> str:
    """The name that a palette widget holds; empty for ``otherwise``."""
    return "" if palette == otherwise else palette
