"""A picture before and after, as one page for a browser."""

from __future__ import annotations

import base64
import html
import io
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, features

from danet.errors import ImageError, check_count, one_line
from danet.files import atomic_write
from danet.images import Picture, open_picture, to_tensor
from danet.images.light import PLAIN, Light
from danet.images.reading import check_size, light_of, upright
from danet.metrics.level import noise_level
from danet.pages.filling import filled

__all__ = [
    "Comparison",
    "TooLargeError",
    "compare",
    "compare_files",
    "read_shown",
]

_LARGEST_WEBP = 16383  # pixels of a side


class TooLargeError(ImageError):
    """A picture has more pixels than a page should hold."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """A picture before and after, which a notebook shows with a slider between the two.

    Attributes:
        pixels: of the two, H x W x 3 of one size.
        names: of the two, as the page gives them.
        levels: the noise level of each by `danet.metrics.noise_level`, alone, for red, green and
            blue, where white is 1.
        factor: how often the difference is enlarged.
    """

    pixels: tuple[NDArray[np.uint8], NDArray[np.uint8]]
    names: tuple[str, str]
    levels: tuple[NDArray[np.float32], NDArray[np.float32]]
    factor: int

    @property
    def taken(self) -> NDArray[np.int32]:
        """What was taken, H x W x 3, where white is 255."""
        before, after = self.pixels
        return before.astype(np.int32) - after

    def page(self, title: str | None = None, home: str = "") -> str:
        """The text of the page.

        Args:
            title: of it; by default the two names.
            home: a page that it leads back to.
        """
        before, after = self.pixels
        height, width = before.shape[:2]
        shown = [html.escape(one_line(name)) for name in self.names]
        roles = zip(("before", "after"), shown, strict=True)
        captions = [role if name == role else f"{role}: {name}" for role, name in roles]
        return filled(
            "comparison.html",
            title=" and ".join(shown) if title is None else html.escape(one_line(title)),
            home=f'<p><a href="{html.escape(home)}">all pictures</a></p>\n' if home else "",
            before_caption=captions[0],
            after_caption=captions[1],
            width=width,
            height=height,
            factor=self.factor,
            levels="\n".join(map(_row, ("before", "after"), self.levels)),
            deviations=_row("taken", self.taken.std(axis=(0, 1)) / 255),
            before=_address(before),
            after=_address(after),
            noise=_address((128 + self.factor * self.taken).clip(0, 255).astype(np.uint8)),
        )

    def _repr_html_(self) -> str:
        # In a frame, since the page has styles and names of its own.
        return (
            f'<iframe srcdoc="{html.escape(self.page())}" title="before and after" '
            'style="width: 100%; height: 44rem; border: 0"></iframe>'
        )


def compare(
    before: Picture,
    after: Picture,
    *,
    names: tuple[str, str] = ("before", "after"),
    factor: int = 8,
) -> Comparison:
    """Show a picture before and after, in a notebook or on a page; it is `danet.show`.

    There is a slider between the two at 100 and 200 %, what was taken, and the noise level of each
    by `danet.metrics.noise_level`.  The pictures are shown in 8 bits, without transparency; what is
    deeper is rounded.  All numbers are taken for those of sRGB.

    Args:
        before: one picture, as for `danet.images.to_tensor`.
        after: another, of the same size.
        names: of the two.
        factor: how often what was taken is enlarged, which is shown below.

    Returns:
        What a notebook shows if it is the last line of a cell; its ``page()`` is an HTML page that
        needs no other file, with the pictures as lossless WebP.

    Raises:
        ImageError: a picture cannot be taken, or is more than one, or the sizes differ.
        ConfigError: ``factor`` is not a positive whole number.

    Example:
        >>> shown = compare(np.full((8, 9), 0.6), np.full((8, 9), 0.5))
        >>> "<title>a &lt; b</title>" in shown.page("a < b")
        True
    """
    check_count("factor", factor, 1)
    first, second = _bytes(before), _bytes(after)
    (height, width), other = first.shape[:2], second.shape[:2]
    if other != (height, width):
        raise ImageError(
            f"{names[0]} has {width} x {height} pixels and {names[1]} {other[1]} x {other[0]}; "
            "only pictures of one size can be compared"
        )
    levels = noise_level(first).channels, noise_level(second).channels
    return Comparison((first, second), names, levels, factor)


def compare_files(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    page: str | os.PathLike[str],
    *,
    title: str | None = None,
    factor: int = 8,
    white: float | None = None,
    linear: bool | None = None,
) -> None:
    """Write the page of `compare` for the first pictures of two files.

    They are turned upright, and brought to sRGB by their colour profiles.

    Args:
        before: a file that `danet.images.open_picture` takes.
        after: another, of the same size.
        page: the file to write, whole or not at all.
        title: of the page; by default the names of the two files.
        factor: how often the difference is enlarged.
        white: the value of floats that is shown white, as are larger ones; by default 1 for OpenEXR
            files, and floats of others must be in [0, 1].
        linear: whether the numbers are proportional to light, and are shown by the curve of sRGB;
            by default so for OpenEXR files alone.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
        ConfigError: ``factor`` is not a positive whole number, or ``white`` not positive and
            finite.
        DanetError: the page cannot be written.
    """
    names = Path(before).name, Path(after).name
    first, second = (
        read_shown(path, light=light_of(path, white, linear)) for path in (before, after)
    )
    shown = compare(first, second, names=names, factor=factor)
    with atomic_write(page) as temporary:
        temporary.write_text(shown.page(title), encoding="utf-8")


def read_shown(
    path: str | os.PathLike[str],
    scratch: Path | None = None,
    most: int | None = None,
    light: Light | None = None,
) -> Image.Image:
    """The first picture of a file, upright, in sRGB and 8 bits.

    Args:
        path: as for `danet.images.open_picture`.
        scratch: as for it.
        most: pixels that it may have.
        light: how its numbers stand for light; by default by `danet.images.reading.light_of`.

    Raises:
        TooLargeError: it has more.
        ImageError: the file cannot be read, or has more pixels than twice
            ``PIL.Image.MAX_IMAGE_PIXELS``.
    """
    with open_picture(path, scratch) as file:
        frame = next(file.frames)
        pixels = upright(frame)
        try:
            if pixels.ndim > 1:  # else it is no picture; of .npy files nobody has looked yet
                check_size(pixels.shape[1], pixels.shape[0])
                if most is not None and pixels.shape[0] * pixels.shape[1] > most:
                    raise TooLargeError("too large for a page")
            image = Image.fromarray(_bytes(pixels, light or light_of(path)))
        except ImageError as error:
            raise type(error)(f"{path}: {error}") from error
    profile = io.BytesIO(frame.info.get("icc_profile") or b"")
    with suppress(ImageCms.PyCMSError, OSError):  # no profile, or one of other colours
        ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), inPlace=True)
    return image


def _address(pixels: NDArray[np.uint8]) -> str:
    """A picture without loss as an address that holds it, for ``src``."""
    file = io.BytesIO()
    # WebP is a quarter smaller than PNG, and with these settings as quick.
    if max(pixels.shape) <= _LARGEST_WEBP and features.check("webp"):
        Image.fromarray(pixels).save(file, "WEBP", lossless=True, quality=50, method=2)
        kind = "webp"
    else:
        Image.fromarray(pixels).save(file, "PNG")
        kind = "png"
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode()}"


def _bytes(picture: Picture, light: Light = PLAIN) -> NDArray[np.uint8]:
    """H x W x 3 of one picture."""
    tensor, _ = to_tensor(picture, light)
    if len(tensor) != 1:
        raise ImageError(f"{len(tensor)} pictures in one tensor; give them one by one")
    pixels = np.rint(tensor[0].detach().cpu().permute(1, 2, 0).numpy() * 255)
    return np.ascontiguousarray(pixels, np.uint8)


def _row(name: str, levels: NDArray[np.floating]) -> str:
    cells = "".join(f"<td>{255 * level:.2f}</td>" for level in levels)
    return f"<tr><th>{name}</th>{cells}</tr>"
