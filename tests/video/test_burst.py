"""Several pictures of one scene, made one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

pytest.importorskip("cv2")

from danet import Denoiser
from danet.errors import ImageError
from danet.inference.automatic import FoundNoise
from danet.metrics import psnr
from danet.noise import WhiteGaussian
from danet.video import denoise_burst, denoise_burst_files

data = pytest.importorskip("skimage.data")


@pytest.fixture(scope="module")
def denoiser() -> Denoiser:
    return Denoiser("photo-fast", device="cpu")


def burst(count: int = 4) -> tuple[NDArray[np.uint8], list[NDArray[np.uint8]]]:
    """A clean picture, and noisy ones of it, each shifted and turned a little."""
    photo = Image.fromarray(data.astronaut())
    rng = np.random.default_rng(0)
    clean = []
    for number in range(count):
        turn, right, down = (0, 0, 0) if number == 0 else rng.uniform(-1, 1, 3) * (0.4, 5, 5)
        moved = photo.rotate(turn, Image.Resampling.BICUBIC, translate=(right, down))
        clean.append(np.asarray(moved)[30:190, 120:300])
    noise = WhiteGaussian(0.08)
    return clean[0], [noise.sample(each, 1, seed)[0] for seed, each in enumerate(clean)]


def test_a_burst_is_better_than_one_picture(denoiser: Denoiser) -> None:
    clean, noisy = burst()
    result = denoise_burst(denoiser, noisy)
    assert result.dtype == np.uint8
    assert psnr(clean, result) > psnr(clean, denoiser(noisy[0])) + 1


def test_a_burst_of_one_is_that_picture(denoiser: Denoiser) -> None:
    _, (noisy,) = burst(1)
    difference = denoise_burst(denoiser, [noisy]).astype(int) - denoiser(noisy)
    assert np.abs(difference).max() <= 1


def test_the_strength_is_for_what_the_mean_still_has(denoiser: Denoiser) -> None:
    _, noisy = burst(4)
    levels = []

    def strength(found: FoundNoise) -> float:
        levels.append(found.level)
        return 0.0

    mean = denoise_burst(denoiser, noisy, strength=0.0)
    np.testing.assert_array_equal(denoise_burst(denoiser, noisy, strength=strength), mean)
    assert len(levels) == 1
    assert levels[0] < 0.8 * denoiser.find_noise(noisy[0]).level


@pytest.mark.parametrize("kind", ["pillow", "grey", "rgba", "tensor"])
def test_the_kind_of_the_first_comes_back(denoiser: Denoiser, kind: str) -> None:
    _, noisy = burst(2)
    convert: dict[str, Any] = {
        "pillow": Image.fromarray,
        "grey": lambda pixels: pixels[..., 1],
        "rgba": lambda pixels: np.dstack([pixels, pixels[..., :1]]),
        "tensor": lambda pixels: torch.from_numpy(pixels / np.float32(255)).permute(2, 0, 1),
    }
    pictures = [convert[kind](each[:48, :64]) for each in noisy]
    result = denoise_burst(denoiser, pictures)
    assert type(result) is type(pictures[0])
    assert np.shape(result) == np.shape(pictures[0])
    if kind == "rgba":
        np.testing.assert_array_equal(result[..., 3], pictures[0][..., 3])


def test_files_keep_what_the_first_says(denoiser: Denoiser, tmp_path: Path) -> None:
    clean, noisy = burst(3)
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, pixels in zip(paths, noisy, strict=True):
        Image.fromarray(pixels).save(path, dpi=(300, 300))
    denoise_burst_files(denoiser, paths, tmp_path / "one.png")
    with Image.open(tmp_path / "one.png") as one:
        assert round(one.info["dpi"][0]) == 300
        assert psnr(clean, np.asarray(one)) > psnr(clean, denoiser(noisy[0]))


def test_faults_name_the_picture(denoiser: Denoiser, tmp_path: Path) -> None:
    _, noisy = burst(2)
    with pytest.raises(ImageError, match="at least one picture"):
        denoise_burst(denoiser, [])
    with pytest.raises(ImageError, match=r"picture 1, .* 90 x 80 pixels"):
        denoise_burst(denoiser, [noisy[0], noisy[1][:80, :90]])
    for name, pixels in zip(("a.png", "b.png"), (noisy[0], noisy[1][:80, :90]), strict=True):
        Image.fromarray(pixels).save(tmp_path / name)
    paths = [tmp_path / "a.png", tmp_path / "b.png"]
    with pytest.raises(ImageError, match=r"b\.png: has 90 x 80 pixels"):
        denoise_burst_files(denoiser, paths, tmp_path / "one.png")
    still = [Image.new("L", (40, 40), grey) for grey in (10, 200)]
    still[0].save(tmp_path / "two.gif", save_all=True, append_images=still[1:])
    with pytest.raises(ImageError, match=r"two\.gif: holds 2 pictures"):
        denoise_burst_files(denoiser, [tmp_path / "two.gif", *paths], tmp_path / "one.png")
    assert not (tmp_path / "one.png").exists()


def test_openexr_files_are_refused(denoiser: Denoiser, tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    with exr.File({"type": exr.scanlineimage}, {"Y": np.zeros((40, 50), np.float32)}) as file:
        file.write(str(tmp_path / "a.exr"))
    Image.new("L", (50, 40)).save(tmp_path / "b.png")
    for paths in (
        [tmp_path / "a.exr", tmp_path / "b.png"],
        [tmp_path / "b.png", tmp_path / "a.exr"],
    ):
        with pytest.raises(ImageError, match=r"a\.exr: an OpenEXR file, whose light is linear"):
            denoise_burst_files(denoiser, paths, tmp_path / "one.png")
