"""A folder of pages on the pictures of one run: one for each, and one that leads to all."""

from __future__ import annotations

import base64
import html
import io
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from danet.errors import ConfigError, one_line
from danet.files import atomic_write
from danet.images.light import Light
from danet.images.reading import light_of
from danet.pages.comparison import TooLargeError, compare, read_shown
from danet.pages.filling import filled

__all__ = ["Report"]

_INDEX = "index.html"
_OWN = '<meta name="generator" content="danet">'
# Larger pages are shown by few browsers.
_MOST_PIXELS = 2**25
# File systems hold names of 255 bytes, and a character has up to four.
_LONGEST_NAME = 60
_THUMBNAIL = 480, 384  # pixels, for screens of two to a CSS pixel


class Report:
    """A folder with a page of `danet.pages.compare` for each picture, and ``index.html``.

    The index has a small picture of each result that leads to its page, the noise level before
    and after, and what failed.  The pages need nothing but each other.

    Args:
        folder: where the pages are written to; made if need be.
        pictures: the names of all pictures, by whose order the pages are numbered.
        light: gives how the numbers of a file that is read, and of its result, stand for light.

    Raises:
        ConfigError: the folder has an ``index.html`` that is no report, which would be lost.
        DanetError: the folder cannot be written to.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> Image.new("L", (70, 45), 100).save(folder / "a.png")
        >>> report = Report(folder / "report", ["a.png"])
        >>> with report.on("a.png", folder / "a.png", folder / "a.png"):
        ...     pass
        >>> report.write()
        >>> sorted(path.name for path in (folder / "report").iterdir())
        ['1-a.png.html', 'index.html']
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        pictures: Sequence[object],
        light: Callable[[Path], Light] = light_of,
    ) -> None:
        self._folder, self._light = Path(folder), light
        self._numbers = {str(picture): number for number, picture in enumerate(pictures, 1)}
        self._shown: dict[int, str] = {}
        self._faults: dict[int, str] = {}
        index = self._folder / _INDEX
        if index.exists() and _OWN not in index.read_text(encoding="utf-8", errors="replace"):
            raise ConfigError(
                f"{index}: no report of danet, and is not replaced; name another folder"
            )
        self.write()  # at once, so that no picture is treated where it cannot be written

    @contextmanager
    def on(self, picture: object, before: Path, after: Path) -> Iterator[None]:
        """Note how the work on a picture in the block ends, and write its page.

        Args:
            picture: its name, one of those that were given.
            before: the file that is read.
            after: the file that is there when the block ends.

        Raises:
            ImageError: a file cannot be read.
            DanetError: the page cannot be written.
        """
        number = self._numbers[str(picture)]
        try:
            yield
            self._shown[number] = self._page(number, str(picture), before, after)
        except Exception as error:
            reason = one_line(error).removeprefix(f"{one_line(picture)}: ")
            self._faults[number] = f"<li>{_escaped(picture)}: {_escaped(reason)}</li>"
            raise

    def write(self) -> None:
        """Write the index of the pages so far.

        Raises:
            DanetError: it cannot be written.
        """
        faults = [self._faults[number] for number in sorted(self._faults)]
        done = [self._shown[number] for number in sorted(self._shown)]
        text = filled(
            "report.html",
            title=f"{len(done)} done, {len(faults)} failed",
            faults="\n".join(["<h2>Failed</h2>", '<ul class="faults">', *faults, "</ul>"])
            if faults
            else "",
            pictures="\n".join(done),
        )
        with atomic_write(self._folder / _INDEX) as temporary:
            temporary.write_text(text, encoding="utf-8")

    def _page(self, number: int, picture: str, before: Path, after: Path) -> str:
        """Write the page of a picture, and give its part of the index."""
        light = self._light(before)
        try:
            first, second = (
                read_shown(path, self._folder, _MOST_PIXELS, light) for path in (before, after)
            )
        except TooLargeError:
            return f"<li>{_escaped(picture)}<span>done, and too large for a page</span></li>"
        shown = compare(first, second, names=(Path(picture).name, after.name))
        digits = len(str(len(self._numbers)))
        name = f"{number:0{digits}d}-{Path(picture).name[:_LONGEST_NAME]}.html"
        with atomic_write(self._folder / name) as temporary:
            temporary.write_text(shown.page(picture, _INDEX), encoding="utf-8")
        noisy, clean = (255 * np.sqrt(np.mean(np.square(each))) for each in shown.levels)
        levels = f"noise {noisy:.1f}, then {clean:.1f}; taken {shown.taken.std():.1f}"
        return (
            f'<li><a href="{quote(name)}"><img src="{_thumbnail(second)}" alt="">'
            f"{_escaped(picture)}<span>{levels}</span></a></li>"
        )


def _escaped(text: object) -> str:
    return html.escape(one_line(text))


def _thumbnail(image: Image.Image) -> str:
    small, file = image.copy(), io.BytesIO()
    small.thumbnail(_THUMBNAIL)
    small.save(file, "JPEG", quality=80)
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"
