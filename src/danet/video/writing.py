"""Frames to a video file, with the sound and the metadata of another."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from danet.errors import DanetError, DanetWarning, ImageError, one_line
from danet.video.frames import frame_of, libav
from danet.video.reading import Video

__all__ = ["WRITABLE", "VideoWriter", "check_target"]

# Suffixes, in lower case.  AVI has no place for time stamps, and MPEG-TS none for a rotation.
WRITABLE = frozenset({".m4v", ".mkv", ".mov", ".mp4", ".webm"})


class _Encoder(NamedTuple):
    """What writes a codec, the constant rate factor that is worst, and further options."""

    name: str
    worst: int | None
    options: dict[str, str]


_ENCODERS = {
    "h264": _Encoder("libx264", 51, {}),
    "hevc": _Encoder("libx265", 51, {"x265-params": "log-level=none"}),
    "vp9": _Encoder("libvpx-vp9", 63, {"row-mt": "1"}),
    "av1": _Encoder("libsvtav1", 63, {}),
    "ffv1": _Encoder("ffv1", None, {}),
    "prores": _Encoder("prores_ks", None, {}),
}
_EVEN = ("h264", "hevc")  # of what their encoders take
_QUALITY = 70

# What frames may carry and the encoders are not given, in words.
_LOST = {
    "A53_CC": "closed captions in the pictures",
    "CONTENT_LIGHT_LEVEL": "HDR light levels",
    "DOVI_METADATA": "Dolby Vision",
    "DYNAMIC_HDR_PLUS": "HDR10+",
    "DYNAMIC_HDR_VIVID": "HDR Vivid",
    "ICC_PROFILE": "its colour profile",
    "MASTERING_DISPLAY_METADATA": "HDR mastering display",
    "SPHERICAL": "its projection as a sphere",
    "STEREO3D": "its stereo layout",
}


def check_target(path: Path) -> None:
    """Refuse a file that no video is written to.

    Raises:
        ImageError: its suffix names no format, or one that is not written.
    """
    if path.suffix.lower() not in WRITABLE:
        raise ImageError(
            f"{path}: no video is written with the suffix {path.suffix!r}; take "
            f"{', '.join(sorted(WRITABLE))}"
        )


class VideoWriter:
    """A video file like another, frame by frame; a context manager.

    Args:
        path: the file to write.
        target: its name in messages.
        video: the other one, whose codec, layout of pixels, colours, rotation, metadata, sound and
            subtitles it gets; what the format has no place for is named in a warning.
        quality: 1 to 100; None: 70.

    Raises:
        DanetError: the file cannot be written.
        DanetWarning: something of the other file is left out or changed.
    """

    def __init__(self, path: Path, target: Path, video: Video, quality: int | None) -> None:
        self._target = target
        self._lock = Lock()  # sound comes from the thread that reads
        self._lost = list(video.lost)
        with self._writing():
            self._container = libav().open(f"file:{path}", "w", container_options=_options(video))
            self._stream = self._pictures(video, _QUALITY if quality is None else quality)
            self._copies = {other.index: self._copy_of(other) for other in video.copied}
            self._container.metadata.update(_metadata(video.container))
            self._container.set_chapters(video.container.chapters())
            self._container.start_encoding()
        if self._lost:
            warnings.warn(
                f"{target}: written without {' and '.join(self._lost)} of {video.path}",
                DanetWarning,
                stacklevel=3,
            )

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(self, kind: object, *details: object) -> None:
        # What went wrong in the block is said rather than what that entails.
        with suppress(DanetError) if kind else nullcontext(), self._writing():
            self._container.close()

    def copy(self, packet: Any) -> None:
        """Take a packet of sound or of a subtitle over."""
        stream = self._copies[packet.stream.index]
        if stream is not None:
            packet.stream = stream
            self._put(packet)

    def write(self, pixels: NDArray[np.uint16], like: Any) -> None:
        """Write the pixels of `pixels_of` in the place of a frame."""
        with self._writing():
            frame = frame_of(pixels, like, self._stream.pix_fmt)
            self._put(*self._stream.encode(frame))

    def finish(self) -> None:
        """Write what the encoder still holds."""
        with self._writing():
            self._put(*self._stream.encode(None))

    def _put(self, *packets: Any) -> None:
        with self._lock, self._writing():
            self._container.mux(packets)

    def _pictures(self, video: Video, quality: int) -> Any:
        av = libav()
        given, first = video.stream.codec_context, video.first
        codec = self._codec(given.codec.canonical_name)
        encoder = _ENCODERS[codec]
        options = dict(encoder.options)
        if encoder.worst is not None:
            options["crf"] = str(round(encoder.worst * (1 - quality / 100)))
        stream = self._container.add_stream(encoder.name, video.rate, options)
        context = stream.codec_context
        context.time_base = video.stream.time_base
        context.width, context.height = first.width, first.height
        if video.stream.sample_aspect_ratio is not None:
            context.sample_aspect_ratio = video.stream.sample_aspect_ratio
        for name in ("color_range", "color_primaries", "color_trc", "colorspace"):
            setattr(context, name, getattr(first, name))
        context.pix_fmt = self._pixel_format(stream.codec, first.format.name)
        if codec in _EVEN:
            self._check_even(video, av.VideoFormat(context.pix_fmt))
        if codec == "hevc" and self._container.format.name in ("mov", "mp4"):
            context.codec_tag = "hvc1"  # Apple's players take no other
        _keep_words(stream, video.stream)
        for part in first.side_data:
            if part.type is av.sidedata.sidedata.Type.DISPLAYMATRIX:
                stream.set_display_matrix(np.frombuffer(part, "<i4"))
        self._lost += [_LOST[name] for name in sorted(_names(first.side_data) & _LOST.keys())]
        return stream

    def _check_even(self, video: Video, layout: Any) -> None:
        """Refuse a size that is no multiple of what shares one value of chroma."""
        width, height = video.first.width, video.first.height
        if width % (2 // layout.chroma_width(2)) or height % (2 // layout.chroma_height(2)):
            raise ImageError(
                f"{self._target}: H.264 and HEVC take no odd sizes with {layout.name}, and "
                f"{video.path} has {width} x {height} pixels; take .webm, or crop it first"
            )

    def _codec(self, name: str) -> str:
        """The codec to write pictures in: theirs, if it is written and the format holds it."""
        held = self._container.supported_codecs
        if name in _ENCODERS and name in held:
            return name
        codec = "h264" if "h264" in held else "vp9"
        self._lost.append(f"the codec {name} (it is {codec} now)")
        return codec

    def _pixel_format(self, codec: Any, name: str) -> str:
        av = libav()
        held = [known.name for known in codec.video_formats]
        if name in held:
            return name
        nearest, _ = av.codec.codec.find_best_pix_fmt_of_list(held, name)
        self._lost.append(f"the pixel format {name} (it is {nearest.name} now)")
        return str(nearest.name)

    def _copy_of(self, stream: Any) -> Any:
        """A stream for the packets of another, if the format can hold them."""
        try:
            copy = self._container.add_stream_from_template(stream, opaque=True)
        except ValueError:
            name = getattr(stream.codec_context, "name", "of an unknown codec")
            self._lost.append(f"stream {stream.index} ({name})")
            return None
        _keep_words(copy, stream)
        return copy

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """Turn what goes wrong in the block into an error that names the file."""
        av = libav()
        try:
            yield
        except (av.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, DanetError):
                raise
            reason = getattr(error, "strerror", None) or one_line(error)
            raise DanetError(f"{self._target}: cannot be written: {reason}") from error


def _keep_words(stream: Any, other: Any) -> None:
    stream.metadata.update(other.metadata)
    stream.metadata.pop("alpha_mode", None)
    stream.disposition = other.disposition


def _metadata(container: Any) -> dict[str, str]:
    """What a file says of itself, but for what the muxer says anew."""
    own = ("major_brand", "minor_version", "compatible_brands", "encoder")
    return {key: value for key, value in container.metadata.items() if key.lower() not in own}


def _options(video: Video) -> dict[str, str]:
    # As Apple's cameras write them; else the muxer knows no place for such names.
    is_apple = any(key.startswith("com.apple.") for key in video.container.metadata)
    return {"movflags": "use_metadata_tags"} if is_apple else {}


def _names(side_data: Any) -> set[str]:
    return {part.type.name for part in side_data}
