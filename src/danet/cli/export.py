"""The command that writes a network for other programs: ``danet export``."""

from __future__ import annotations

import argparse
from typing import Any

from danet.cli.console import add_border_argument, add_force_download_argument, given_path

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add ``export`` to the subparsers of ``danet``."""
    export = commands.add_parser("export", help="write a network as an ONNX model, and check it")
    export.add_argument(
        "name",
        metavar="NAME",
        help="a name of `danet weights list`, organisation/repository, or a path",
    )
    export.add_argument(
        "-o",
        "--output",
        type=given_path,
        required=True,
        metavar="FILE",
        help="such as denoiser.onnx",
    )
    export.add_argument(
        "--kind",
        choices=("denoiser", "generator"),
        default="denoiser",
        help="which network of the weights (default: %(default)s)",
    )
    add_border_argument(export)
    add_force_download_argument(export)
    export.set_defaults(command=_export)


def _export(options: argparse.Namespace) -> int:
    from danet.inference.export import OPSET, TOLERANCE
    from danet.pretrained import Denoiser, NoiseGenerator
    from danet.weights import CATALOGUE

    about = {"weights": options.name}
    if (entry := CATALOGUE.get(options.name)) is not None:
        about |= {"licence": entry.licence, "source": entry.source, "trained_on": entry.data}
    model = Denoiser if options.kind == "denoiser" else NoiseGenerator
    network = model.from_pretrained(
        options.name, device="cpu", border=options.border, force_download=options.force_download
    )
    exported = network.export(options.output, about)
    print(f"{exported.path}: {options.kind}, ONNX opset {OPSET}")
    sizes = ", ".join(" x ".join(map(str, (n, 3, *size))) for n, *size in exported.sizes)
    print(f"    compared with PyTorch at {sizes}")
    print(f"    largest difference {exported.difference:.1e} of [0, 1]; {TOLERANCE} is allowed")
    return 0
