"""Several pictures of one scene, made one."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import ImageError
from danet.images import PictureFile, from_tensor, open_picture, process_file, to_tensor
from danet.inference.automatic import FoundNoise, settled
from danet.inference.treatment import Strength
from danet.pretrained import Denoiser
from danet.video.alignment import Floats, Shot, aligned

__all__ = ["denoise_burst", "denoise_burst_files"]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], Tensor)


def denoise_burst(
    denoiser: Denoiser,
    pictures: Iterable[_PictureT],
    *,
    strength: Strength | Callable[[FoundNoise], Strength] = 1.0,
    grain: float = 0.0,
    self_ensemble: bool = False,
) -> _PictureT:
    """Make one picture of a burst: lay all over the first, take the mean, and denoise it.

    Pictures are aligned as `danet.video.alignment.aligned` does, each denoised for itself to see
    the scene; the mean is that of the noisy ones, without what moved.

    Args:
        denoiser: what denoises the pictures and the mean.
        pictures: of one size, as for calling the denoiser; they are taken as they are needed.
        strength: of the noise that is left in the mean, as for calling the denoiser, or a function
            that gives it for the noise which `danet.Denoiser.find_noise` finds.
        grain: as for calling the denoiser, for the mean.
        self_ensemble: as for calling the denoiser, for the mean.

    Returns:
        A picture of the kind, size and transparency of the first.

    Raises:
        ImageError: there is no picture, or one cannot be taken, or is of another size.
        ConfigError: OpenCV is not installed, or a strength is out of its range.
        DanetError: the memory does not suffice.

    Example:
        >>> from danet.networks import build
        >>> denoiser = Denoiser(build("denoiser", width=2))
        >>> rng = np.random.default_rng(0)
        >>> burst = [rng.integers(100, 140, (45, 70, 3), np.uint8) for _ in range(3)]
        >>> denoise_burst(denoiser, burst).shape
        (45, 70, 3)
    """
    waiting = iter(pictures)
    first = next(waiting, None)
    if first is None:
        raise ImageError("a burst has at least one picture, and none was given")
    tensor, form = to_tensor(first)
    shot = _shot(denoiser, tensor)
    total: Floats = shot.noisy.copy()
    counts = np.ones((*total.shape[:2], 1), np.float32)
    for number, picture in enumerate(waiting, 1):
        other = _shot(denoiser, to_tensor(picture)[0])
        if other.noisy.shape != total.shape:
            height, width = other.noisy.shape[:2]
            raise ImageError(
                f"picture {number}, counted from 0, has {width} x {height} pixels, and the first "
                f"{total.shape[1]} x {total.shape[0]}; a burst has pictures of one size"
            )
        lay, weights = aligned(shot, other)
        total += weights[..., None] * lay(other.noisy)
        counts += weights[..., None]
    mean = np.clip(total / counts, 0, 1)
    amount = settled(strength, partial(denoiser.find_noise, mean))
    result = denoiser(mean, strength=amount, grain=grain, self_ensemble=self_ensemble)
    pixels = torch.from_numpy(result).permute(2, 0, 1)[None].to(tensor.device)
    return cast(_PictureT, from_tensor(pixels, form))


def denoise_burst_files(
    denoiser: Denoiser,
    sources: Sequence[str | os.PathLike[str]],
    target: str | os.PathLike[str],
    *,
    strength: Strength | Callable[[FoundNoise], Strength] = 1.0,
    grain: float = 0.0,
    self_ensemble: bool = False,
    quality: int | None = None,
) -> None:
    """Make one picture file of those of a burst, by `denoise_burst`.

    Args:
        denoiser: what denoises.
        sources: picture files of one size.  The first gives the place of everything, the depth and
            the metadata.
        target: the file to write, as for `danet.images.process_file`.
        strength: as for `denoise_burst`.
        grain: as for `denoise_burst`.
        self_ensemble: as for `denoise_burst`.
        quality: as for `danet.images.process_file`.

    Raises:
        ImageError: a file cannot be read, holds several pictures, is one of OpenEXR, or is of
            another size; or the format of the target cannot hold the result.
        ConfigError: OpenCV is not installed, or a number is out of its range.
        DanetError: the target cannot be written, or the memory does not suffice.
    """
    first, *others = map(Path, sources)
    with open_picture(first) as file:
        _check_kind(first, file)
    begun = False
    settings: Any = {"strength": strength, "grain": grain, "self_ensemble": self_ensemble}

    def process(pixels: NDArray[Any]) -> NDArray[Any]:
        nonlocal begun
        if begun:  # a preview behind the first picture
            return denoise_burst(denoiser, [pixels], **settings)
        begun = True
        burst = chain([pixels], (_like(path, first, pixels) for path in others))
        return denoise_burst(denoiser, burst, **settings)

    process_file(first, target, process, quality=quality)


def _like(path: Path, first: Path, pixels: NDArray[Any]) -> NDArray[Any]:
    """The pixels of a file that is to be of the size of the first."""
    with open_picture(path) as file:
        _check_kind(path, file)
        own = next(file.frames).pixels
    size, other = pixels.shape[1::-1], own.shape[1::-1]
    if size != other:
        raise ImageError(
            f"{path}: has {other[0]} x {other[1]} pixels, and {first} {size[0]} x {size[1]}; a "
            "burst has pictures of one size"
        )
    return own


def _check_kind(path: Path, file: PictureFile) -> None:
    if file.format == "EXR":
        raise ImageError(f"{path}: an OpenEXR file, whose light is linear; a burst takes no such")
    if file.count > 1 and file.format != "MPO":  # there the others are previews
        raise ImageError(f"{path}: holds {file.count} pictures; give those of a burst one by one")


def _shot(denoiser: Denoiser, tensor: Tensor) -> Shot:
    if len(tensor) != 1:
        raise ImageError(f"{len(tensor)} pictures in one tensor; give them one by one")
    noisy: Floats = tensor[0].detach().cpu().permute(1, 2, 0).contiguous().numpy()
    return Shot(noisy, denoiser(noisy))
