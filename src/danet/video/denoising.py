"""Video files, denoised frame by frame."""

from __future__ import annotations

import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from danet.errors import ConfigError, check_count
from danet.files import atomic_write
from danet.inference.automatic import FoundNoise, settled
from danet.inference.pipeline import run_streamed
from danet.inference.treatment import Strength
from danet.pretrained import Denoiser
from danet.video.alignment import Shot, steadied
from danet.video.frames import pixels_of
from danet.video.reading import open_video
from danet.video.writing import VideoWriter, check_target

__all__ = ["denoise_video"]

# A frame of PyAV, and its pixels.
_Decoded: TypeAlias = tuple[Any, NDArray[np.uint16]]

_WHITE = 65535


def denoise_video(
    denoiser: Denoiser,
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    strength: Strength | Callable[[FoundNoise], Strength] = 1.0,
    grain: float = 0.0,
    self_ensemble: bool = False,
    temporal: int = 0,
    quality: int | None = None,
    progress: bool = False,
) -> None:
    """Denoise every frame of a video file.

    Frames are read ahead, computed and written one by one, so that a video of any length needs the
    memory of a few.  Kept are the time stamp of each frame, the codec, the layout and depth of the
    pixels, the tags of their colours, rotation and pixel aspect, metadata and chapters; sound and
    subtitles are copied as they are.  What cannot be kept is named in a warning.

    Args:
        denoiser: what denoises a frame.
        source: a video file, of the first pictures of which each frame is taken.
        target: the file to write, ``.mp4``, ``.m4v``, ``.mov``, ``.mkv`` or ``.webm``; it is whole
            or not there, and may be the source.
        strength: as for calling the denoiser, or a function that gives it for the noise which
            `danet.Denoiser.find_noise` finds; of "auto" and of a function, that of the first frame
            is taken for all.  A mask lies as the pixels in the file do.
        grain: as for calling the denoiser.
        self_ensemble: as for calling the denoiser.
        temporal: average each denoised frame with as many before and as many after it, laid over it
            by `danet.video.alignment.aligned`; 0 treats each frame alone.
        quality: 1 to 100, which is a constant rate factor of the encoder: 100 is 0, and 0 is 51 of
            H.264 and HEVC and 63 of VP9 and AV1; None: 70.  FFV1 and ProRes have none.
        progress: show a progress bar on standard error.

    Raises:
        ImageError: the source is no whole video of a known format, is interlaced, or changes its
            size; or the suffix of the target names no format that is written.
        ConfigError: PyAV is not installed, or, for ``temporal``, OpenCV; or a number is out of its
            range.
        DanetError: the target cannot be written, or the memory does not suffice.
        DanetWarning: something of the source is left out or changed, which it names.
    """
    source, target = Path(source), Path(target)
    check_count("temporal", temporal)
    if quality is not None and not 1 <= quality <= 100:
        raise ConfigError(f"quality is {quality}, and must be from 1 to 100")
    check_target(target)
    is_new = not target.exists()
    with open_video(source) as video, atomic_write(target) as temporary:
        bar = tqdm(total=video.count, unit="frame", leave=False, disable=None if progress else True)

        def denoised(frames: Iterator[_Decoded]) -> Iterator[_Decoded]:
            waiting: deque[_Decoded] = deque()

            def shots() -> Iterator[Shot]:
                amount: Strength | None = None
                for decoded in frames:
                    waiting.append(decoded)
                    noisy = _colours(decoded[1]) / np.float32(_WHITE)
                    if amount is None:
                        amount = settled(strength, partial(denoiser.find_noise, noisy))
                    clean = denoiser(
                        noisy, strength=amount, grain=grain, self_ensemble=self_ensemble
                    )
                    yield Shot(noisy, clean)

            for clean in steadied(shots(), temporal):
                frame, pixels = waiting.popleft()
                _colours(pixels)[:] = np.rint(clean.clip(0, 1) * _WHITE)
                yield frame, pixels
                bar.update()

        with bar, VideoWriter(temporary, target, video, quality) as writer:
            run_streamed(
                ((frame, pixels_of(frame)) for frame in video.frames(writer.copy)),
                denoised,
                lambda shown: writer.write(shown[1], like=shown[0]),
            )
            writer.finish()
    if is_new:
        with suppress(OSError):  # of another user, or a file system without permissions
            shutil.copymode(source, target)


def _colours(pixels: NDArray[np.uint16]) -> NDArray[np.uint16]:
    """A view without transparency."""
    return pixels if pixels.ndim == 2 else pixels[..., :3]
