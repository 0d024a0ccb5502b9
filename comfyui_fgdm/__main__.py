"""Commands of the engine: `convert` makes factor files of checkpoints of the FG-DM release, `objects` reads captions, `recall`
counts what maps hold of theirs, `train` trains factors.

Exit codes: 0 done, 1 refused or failed (the reason on standard error), 2 a command line that makes no sense.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .factors import convert, files
from .maps import kinds
from .objects import command as objects
from .training import command
from .training.backbone import Backbone


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m comfyui_fgdm", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    convert = commands.add_parser("convert", help="take the adapter out of a whole-model checkpoint of the release")
    convert.add_argument("source", metavar="IN", type=Path, help="the checkpoint (.pth, .pt, .ckpt or .safetensors)")
    convert.add_argument("target", metavar="OUT", type=Path, help="the factor file to write (.safetensors)")
    convert.add_argument("--variable", choices=kinds.names(), help="what it draws (default: segmentation)")
    convert.add_argument("--palette", metavar="NAME", help="palette of its maps (default: that of the variable)")
    convert.add_argument("--size", type=int, metavar="PIXELS", help="side of its training pictures (default: 256)")
    convert.add_argument("--licence", metavar="NAME", help="of the weights (default: that of the release)")
    convert.add_argument("--half", action="store_true", help="write 16-bit weights: half the size")
    convert.add_argument("--force", action="store_true", help="overwrite OUT if it exists")
    convert.set_defaults(run=_convert)
    objects.add(commands)
    command.add(commands, {"embedded": _embedded}, _shipped)
    return parser


def _embedded() -> Backbone:
    from .iconworld.family.backbone import TinyBackbone

    return TinyBackbone()


def _shipped(variable: str) -> tuple[Path, Path] | None:
    from .iconworld.family import export

    files = export.files()
    found = files.factor(variable), files.control(variable)
    return found if all(file.is_file() for file in found) else None


def _convert(options: argparse.Namespace) -> None:
    wishes = convert.Wishes(
        options.variable, options.palette, options.licence, options.size, options.half, options.force
    )
    convert.convert(options.source, options.target, wishes, lambda line: print(f"convert: {line}", flush=True))


def main(arguments: list[str] | None = None) -> int:
    """Run a command line and return its exit code; argparse itself exits with 2."""
    options = _parser().parse_args(arguments)
    refusals = (
        *command.REFUSALS,
        *objects.REFUSALS,
        convert.ConvertError,
        files.FactorFileError,
        kinds.VariableError,
        OSError,
    )
    try:
        options.run(options)
    except refusals as error:
        print(f"{options.command}: refused: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
