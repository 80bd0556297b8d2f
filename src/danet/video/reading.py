"""Video files to frames, one after the other."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from danet.errors import DanetError, ImageError, one_line
from danet.images.reading import check_size
from danet.video.frames import libav

__all__ = ["SUFFIXES", "Video", "open_video"]

# In lower case.
SUFFIXES = frozenset({".3gp", ".avi", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mts", ".webm"})

# Neither playlists, which name other files, nor devices; and nothing but the file itself is opened.
_SAFE = {
    "format_whitelist": "avi,matroska,mov,mpegts,webm",
    "protocol_whitelist": "file",
}
_MISSING_SECONDS = 0.5  # by which the length that a file states may be off


@dataclass(frozen=True, eq=False)
class Video:
    """An open video file.

    Attributes:
        path: of the file.
        container: of PyAV.
        stream: of the pictures.
        first: the first frame, which all others are like.
        copied: the streams of sound and of subtitles.
        lost: names of the other streams.
    """

    path: Path
    container: Any
    stream: Any
    first: Any
    copied: list[Any]
    lost: list[str]

    @property
    def rate(self) -> Fraction:
        """Frames a second, on average."""
        return Fraction(self.stream.average_rate or self.stream.guessed_rate or 25)

    @property
    def count(self) -> int | None:
        """About how many frames there are, if the file says anything of it."""
        if self.stream.frames:
            return int(self.stream.frames)
        end = self._stated_end()
        return None if end is None else round(end * self.rate)

    def frames(self, copy: Callable[[Any], None]) -> Iterator[Any]:
        """The frames, in their order, each with a time stamp.

        Args:
            copy: takes the packets of the other streams as they come.

        Raises:
            ImageError: the file is damaged, ends too soon, or is interlaced, or its frames are not
                all of one kind.
        """
        end, shown = Fraction(0), None
        watched = [self.stream] if self.stream.duration else [self.stream, *self.copied]
        with _reading(self.path):
            for packet in self.container.demux([self.stream, *self.copied]):
                if packet.is_corrupt:
                    raise ImageError(f"damaged after {float(end):.2f} s")
                if packet.pts is not None and packet.stream in watched:
                    end = max(end, (packet.pts + (packet.duration or 0)) * packet.time_base)
                if packet.stream is not self.stream:
                    if packet.size:  # else it only says that there are no more
                        copy(packet)
                    continue
                for frame in packet.decode():
                    self._check(frame, shown)
                    shown = frame.pts
                    yield frame
            stated = self._stated_end()
            if stated is not None and stated - end > _MISSING_SECONDS:
                raise ImageError(
                    f"ends after {float(end):.2f} s, and should have {float(stated):.2f} s"
                )

    def _stated_end(self) -> Fraction | None:
        """When the pictures end by the head of the file, or all that it holds, in seconds."""
        whole, unit = self.stream, self.stream.time_base
        if not whole.duration:
            whole, unit = self.container, Fraction(1, libav().time_base)
        if not whole.duration:
            return None
        return Fraction(((whole.start_time or 0) + whole.duration) * unit)

    def _check(self, frame: Any, before: int | None) -> None:
        if frame.is_corrupt:
            raise ImageError(f"damaged at {frame.time} s")
        if frame.interlaced_frame:
            raise ImageError(
                "interlaced: a frame is two half pictures of two moments; deinterlace it first, "
                "such as by ffmpeg -vf bwdif"
            )
        if frame.pts is None or (before is not None and frame.pts <= before):
            raise ImageError(
                f"no time stamp, or none after that of the frame before, at {frame.time} s; AVI "
                "has none for some codecs: convert it to .mp4 or .mkv first"
            )
        kind, first = (
            (shown.width, shown.height, shown.format.name) for shown in (frame, self.first)
        )
        if kind != first:
            raise ImageError(f"changes from {_words(first)} to {_words(kind)} at {frame.time} s")


@contextmanager
def open_video(path: str | os.PathLike[str]) -> Iterator[Video]:
    """Open a video file to read its frames one by one.

    Raises:
        ImageError: there is no such file, it is no video of a known format, or it is damaged; or
            its pictures have more pixels than twice ``PIL.Image.MAX_IMAGE_PIXELS``.
        ConfigError: PyAV is not installed.
    """
    path = Path(path)
    with _reading(path):
        if path.exists() and not path.is_file():
            raise ImageError("not a file")
        first = _first(path)
        container = _open(path)
    with container:
        stream = _pictures(container)
        copied = [other for other in container.streams if other.type in ("audio", "subtitle")]
        others = [other for other in container.streams if other not in (stream, *copied)]
        lost = [_named(other) for other in others]
        if stream.metadata.get("alpha_mode") == "1":  # libav's own decoder of VP9 leaves it out
            lost.append("transparency")
        yield Video(path, container, stream, first, copied, lost)


def _open(path: Path) -> Any:
    # By its protocol, since libav takes a part of some names for one.
    return libav().open(f"file:{path}", options=_SAFE)


def _pictures(container: Any) -> Any:
    """The first video stream that is no cover of a record."""
    cover = libav().stream.Disposition.attached_pic
    for stream in container.streams.video:
        if not stream.disposition & cover:
            if stream.codec_context is None:
                raise ImageError("holds pictures in a format that is not known")
            check_size(stream.width, stream.height)
            stream.thread_type = "AUTO"
            return stream
    raise ImageError("holds no pictures")


def _first(path: Path) -> Any:
    with _open(path) as container:
        frame = next(container.decode(_pictures(container)), None)
    if frame is None:
        raise ImageError("holds no picture that can be read")
    check_size(frame.width, frame.height)
    return frame


def _named(stream: Any) -> str:
    if stream.type == "video":
        return f"pictures of stream {stream.index}"
    return f"stream {stream.index} ({stream.type})"


def _words(kind: tuple[int, int, str]) -> str:
    width, height, pixel_format = kind
    return f"{width} x {height} pixels ({pixel_format})"


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Turn what goes wrong in the block into an `ImageError` that names the file."""
    av = libav()
    try:
        yield
    except DanetError as error:
        named = str(error).startswith(f"{path}:")
        raise error if named else ImageError(f"{path}: {error}") from error
    except av.FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except (av.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or one_line(error)
        raise ImageError(f"{path}: not a whole video of a known format: {reason}") from error
