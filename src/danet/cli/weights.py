"""The commands on weights: ``danet weights list``, ``info``, ``verify`` and so on."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from danet.cli.console import FAILED, complain, given_path
from danet.errors import ConfigError, DanetError, one_line

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add ``weights`` with its commands to the subparsers of ``danet``."""
    group = commands.add_parser("weights", help="list, check, convert and publish weights")
    commands = group.add_subparsers(required=True, metavar="COMMAND")
    name = "a name of `danet weights list`, organisation/repository, or a path"

    listing = commands.add_parser("list", help="print the catalogue")
    listing.set_defaults(command=_list)

    info = commands.add_parser("info", help="say what weights on this machine are")
    info.add_argument("name", metavar="NAME", help=name)
    info.set_defaults(command=_info)

    verify = commands.add_parser("verify", help="check weights on this machine, and name faults")
    verify.add_argument(
        "names", nargs="*", metavar="NAME", help=f"{name} (default: all of the list that are here)"
    )
    verify.set_defaults(command=_verify)

    bring = commands.add_parser("import", help="take a file of the paper's authors")
    bring.add_argument(
        "files", nargs="+", type=given_path, metavar="FILE", help="such as DANetPlus.pt"
    )
    bring.set_defaults(command=_import)

    convert = commands.add_parser("convert", help="write weights as safetensors folders")
    convert.add_argument("source", metavar="IN", help=name)
    convert.add_argument("output", type=given_path, metavar="OUT", help="the folder to write")
    convert.add_argument("--half", action="store_true", help="in half precision")
    convert.set_defaults(command=_convert)

    remove = commands.add_parser("remove", help="remove what was fetched")
    remove.add_argument(
        "name", metavar="NAME", help="a name of `danet weights list`, or organisation/repository"
    )
    remove.set_defaults(command=_remove)

    mirror = commands.add_parser("mirror", help="publish the list's weights to an organisation")
    mirror.add_argument("organisation", metavar="ORGANISATION", help="on the Hugging Face Hub")
    mirror.add_argument("names", nargs="*", metavar="NAME", help="of the list (default: all)")
    mirror.add_argument("--private", action="store_true", help="for the organisation alone")
    mirror.set_defaults(command=_mirror)

    push = commands.add_parser("push", help="publish weights on the Hugging Face Hub")
    push.add_argument("name", metavar="NAME", help=name)
    push.add_argument("repository", metavar="REPOSITORY", help="organisation/repository")
    push.add_argument("--licence", help="the Hub's identifier, such as apache-2.0")
    push.add_argument(
        "--data", action="append", default=[], metavar="TEXT", help="a set it was trained on"
    )
    push.add_argument(
        "--metric",
        action="append",
        nargs=3,
        default=[],
        metavar=("DATA", "METRIC", "VALUE"),
        help="a result, such as nam25 psnr 41.55",
    )
    push.add_argument("--picture", type=given_path, metavar="FILE", help="for the model card")
    push.add_argument("--private", action="store_true", help="if the repository is made")
    push.set_defaults(command=_push)


def _list(options: argparse.Namespace) -> int:
    from danet import weights

    del options
    for name, entry in weights.CATALOGUE.items():
        here = weights.at_hand(name)
        print(f"{name}: {entry.purpose}")
        print(f"    trained on    {entry.data}")
        print(f"    licence       {entry.licence}")
        print(f"    source        {entry.source}, {entry.megabytes} MB")
        print(f"    results       {entry.results}")
        print(f"    on this machine: {', '.join(here) or 'no'}")
    return 0


def _info(options: argparse.Namespace) -> int:
    from danet.weights.manage import describe, located

    for kind, path in located(options.name).items():
        found = describe(path, kind)
        print(f"{kind}: {found.path}")
        print(f"    network       {found.network}, width {found.width}, depth {found.depth}")
        print(f"    parameters    {found.parameters}, {found.precision}, {found.bytes} bytes")
        print(f"    SHA-256       {found.sha256}")
    return 0


def _verify(options: argparse.Namespace) -> int:
    from danet import weights
    from danet.weights.manage import located, verify

    failed = False
    for name in options.names or [name for name in weights.names() if weights.at_hand(name)]:
        try:
            for kind, path in located(name).items():
                known = verify(name, path, kind)
                print(f"{name}: the {kind} is {'as published' if known else 'sound'}")
        except (DanetError, OSError) as error:
            complain(one_line(error))
            failed = True
    return FAILED if failed else 0


def _import(options: argparse.Namespace) -> int:
    from danet.weights import CATALOGUE, FetchOptions
    from danet.weights.authors import import_file

    for path in options.files:
        file = import_file(path, FetchOptions())
        users = [name for name, entry in CATALOGUE.items() if file in entry.files.values()]
        print(f"{path}: {file}, for {', '.join(users)}")
    return 0


def _convert(options: argparse.Namespace) -> int:
    from danet.weights.manage import convert

    for folder in convert(options.source, options.output, half=options.half).values():
        print(folder)
    return 0


def _remove(options: argparse.Namespace) -> int:
    from danet.weights.manage import remove

    for removed in remove(options.name):
        print(f"removed {removed}")
    return 0


def _mirror(options: argparse.Namespace) -> int:
    from danet.weights import names
    from danet.weights.publish import mirror

    for name in options.names or names():
        address, hashes = mirror(name, options.organisation, private=options.private)
        print(f"{name}: {address}")
        for kind, found in hashes.items():
            print(f"    {kind:<13} SHA-256 {found}")
    return 0


def _push(options: argparse.Namespace) -> int:
    from danet import Denoiser, NoiseGenerator
    from danet.weights.manage import convert
    from danet.weights.publish import Target, facts_of, publish

    figures: dict[str, dict[str, float]] = {}
    for data, metric, value in options.metric:
        figures.setdefault(data, {})[metric.lower()] = _number(value)
    with TemporaryDirectory() as scratch:
        folders = convert(options.name, Path(scratch))
        picture = options.picture
        if picture is None:
            kind, first = next(iter(folders.items()))
            picture = Path(scratch) / "picture.png"
            (Denoiser if kind == "denoiser" else NoiseGenerator)(first).example().save(picture)
        facts = facts_of(options.name)
        facts = replace(
            facts,
            licence=options.licence or facts.licence,
            data=options.data or facts.data,
            figures=figures or facts.figures,
            picture=picture,
        )
        print(publish(folders, facts, Target(options.repository, private=options.private or None)))
    return 0


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError as error:
        raise ConfigError(f"the value of --metric is {text!r}, and must be a number") from error
