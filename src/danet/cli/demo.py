"""The command that serves a page to try danet on: ``danet demo``."""

from __future__ import annotations

import argparse
from typing import Any

from danet.cli.console import at_least

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the command to the subparsers of ``danet``."""
    demo = commands.add_parser(
        "demo", help="serve a page on this machine to remove and to make noise by mouse"
    )
    demo.add_argument(
        "--weights",
        action="append",
        default=[],
        metavar="NAME",
        help="a name of `danet weights list`, organisation/repository, or a path to choose from, "
        "beside those that are here; may be given several times",
    )
    demo.add_argument(
        "--port",
        type=at_least(1, 65535),
        help="of 127.0.0.1 (default: the first that is free from 7860 on)",
    )
    demo.add_argument("--browser", action="store_true", help="open the page in a browser")
    demo.set_defaults(command=_demo)


def _demo(options: argparse.Namespace) -> int:
    from danet.demo import launch

    launch(options.weights, port=options.port, browser=options.browser)
    return 0
