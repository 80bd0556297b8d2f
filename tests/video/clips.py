"""Short videos to test with."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

MILLISECOND = Fraction(1, 1000)


def scenery(count: int = 6, height: int = 48, width: int = 64) -> list[NDArray[np.uint8]]:
    """Frames of smooth colours that move to the right by two pixels each."""
    rows, columns = np.mgrid[:height, : width + 2 * count]
    whole = np.stack([120 + 80 * np.sin(columns / 9), 2 * rows + 60, 200 - columns / 2], axis=-1)
    whole = np.rint(whole).astype(np.uint8)
    return [whole[:, 2 * number : 2 * number + width] for number in range(count)]


def write_clip(
    path: Path,
    frames: list[NDArray[np.uint8]],
    *,
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    times: list[int] | None = None,
    rotation: int = 0,
    sound: str = "",
    tags: dict[str, int] | None = None,
    options: dict[str, str] | None = None,
) -> Path:
    """Write a video with time stamps in milliseconds, a title, and perhaps a tone of sound."""
    import av

    with av.open(path, "w") as container:
        stream: Any = container.add_stream(codec, rate=25, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = MILLISECOND
        for name, value in (tags or {}).items():
            setattr(stream.codec_context, name, value)
        if rotation:
            stream.set_display_rotation(rotation)
        container.metadata["title"] = "a clip"
        tone: Any = container.add_stream(sound, rate=48000) if sound else None
        for pixels, time in zip(frames, times or range(0, 40 * len(frames), 40), strict=True):
            frame: Any = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame = frame.reformat(format=pixel_format, dst_colorspace="ITU601")
            frame.pts, frame.time_base = time, MILLISECOND
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound:
            for start in range(0, 12288, 1024):
                wave = np.sin(np.arange(start, start + 1024) / 20).astype(np.float32)
                piece = av.AudioFrame.from_ndarray(np.stack([wave, wave]), format="fltp")
                piece.sample_rate, piece.pts = 48000, start
                piece.time_base = Fraction(1, 48000)
                container.mux(tone.encode(piece))
            container.mux(tone.encode(None))
    return path


def shown(path: Path) -> list[NDArray[np.uint8]]:
    """The frames of a video as RGB."""
    import av

    with av.open(path) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def times_of(path: Path) -> list[Fraction]:
    """When each frame is shown, in seconds."""
    import av

    with av.open(path) as container:
        return [frame.pts * frame.time_base for frame in container.decode(video=0)]


def sound_of(path: Path) -> list[tuple[Fraction, bytes]]:
    """The packets of sound, each with its time."""
    import av

    with av.open(path) as container:
        packets = container.demux(audio=0)
        return [(packet.pts * packet.time_base, bytes(packet)) for packet in packets if packet.size]


def traits(path: Path) -> dict[str, Any]:
    """What a video says of its first frame, its codec and itself."""
    import av

    with av.open(path) as container:
        frame: Any = next(container.decode(video=0))
        names = ("color_primaries", "color_range", "color_trc", "colorspace", "rotation")
        return {name: getattr(frame, name) for name in names} | {
            "size": (frame.width, frame.height),
            "format": frame.format.name,
            "codec": container.streams.video[0].codec_context.codec.canonical_name,
            "title": container.metadata["title"],
        }
