"""The commands ``danet generate`` and ``danet compare``."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from danet.cli.console import (
    PICTURES_STATUS,
    add_light_arguments,
    add_max_pixels_argument,
    add_picture_arguments,
    at_least,
    given_path,
    keeping_memory,
    loading,
    network_settings,
    picture_limits,
)
from danet.cli.jobs import check_outputs, do_jobs, generate_jobs, refuse_folder
from danet.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from danet.images.light import Light

__all__ = ["add_commands"]


def add_commands(commands: Any) -> None:
    """Add the two commands to the subparsers of ``danet``."""
    generate = commands.add_parser(
        "generate", help="make noisy versions of clean pictures", epilog=PICTURES_STATUS
    )
    add_picture_arguments(
        generate, "picture files, or folders of them", "name the files of folders that are left out"
    )
    generate.add_argument(
        "-n",
        type=at_least(1),
        default=1,
        metavar="COUNT",
        help="noisy versions of each picture (default: %(default)s)",
    )
    generate.add_argument(
        "--seed",
        type=at_least(0),
        help="the same seed makes the same noise, for each picture (default: new noise each time)",
    )
    generate.add_argument(
        "--level",
        type=float,
        help="how strong the noise is, a standard deviation where white is 1, such as 0.012, for "
        "weights that were trained by level (default: drawn as in their training pictures)",
    )
    generate.add_argument(
        "-o",
        "--output",
        type=given_path,
        required=True,
        metavar="FOLDER",
        help="the folder to write NAME_00.png, NAME_01.png and so on to; floats become 16 bits",
    )
    add_light_arguments(generate, "larger ones become white")
    generate.set_defaults(command=_generate)

    compare = commands.add_parser(
        "compare", help="write a page that shows a picture before and after"
    )
    for name in ("before", "after"):
        compare.add_argument(
            name, type=given_path, metavar=name.upper(), help=f"the picture {name}"
        )
    compare.add_argument(
        "-o",
        "--output",
        type=given_path,
        required=True,
        metavar="PAGE",
        help="the HTML file to write, which needs no other",
    )
    compare.add_argument("--title", help="of the page (default: the names of the pictures)")
    compare.add_argument(
        "--factor",
        type=at_least(1),
        default=8,
        help="how often the difference is enlarged (default: %(default)s)",
    )
    add_light_arguments(compare, "larger ones are shown white")
    # More than 33 megapixels make a page that few browsers show.
    add_max_pixels_argument(compare, 2**25)
    compare.set_defaults(command=_compare)


def _integers(pixels: NDArray[Any]) -> NDArray[Any]:
    """Pixels as PNG holds them: floats as 16 bits."""
    import numpy as np

    if pixels.dtype.kind != "f":
        return pixels
    scaled: NDArray[Any] = np.rint(pixels.astype(np.float64).clip(0, 1) * 65535)
    return scaled.astype(np.uint16)


def _shown(pixels: NDArray[Any], light: Light) -> NDArray[Any]:
    """Pixels as a screen shows them, and as networks know them."""
    from danet import images
    from danet.images.light import PLAIN

    if light == PLAIN:
        return pixels
    seen, form = images.to_tensor(pixels, light)
    plain = replace(form, light=PLAIN, given=None, seen=None)
    return cast("NDArray[Any]", images.from_tensor(seen, plain))


def _generate(options: argparse.Namespace) -> int:
    from danet import images
    from danet.images.reading import light_of

    jobs = generate_jobs(options.pictures, options.output, options.n)
    check_outputs(jobs)
    with loading():
        from danet.pretrained import NoiseGenerator

        generator = NoiseGenerator.from_pretrained(options.weights, **network_settings(options))

    def work(picture: Path, outputs: list[Path]) -> None:
        refuse_folder(picture)
        with images.open_picture(picture) as file:
            if file.count > 1 and file.format != "MPO":  # there the others are previews
                raise DataError(
                    f"{picture}: holds {file.count} pictures, and noise is generated for files of "
                    "one; save them one by one"
                )
            clean = next(file.frames)
        pixels = _shown(clean.pixels, light_of(picture, options.white, options.linear))
        versions = generator.stream(pixels, len(outputs), options.seed, options.level)
        for version, output in zip(versions, outputs, strict=True):
            images.write_frame(replace(clean, pixels=_integers(version)), output)

    with keeping_memory(options.max_memory), picture_limits(options.max_pixels):
        return do_jobs(jobs, work, verbose=options.verbose)


def _compare(options: argparse.Namespace) -> int:
    from danet.pages import compare_files

    before, after, page = options.before, options.after, options.output
    check_outputs([(before, [page]), (after, [])])
    with picture_limits(options.max_pixels):
        compare_files(
            before,
            after,
            page,
            title=options.title,
            factor=options.factor,
            white=options.white,
            linear=options.linear,
        )
    return 0
