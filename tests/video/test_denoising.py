"""Video files, denoised frame by frame."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("av")
pytest.importorskip("cv2")

from danet import Denoiser
from danet.errors import ConfigError, DanetError, DanetWarning, ImageError
from danet.networks import build
from danet.video import denoise_video
from tests.video.clips import scenery, shown, sound_of, times_of, traits, write_clip

UNEVEN = [0, 40, 80, 200, 240, 250]
# Of the reformatting to RGB and back, where chroma has half the resolution.
LEVELS = 3


@pytest.fixture
def denoiser() -> Denoiser:
    return Denoiser(build("denoiser", "unet", width=2), device="cpu")


@pytest.mark.parametrize(
    ("suffix", "settings"),
    [
        (".mp4", {"sound": "aac", "rotation": 90}),
        (".mov", {"codec": "libx265", "pixel_format": "yuv420p10le"}),
        (".mkv", {"codec": "libx265", "pixel_format": "yuv422p10le"}),
        (".webm", {"codec": "libvpx-vp9", "sound": "libopus"}),
        (".mkv", {"codec": "ffv1", "pixel_format": "yuv444p16le"}),
        (".mkv", {"codec": "ffv1", "pixel_format": "gray"}),
    ],
)
def test_times_sound_and_tags_are_kept(
    denoiser: Denoiser, tmp_path: Path, suffix: str, settings: dict[str, Any]
) -> None:
    if settings.get("codec") == "libx265":
        settings = settings | {"options": {"x265-params": "log-level=none"}}
    tags = {"colorspace": 6, "color_primaries": 9, "color_trc": 16, "color_range": 1}
    source, target = tmp_path / f"clip{suffix}", tmp_path / f"clean{suffix}"
    write_clip(source, scenery(), times=UNEVEN, tags=tags, **settings)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        denoise_video(denoiser, source, target)
    assert times_of(target) == times_of(source)
    assert traits(target) == traits(source)
    assert traits(target)["color_trc"] == 16
    if "sound" in settings:
        assert sound_of(target) == sound_of(source)
        assert len(sound_of(target)) > 10
    assert target.stat().st_mode == source.stat().st_mode


@pytest.mark.parametrize("pixel_format", ["yuv420p", "yuv444p", "gray", "bgr0"])
def test_strength_0_leaves_every_frame(
    denoiser: Denoiser, tmp_path: Path, pixel_format: str
) -> None:
    source, target = tmp_path / "clip.mkv", tmp_path / "clean.mkv"
    write_clip(source, scenery(), codec="ffv1", pixel_format=pixel_format)
    denoise_video(denoiser, source, target, strength=0.0)
    before, after = np.array(shown(source), int), np.array(shown(target), int)
    assert before.shape == after.shape
    assert np.abs(before - after).max() <= LEVELS


@pytest.mark.parametrize("temporal", [0, 1])
def test_each_frame_is_denoised_as_a_picture(
    denoiser: Denoiser, tmp_path: Path, temporal: int
) -> None:
    still = [scenery()[0]] * 4
    source = write_clip(tmp_path / "clip.mkv", still, codec="ffv1", pixel_format="bgr0")
    denoise_video(denoiser, source, tmp_path / "clean.mkv", temporal=temporal)
    after = shown(tmp_path / "clean.mkv")
    assert len(after) == 4
    for frame in after:
        assert np.abs(frame.astype(int) - denoiser(still[0])).max() <= 1


def test_the_strength_is_found_for_the_first_frame_and_holds_for_all(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grey = np.full((64, 96, 3), 120)
    quiet, noisy = (np.rint(rng.normal(grey, level)).astype(np.uint8) for level in (0.1, 8))
    source, target = tmp_path / "clip.mkv", tmp_path / "clean.mkv"
    denoiser = Denoiser("photo-fast", device="cpu")
    for first, second, strength in ((quiet, noisy, 0.0), (noisy, quiet, 1.0)):
        write_clip(source, [first, second], codec="ffv1", pixel_format="bgr0")
        denoise_video(denoiser, source, target, strength="auto")
        for frame, result in zip((first, second), shown(target), strict=True):
            expected = denoiser(frame, strength=strength).astype(int)
            assert np.abs(expected - result).max() <= 1


def test_what_the_new_format_cannot_hold_is_named(denoiser: Denoiser, tmp_path: Path) -> None:
    source = write_clip(tmp_path / "clip.mp4", scenery(), sound="aac")
    with pytest.warns(DanetWarning, match=r"codec h264 \(it is vp9 now\) and stream 1 \(aac\)"):
        denoise_video(denoiser, source, tmp_path / "clean.webm")
    assert traits(tmp_path / "clean.webm")["codec"] == "vp9"


def test_depth_that_no_encoder_has_is_named(denoiser: Denoiser, tmp_path: Path) -> None:
    source = tmp_path / "clip.mkv"
    write_clip(source, scenery(), codec="ffv1", pixel_format="yuv444p16le")
    with pytest.warns(DanetWarning, match="pixel format yuv444p16le"):
        denoise_video(denoiser, source, tmp_path / "clean.webm")


def test_the_source_may_be_replaced(denoiser: Denoiser, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", scenery())
    before, times = path.read_bytes(), times_of(path)
    denoise_video(denoiser, path, path)
    assert path.read_bytes() != before
    assert times_of(path) == times


def cut(path: Path, share: float) -> Path:
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    return path


@pytest.mark.parametrize("share", [0, 0.01, 0.5, 0.9])
@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
def test_a_cut_file_is_one_line_and_leaves_nothing(
    denoiser: Denoiser, tmp_path: Path, suffix: str, share: float
) -> None:
    codec = "libvpx-vp9" if suffix == ".webm" else "libx264"
    rng = np.random.default_rng(0)
    frames = [rng.integers(0, 256, (48, 64, 3), np.uint8) for _ in range(20)]
    times = list(range(0, 8000, 400))
    path = cut(write_clip(tmp_path / f"clip{suffix}", frames, codec=codec, times=times), share)
    with pytest.raises(ImageError, match=f"clip{suffix}: ") as caught:
        denoise_video(denoiser, path, tmp_path / "clean.mkv")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    "content",
    [
        b"#EXTM3U\n#EXTINF:1,\nfile:other.mp4\n",
        b"ffconcat version 1.0\nfile other.mp4\n",
        b"v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 9 RTP/AVP 96\n",
        b"\x89PNG\r\n\x1a\n" + bytes(64),
        bytes(4096),
    ],
)
def test_what_names_other_files_is_no_video(
    denoiser: Denoiser, tmp_path: Path, content: bytes
) -> None:
    write_clip(tmp_path / "other.mp4", scenery())
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"clip\.mp4: not a whole video"):
        denoise_video(denoiser, path, tmp_path / "clean.mp4")


def test_an_interrupted_run_leaves_nothing(denoiser: Denoiser, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", scenery(), sound="aac")
    calls = 0

    class Interrupted(Denoiser):
        def __call__(self, image: Any, **settings: Any) -> Any:
            nonlocal calls
            calls += 1
            if calls == 3:
                raise KeyboardInterrupt
            return super().__call__(image, **settings)

    with pytest.raises(KeyboardInterrupt):
        denoise_video(Interrupted(denoiser.network, device="cpu"), path, tmp_path / "clean.mp4")
    assert list(tmp_path.iterdir()) == [path]


def test_faults_of_the_caller(denoiser: Denoiser, tmp_path: Path) -> None:
    path = write_clip(tmp_path / "clip.mp4", scenery())
    with pytest.raises(ImageError, match=r"clean\.avi: no video is written"):
        denoise_video(denoiser, path, tmp_path / "clean.avi")
    with pytest.raises(ImageError, match=r"none\.mp4: no such file"):
        denoise_video(denoiser, tmp_path / "none.mp4", tmp_path / "clean.mp4")
    with pytest.raises(ImageError, match="not a file"):
        denoise_video(denoiser, tmp_path, tmp_path / "clean.mp4")
    with pytest.raises(ConfigError, match="temporal is -1"):
        denoise_video(denoiser, path, tmp_path / "clean.mp4", temporal=-1)
    with pytest.raises(ConfigError, match="quality is 101"):
        denoise_video(denoiser, path, tmp_path / "clean.mp4", quality=101)
    with pytest.raises(DanetError, match="cannot be written"):
        denoise_video(denoiser, path, path / "clean.mp4")


def test_interlaced_pictures_are_refused(denoiser: Denoiser, tmp_path: Path) -> None:
    options = {"flags": "+ildct+ilme", "x264-params": "tff=1"}
    path = write_clip(tmp_path / "clip.mp4", scenery(), options=options)
    with pytest.raises(ImageError, match="interlaced"):
        denoise_video(denoiser, path, tmp_path / "clean.mp4")


def test_odd_sizes_are_refused_by_codecs_that_take_none(denoiser: Denoiser, tmp_path: Path) -> None:
    odd = [frame[:-1, :-1] for frame in scenery()]
    path = write_clip(tmp_path / "clip.webm", odd, codec="libvpx-vp9")
    denoise_video(denoiser, path, tmp_path / "clean.webm")
    assert traits(tmp_path / "clean.webm")["size"] == (63, 47)
    path = write_clip(tmp_path / "clip.avi", odd, codec="mjpeg", pixel_format="yuvj420p")
    with pytest.raises(
        ImageError, match=r"take no odd sizes with yuvj420p, and .* has 63 x 47 pixels"
    ):
        denoise_video(denoiser, path, tmp_path / "clean.mkv")
    path = write_clip(tmp_path / "clip.mkv", odd, codec="libx264", pixel_format="yuv444p")
    denoise_video(denoiser, path, tmp_path / "clean.mkv")
    assert traits(tmp_path / "clean.mkv")["size"] == (63, 47)


def test_too_many_pixels_are_refused(
    denoiser: Denoiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_clip(tmp_path / "clip.mp4", scenery())
    monkeypatch.setattr("PIL.Image.MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match="64 x 48 pixels exceed the limit"):
        denoise_video(denoiser, path, tmp_path / "clean.mp4")


def test_few_frames_are_held(
    denoiser: Denoiser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from danet.video import denoising, frames, writing

    read = written = most = 0
    pixels_of, write = frames.pixels_of, writing.VideoWriter.write

    def counted(frame: Any) -> NDArray[np.uint16]:
        nonlocal read, most
        read += 1
        most = max(most, read - written)
        return pixels_of(frame)

    def wrote(self: Any, pixels: Any, like: Any) -> None:
        nonlocal written
        write(self, pixels, like)
        written += 1

    monkeypatch.setattr(denoising, "pixels_of", counted)
    monkeypatch.setattr(writing.VideoWriter, "write", wrote)
    path = write_clip(tmp_path / "clip.mp4", scenery(count=30))
    denoise_video(denoiser, path, tmp_path / "clean.mp4", temporal=1)
    assert read == written == 30
    # The one ahead, the one at work, its neighbours, the one behind.
    assert most <= 6
