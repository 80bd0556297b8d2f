"""The command ``danet denoise``."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from danet.cli.console import (
    PICTURES_STATUS,
    STREAM,
    add_light_arguments,
    add_picture_arguments,
    at_least,
    given_path,
    keeping_memory,
    loading,
    network_settings,
    output_path,
    picture_limits,
    picture_suffix,
    say,
    share,
    strength_number,
)
from danet.cli.jobs import Job, check_outputs, denoise_jobs, do_jobs, named_streams, refuse_folder
from danet.errors import ConfigError, DanetError, DataError, one_line

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from danet.inference.automatic import FoundNoise
    from danet.inference.treatment import Strength
    from danet.pages import Report
    from danet.pretrained import Denoiser, ExportedDenoiser

    _FileStrength: TypeAlias = Strength | Callable[[FoundNoise], Strength]

__all__ = ["add_commands"]

_WITHOUT_TORCH = "onnxruntime"


def add_commands(commands: Any) -> None:
    """Add the command to the subparsers of ``danet``."""
    denoise = commands.add_parser(
        "denoise", help="remove the noise of pictures", epilog=PICTURES_STATUS
    )
    add_picture_arguments(
        denoise,
        "picture and video files, folders of pictures, or - for standard input",
        "name the files of folders that are left out; with --strength auto, say how noisy each "
        "picture is",
        f"{_WITHOUT_TORCH} (starts without PyTorch; also for --weights FILE.onnx)",
    )
    denoise.add_argument(
        "-o",
        "--output",
        type=output_path,
        required=True,
        metavar="OUT",
        help="a folder, in which pictures keep their names; or, for one picture, NAME.SUFFIX, or - "
        "for standard output",
    )
    denoise.add_argument(
        "--format",
        type=picture_suffix,
        metavar="SUFFIX",
        help="format of what goes to standard output: png, jpg, tif, webp ... (default: png)",
    )
    denoise.add_argument(
        "--strength",
        type=strength_number,
        default=1.0,
        help="how much of the noise is taken: 0 none, 1 all that is found, above 1 more; auto: "
        "none of clean pictures, all of noisy ones (default: %(default)s)",
    )
    for part, what in (("luma", "brightness"), ("chroma", "colours")):
        denoise.add_argument(
            f"--{part}",
            type=strength_number,
            metavar="STRENGTH",
            help=f"how much of the noise in the {what} is taken (default: that of --strength)",
        )
    denoise.add_argument(
        "--mask",
        type=given_path,
        metavar="FILE",
        help="a picture of the same size, whose white takes the noise and whose black leaves it; "
        "it lies as the pixels in the file do, whatever the EXIF orientation",
    )
    denoise.add_argument(
        "--grain",
        type=share,
        default=0.0,
        metavar="SHARE",
        help="how much of the fine, colourless part of what is taken is given back: 0 none, 1 all "
        "(default: %(default)s)",
    )
    add_light_arguments(denoise, "larger ones stay larger")
    denoise.add_argument(
        "--self-ensemble",
        action="store_true",
        help="take the mean over eight flips and rotations: a little better, eight times as long",
    )
    denoise.add_argument(
        "--residual",
        action="store_true",
        help="write the noise that is taken, around middle grey; with its sign in float files",
    )
    denoise.add_argument(
        "--quality",
        type=at_least(1, 100),
        help="quality of JPEG, WebP, AVIF and HEIC (default: that of the picture if both are JPEG, "
        "else 95), of JPEG XL (default: without loss) and of videos (default: 70)",
    )
    denoise.add_argument(
        "--temporal",
        type=at_least(0),
        default=0,
        metavar="COUNT",
        help="average each frame of a video with as many before and after it, where they show the "
        "same (default: %(default)s)",
    )
    denoise.add_argument(
        "--burst",
        action="store_true",
        help="make one picture of all: laid over the first, averaged, and denoised",
    )
    denoise.add_argument(
        "--report",
        type=given_path,
        metavar="FOLDER",
        help="write pages here that show every picture before and after, and index.html, which "
        "leads to them; for pictures, not for videos",
    )
    denoise.add_argument(
        "--recursive",
        action="store_true",
        help="take the subfolders of folders as well, and keep them in the output",
    )
    denoise.add_argument(
        "--skip-existing", action="store_true", help="leave out pictures whose output is there"
    )
    denoise.add_argument(
        "--preserve-times",
        action="store_true",
        help="give the output the time of the picture's last change",
    )
    denoise.add_argument(
        "--jobs",
        type=at_least(1),
        default=1,
        metavar="COUNT",
        help="pictures in work at once, which share the memory that is free; --max-memory is for "
        "each of them (default: %(default)s)",
    )
    denoise.set_defaults(command=_denoise)


def _denoise(options: argparse.Namespace) -> int:
    output, is_folder = options.output
    if options.format and output != STREAM:
        raise ConfigError("--format is for -o - alone; else the suffix of the output names it")
    _check_kinds(options)
    _check_runtime(options)
    sources, others = options.pictures, []
    if options.burst:
        sources, others = sources[:1], sources[1:]
    jobs = denoise_jobs(sources, output, is_folder, options.recursive)
    check_outputs([*jobs, *((other, []) for other in others)])
    with loading():
        denoiser = _denoiser(options)
    denoiser.engine.settings.jobs = options.jobs
    denoise, strength = _denoising(denoiser, options, others), _strength_of(options)

    report = options.report and _report(options, jobs)

    def work(picture: Path, outputs: list[Path]) -> None:
        with (
            named_streams(picture, outputs[0], options.format or ".png") as (source, target),
            report.on(picture, source, target) if report else nullcontext(),
        ):
            refuse_folder(picture)
            times = source.stat() if source.exists() else None  # before it may be replaced
            denoise(source, target, strength(picture))
            if options.preserve_times and times is not None:
                os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))

    with keeping_memory(options.max_memory), picture_limits(options.max_pixels):
        try:
            return do_jobs(
                jobs,
                work,
                workers=options.jobs,
                skip_existing=options.skip_existing,
                verbose=options.verbose,
            )
        finally:
            if report:
                report.write()


def _report(options: argparse.Namespace, jobs: list[Job]) -> Report:
    from danet.images.reading import light_of
    from danet.pages import Report

    light = partial(light_of, white=options.white, linear=options.linear)
    return Report(options.report, [picture for picture, _ in jobs], light)


def _denoiser(options: argparse.Namespace) -> Denoiser | ExportedDenoiser:
    """The denoiser that is asked for."""
    if options.runtime != _WITHOUT_TORCH:
        from danet.pretrained import Denoiser

        return Denoiser.from_pretrained(options.weights, **network_settings(options))
    from danet.pretrained import ExportedDenoiser
    from danet.weights import FetchOptions

    return ExportedDenoiser(
        options.weights,
        tile=options.tile,
        max_memory=options.max_memory,
        border=options.border,
        options=FetchOptions(force_download=options.force_download),
    )


def _check_runtime(options: argparse.Namespace) -> None:
    """Take a model for ONNX Runtime by that, and refuse what it does not do."""
    if Path(options.weights).suffix.lower() == ".onnx":
        if options.runtime not in ("auto", _WITHOUT_TORCH):
            raise ConfigError(f"{options.weights}: a model for ONNX Runtime alone")
        options.runtime = _WITHOUT_TORCH
    if options.runtime != _WITHOUT_TORCH:
        return
    others = {
        "--burst": options.burst,
        "--report": options.report,
        "--self-ensemble": options.self_ensemble,
        f"--device {options.device}": options.device not in ("auto", "cpu"),
        "--devices": options.devices,
        f"--dtype {options.dtype}": options.dtype not in ("auto", "float32"),
        "a video": any(_is_video(path) for path in options.pictures),
    }
    for option in (option for option, given in others.items() if given):
        raise ConfigError(f"{option} needs PyTorch, and the runtime is {_WITHOUT_TORCH!r}")


def _check_kinds(options: argparse.Namespace) -> None:
    """Refuse options that are not for what is given."""
    videos = [path for path in options.pictures if _is_video(path)]
    if options.temporal and not videos:
        raise ConfigError("--temporal is for videos, and none is given")
    if options.report and videos:
        raise ConfigError("--report is for pictures, and shows no videos; denoise these without it")
    if options.report and (options.residual or options.skip_existing):
        raise ConfigError(
            "--report shows the pictures of one run, and goes with neither --residual nor "
            "--skip-existing"
        )
    alone = {"--residual": "residual", "--white": "white", "--linear": "linear"}
    given = [option for option, name in alone.items() if getattr(options, name)]
    if given and (videos or options.burst):
        raise ConfigError(f"{given[0]} is for single pictures, not for videos and bursts")
    if options.burst and (videos or any(path.is_dir() for path in options.pictures)):
        raise ConfigError("--burst takes picture files, not videos or folders")
    if options.burst and STREAM in options.pictures[1:]:
        raise ConfigError("-: a burst takes standard input as its first picture alone")


def _is_video(path: Path) -> bool:
    from danet.video import SUFFIXES

    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def _denoising(
    denoiser: Denoiser | ExportedDenoiser, options: argparse.Namespace, others: list[Path]
) -> Callable[[Path, Path, _FileStrength], None]:
    """What makes a file of another, or of it and the others of its burst, by a strength."""
    settings: dict[str, Any] = {
        "grain": options.grain,
        "self_ensemble": options.self_ensemble,
        "quality": options.quality,
    }
    network = cast("Denoiser", denoiser)  # of videos and bursts

    def denoise(source: Path, target: Path, strength: _FileStrength) -> None:
        if options.burst:
            from danet.video import denoise_burst_files

            burst = [source, *others]
            denoise_burst_files(network, burst, target, strength=strength, **settings)
        elif _is_video(source):
            from danet.video import denoise_video

            times: dict[str, Any] = {"temporal": options.temporal, "progress": True}
            denoise_video(network, source, target, strength=strength, **times, **settings)
        else:
            light: dict[str, Any] = {"white": options.white, "linear": options.linear}
            denoiser.denoise_file(
                source, target, strength=strength, residual=options.residual, **light, **settings
            )

    return denoise


def _strength_of(options: argparse.Namespace) -> Callable[[Path], _FileStrength]:
    """What gives the strength of a picture: of luma and chroma, times the mask."""
    import numpy as np

    from danet.inference.automatic import is_automatic

    parts = options.luma, options.chroma
    luma, chroma = (options.strength if value is None else value for value in parts)
    asked: Any = luma if luma == chroma else (luma, chroma)
    mask: Any = None if options.mask is None else _mask(options.mask)

    def masked(numbers: Any) -> Strength:
        of_two = np.broadcast_to(np.asarray(numbers, np.float32), 2)
        return cast("Strength", numbers if mask is None else mask[..., None] * of_two)

    def found_in(picture: Path, found: FoundNoise) -> Strength:
        if options.verbose:
            level = f"noise of {255 * found.level:.1f} grey levels of 255"
            say(f"{one_line(picture)}: {level}, strength {found.strength:.2f}")
        return masked(found.fill_in(asked))

    if is_automatic(asked):
        return lambda picture: partial(found_in, picture)
    strength = masked(asked)
    return lambda _: strength


def _mask(path: Path) -> NDArray[np.float32]:
    """The brightness of a picture, H x W in [0, 1], as its pixels lie in the file."""
    from danet.images import open_picture
    from danet.images.conversion import to_array

    refuse_folder(path)
    with open_picture(path) as file:
        pixels = next(file.frames).pixels
    if pixels.dtype.kind == "f" and not (pixels.min() >= 0 and pixels.max() <= 1):
        raise DataError(
            f"{path}: a mask of floats has values from 0 to 1, and this one from {pixels.min():g} "
            f"to {pixels.max():g}; scale them, and say by --strength how much 1 takes"
        )
    try:
        mask: NDArray[np.float32] = to_array(pixels)[0][0].mean(axis=0)
    except DanetError as error:
        raise DataError(f"{path}: {one_line(error)}") from error
    return mask
