"""Pictures as the measures take them: pairs, and fakes made of one clean picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from danet import images
from danet.errors import ConfigError, ImageError
from danet.filters import TAPS_7, smooth
from danet.noise.sampling import check_draws

__all__ = [
    "Score",
    "check_least",
    "chosen",
    "local_variance",
    "over_pairs",
    "pairs_of",
    "source_of",
    "take_judged",
    "take_pair",
    "take_true",
]

# Takes clean, noisy and fakes; gives the score of each fake.
Score = Callable[[Any, Any, Iterable[Any]], Iterator[float]]

_LEAST_VARIANCE = 1e-10


def take_pair(clean: Any, image: Any, clamp: bool = True) -> tuple[Tensor, Tensor]:
    """Both pictures as float32, N x 3 x H x W in [0, 1], of one shape and on one device.

    The judged one is clamped: models give floats beyond the range.  The true one must lie in it,
    so that a mistaken range is an error.

    Raises:
        ImageError: one is not a picture, or the sizes differ; or, where ``clamp`` is false,
            the judged one has floats outside [0, 1].
    """
    truth = take_true(clean)
    return truth, take_judged(image, truth, clamp)


def take_true(clean: Any) -> Tensor:
    """The true picture alone, as `take_pair` takes it, to judge several by it.

    Raises:
        ImageError: ``clean`` is not a picture.
    """
    return images.to_tensor(clean)[0].detach()


def take_judged(image: Any, truth: Tensor, clamp: bool = True) -> Tensor:
    """The judged picture alone, as `take_pair` takes it, for a true one that is taken already.

    Raises:
        ImageError: as `take_pair`.
    """
    if clamp and isinstance(image, Tensor) and image.is_floating_point():
        image = image.clamp(0, 1)
    elif clamp and isinstance(image, np.ndarray) and image.dtype.kind == "f":
        image = image.clip(0, 1)
    judged = images.to_tensor(image)[0].detach()
    if truth.shape != judged.shape:
        raise ImageError(
            "the pictures differ in size: N x C x H x W of "
            f"{tuple(truth.shape)} and {tuple(judged.shape)}"
        )
    return judged.to(truth.device)


def check_least(pictures: Tensor, least: int, measure: str) -> None:
    """Refuse pictures of less than ``least`` pixels each way.

    Raises:
        ImageError: a picture is smaller.
    """
    height, width = pictures.shape[2:]
    if min(height, width) < least:
        raise ImageError(
            f"{height} x {width} is too small: {measure} needs {least} pixels each way"
        )


def chosen(name: str, among: Any, setting: str = "preset") -> Any:
    """The entry of a mapping, or the name itself where ``among`` is a sequence.

    Raises:
        ConfigError: there is none of this name.
    """
    if name not in among:
        raise ConfigError(f"{setting} is {name!r}, and must be one of {', '.join(among)}")
    return among[name] if isinstance(among, dict) else name


def local_variance(noise: Tensor) -> Tensor:
    """V = max(GF7(noise^2), 1e-10), the variance around each pixel, as AKLD takes it.

    GF7 is the paper's filter of 7 x 7; the mean of the noise is taken to be 0.

    Args:
        noise: N x C x H x W, at least 4 pixels each way.
    """
    return smooth(noise.square(), TAPS_7).clamp_min(_LEAST_VARIANCE)


def draw_fakes(source: Any, clean: Any, n: int, seed: int) -> Iterator[Any]:
    """Fakes of a clean picture: those given, or ``n`` from what makes them.

    Args:
        source: pictures, one after another; or an object with ``stream(clean, n, seed)`` or
            ``sample(clean, n, seed)``; or a callable, clean to noisy, called ``n`` times.
            Callables draw by themselves: the seed is not for them.
        clean: the picture; integers and PIL images are handed on as float32 arrays in [0, 1],
            H x W x C, so that nothing rounds the fakes.
        n: how many, where they are made.
        seed: as ``danet.NoiseGenerator.sample`` takes it.

    Raises:
        ConfigError: ``n`` or the seed is out of its range, or ``source`` is none of these.
    """
    for name in ("stream", "sample"):
        if hasattr(source, name):
            check_draws(n, seed)
            return iter(getattr(source, name)(_in_floats(clean), n, seed))
    if callable(source):
        check_draws(n, seed)
        floats = _in_floats(clean)
        return (source(floats) for _ in range(n))
    try:
        return iter(source)
    except TypeError as error:
        raise ConfigError(
            f"fakes come from {type(source).__name__}, and must come from pictures one after "
            "another, an object with stream or sample, or a callable"
        ) from error


def _in_floats(picture: Any) -> Any:
    if isinstance(picture, Image.Image):
        return images.to_tensor(picture)[0][0].permute(1, 2, 0).numpy()
    if isinstance(picture, np.ndarray) and picture.dtype.kind == "u":
        return picture.astype(np.float32) / np.float32(np.iinfo(picture.dtype).max)
    return picture


def source_of(noisy: Any, fakes: Any, generator: Any) -> Any:
    """The one of the two that is given.

    Raises:
        ConfigError: both are given or none, or fakes are given with a data set.
    """
    if (fakes is None) == (generator is None):
        raise ConfigError("give either fakes or a generator that makes them")
    if noisy is None and generator is None:
        raise ConfigError("a data set, which has no noisy, needs a generator, not fakes")
    return generator if fakes is None else fakes


def pairs_of(clean: Any, noisy: Any) -> Iterator[tuple[Any, Any]]:
    """The one pair, or those of a data set, at least one.

    Raises:
        ImageError: there is none.
        ConfigError: a picture is given where a data set should be.
    """
    if noisy is not None:
        yield clean, noisy
        return
    if isinstance(clean, (Image.Image, np.ndarray, Tensor)):
        raise ConfigError("noisy is missing; without it, clean must be pairs (clean, noisy)")
    pair = None
    for pair in clean:
        yield pair
    if pair is None:
        raise ImageError("there are no pairs, at least 1 is needed")


def over_pairs(score: Score, clean: Any, noisy: Any, source: Any, n: int, seed: int) -> float:
    """The mean over pairs of the mean over fakes.

    Raises:
        ConfigError: ``n`` is below 1, or the seed is negative.
        ImageError: there are no fakes or no pairs.
    """
    check_draws(n, seed)  # before a sum hides what the seed is
    means = []
    for index, (x, y) in enumerate(pairs_of(clean, noisy)):
        scores = list(score(x, y, draw_fakes(source, x, n, seed + index)))
        if not scores:
            raise ImageError("there are no fakes, at least 1 is needed")
        means.append(np.mean(scores))
    return float(np.mean(means))
