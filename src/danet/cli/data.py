"""The commands on sets of pairs: ``danet data prepare`` and ``danet data check``."""

from __future__ import annotations

import argparse
from collections import Counter
from typing import Any

from danet.cli.console import at_least, given_path
from danet.errors import ConfigError

__all__ = ["add_commands"]

# Those of danet.data.layouts, which is too heavy to be imported for --help.
_LAYOUTS = ("sidd", "renoir", "polyu", "nam", "folder")


def add_commands(commands: Any) -> None:
    """Add ``data`` with its two commands to the subparsers of ``danet``."""
    group = commands.add_parser("data", help="pack pairs of pictures for training, or check them")
    commands = group.add_subparsers(required=True, metavar="COMMAND")

    prepare = commands.add_parser("prepare", help="cut pairs into crops, packed for training")
    _add_source_arguments(prepare, part="train")
    prepare.add_argument(
        "output",
        type=given_path,
        metavar="OUT",
        help="the folder to write; one that was interrupted is completed",
    )
    prepare.add_argument(
        "--crop",
        type=at_least(2),
        default=512,
        metavar="PIXELS",
        help="side of a crop (default: %(default)s)",
    )
    prepare.add_argument(
        "--stride",
        type=at_least(1),
        metavar="PIXELS",
        help="from one crop to the next (default: three quarters of a crop)",
    )
    prepare.add_argument(
        "--bits", type=int, choices=(8, 16), default=8, help="of a value (default: %(default)s)"
    )
    prepare.add_argument("--screen", action="store_true", help="leave faulty crops out")
    prepare.set_defaults(command=_prepare)

    check = commands.add_parser("check", help="find faulty pairs")
    _add_source_arguments(check, part="all")
    check.add_argument(
        "output",
        type=given_path,
        metavar="OUT",
        help="the folder to write pairs.csv and worst.png to",
    )
    check.add_argument(
        "--tile",
        type=at_least(2),
        default=256,
        metavar="PIXELS",
        help="side of the tiles that are examined (default: %(default)s)",
    )
    check.add_argument(
        "--worst",
        type=at_least(1),
        default=8,
        metavar="COUNT",
        help="how many pairs to show in the picture (default: %(default)s)",
    )
    check.set_defaults(command=_check)


def _add_source_arguments(parser: argparse.ArgumentParser, part: str) -> None:
    parser.add_argument(
        "layout", choices=_LAYOUTS, metavar="LAYOUT", help=f"one of {', '.join(_LAYOUTS)}"
    )
    parser.add_argument(
        "source", type=given_path, metavar="SOURCE", help="the folder of the pictures"
    )
    parser.add_argument(
        "--part",
        choices=("train", "val", "all"),
        help=f"of the split, where SOURCE has a split.json (default: {part})",
    )
    parser.add_argument(
        "--kind",
        choices=("crops", "full", "both"),
        help="of PolyU's pictures (default: both)",
    )
    parser.set_defaults(default_part=part)


def _pairs(options: argparse.Namespace) -> Any:
    from danet.data import source_pairs

    if options.part not in (None, "all") and not (options.source / "split.json").is_file():
        raise ConfigError(f"--part {options.part} needs {options.source / 'split.json'}")
    if options.kind and options.layout != "polyu":
        raise ConfigError(f"--kind is of polyu alone; {options.layout} has pictures of one kind")
    part: Any = options.part or options.default_part
    return source_pairs(options.layout, options.source, part=part, kind=options.kind or "both")


def _prepare(options: argparse.Namespace) -> int:
    from danet.data.prepare import prepare

    pairs = _pairs(options)
    packed = prepare(
        pairs,
        options.output,
        crop=options.crop,
        stride=options.stride,
        bits=options.bits,
        screen=options.screen,
    )
    left_out = sum(source.left_out for source in packed.sources)
    screened = f", {left_out} left out as faulty" if options.screen else ""
    print(f"{options.output}: {len(packed)} crops of {len(pairs)} pairs{screened}")
    return 0


def _check(options: argparse.Namespace) -> int:
    from danet.data.check import check_pairs, write_picture, write_table

    reports, tiles = check_pairs(_pairs(options), tile=options.tile, worst=options.worst)
    table, picture = options.output / "pairs.csv", options.output / "worst.png"
    write_table(reports, table)
    counts = Counter(report.verdict for report in reports)
    found = ", ".join(f"{counts[key]} {key}" for key in ("good", "partly", "bad", "unreadable"))
    print(f"{len(reports)} pairs: {found}")
    print(table)
    if tiles:
        write_picture(tiles, picture)
        print(picture)
    return 0
