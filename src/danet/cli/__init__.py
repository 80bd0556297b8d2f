"""The command line: pictures, data sets, training, weights, the benchmarks and the demo."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

import danet
from danet.cli import bench, data, demo, denoise, export, pictures, weights
from danet.cli.console import FAILED, complain, given_path, owned_process
from danet.errors import DanetError, one_line

__all__ = ["main"]

_INTERRUPTED = 130  # what a shell reports for a program that SIGINT ended


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: the words after ``danet``, by default those of this process.

    Returns:
        The exit status: 0, 2 when anything failed, 130 when interrupted.

    Raises:
        SystemExit: the arguments are wrong (2), help or the version was asked for (0), or SIGTERM
            came (143).
    """
    options = _parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], int] = options.command
    try:
        with owned_process():
            return command(options)
    except (DanetError, OSError) as error:
        complain(one_line(error))
        return FAILED
    except ModuleNotFoundError as error:  # danet was installed without what it depends on
        complain(f"this needs {error.name}, which is not installed")
        return FAILED
    except KeyboardInterrupt:
        return _INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="danet", description="Remove noise from photographs, or add noise like a camera's."
    )
    parser.add_argument("--version", action="version", version=f"danet {danet.__version__}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    denoise.add_commands(commands)
    pictures.add_commands(commands)
    data.add_commands(commands)

    train = commands.add_parser("train", help="train networks as a TOML file says")
    train.add_argument("config", type=given_path, metavar="CONFIG", help="the TOML file")
    train.add_argument(
        "changes",
        nargs="*",
        metavar="KEY=VALUE",
        help="settings that come before the file's, such as optimizer.denoiser=2e-4",
    )
    train.add_argument(
        "--init-from",
        metavar="NAME",
        help="name, folder or file of weights to start from, such as photo",
    )
    train.set_defaults(command=_train)

    bench.add_commands(commands)
    weights.add_commands(commands)
    export.add_commands(commands)
    demo.add_commands(commands)
    return parser


def _train(options: argparse.Namespace) -> int:
    from danet.train import train_from_file

    changes = list(options.changes)
    if options.init_from is not None:
        changes.append(f"init_from={options.init_from}")
    print(train_from_file(options.config, changes))
    return 0
