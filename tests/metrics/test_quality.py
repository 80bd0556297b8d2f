from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import skimage
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor

from danet import metrics
from danet.errors import ConfigError, DanetError, DanetWarning, ImageError

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN / "metrics.safetensors")


def test_psnr_and_ssim_agree_with_the_authors(golden: dict[str, Tensor]) -> None:
    a, b = golden["image_a_uint8"].numpy(), golden["image_b_uint8"].numpy()
    assert metrics.psnr(a, b) == pytest.approx(float(golden["psnr_uint8"]), rel=1e-5)
    assert metrics.ssim(a, b) == pytest.approx(float(golden["ssim_uint8"]), rel=1e-5)


def test_psnr_rounds_and_clamps_to_8_bits(golden: dict[str, Tensor]) -> None:
    a, b = golden["image_a_uint8"].numpy(), golden["image_b_uint8"].numpy()
    nearly = (b / 255 + 0.4 / 255).clip(0, 1).astype(np.float32)
    assert metrics.psnr(a, nearly) == metrics.psnr(a, b)


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_floats_beyond_the_range_are_clamped(measure: Any) -> None:
    clean = torch.rand(3, 16, 16)
    beyond = clean * 1.6 - 0.3
    expected = measure(clean, beyond.clamp(0, 1))
    assert measure(clean, beyond) == expected
    assert measure(clean, beyond.permute(1, 2, 0).numpy()) == expected


def test_the_true_picture_must_lie_in_the_range() -> None:
    picture = torch.full((3, 16, 16), 200.0)
    with pytest.raises(ImageError, match="holds 200"):
        metrics.psnr(picture, picture)


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_a_batch_has_the_mean_of_its_pictures(measure: Any) -> None:
    clean, strength = torch.rand(3, 3, 16, 16), torch.tensor([0.01, 0.1, 0.5])
    judged = clean + strength.reshape(3, 1, 1, 1) * torch.randn(clean.shape)
    scores = [measure(x, y) for x, y in zip(clean, judged, strict=True)]
    assert len(set(scores)) == 3
    assert measure(clean, judged) == pytest.approx(np.mean(scores))


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_what_to_install_is_said(measure: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "skimage.metrics", None)
    with pytest.raises(DanetError, match=r"pip install 'danet\[metrics\]'"):
        measure(torch.zeros(3, 16, 16), torch.ones(3, 16, 16))


def test_equal_pictures() -> None:
    picture = Image.new("RGB", (20, 20), (10, 20, 30))
    assert metrics.psnr(picture, picture) == float("inf")
    assert metrics.ssim(picture, picture) == 1


def test_numbers_of_pictures_must_agree() -> None:
    with pytest.raises(ImageError, match=r"\(2, 3, 16, 16\) and \(1, 3, 16, 16\)"):
        metrics.psnr(torch.zeros(2, 3, 16, 16), torch.zeros(3, 16, 16))


def test_tiny_pictures() -> None:
    with pytest.raises(ImageError, match="10 x 16 is too small: SSIM needs 11 pixels"):
        metrics.ssim(torch.zeros(3, 10, 16), torch.zeros(3, 10, 16))
    with pytest.raises(ImageError, match="16 x 16 is too small: SSIM needs 17 pixels"):
        metrics.ssim(torch.zeros(3, 16, 16), torch.zeros(3, 16, 16), border=3)
    with pytest.raises(ImageError, match="10 x 16 is too small: PSNR needs 11 pixels"):
        metrics.psnr(torch.zeros(3, 10, 16), torch.zeros(3, 10, 16), border=5)
    assert metrics.ssim(torch.zeros(3, 4, 4), torch.zeros(3, 4, 4), "matlab3d") == 1


@pytest.fixture
def levels() -> tuple[Any, Any]:
    """Two pictures of smooth colours and noise, uint8."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(0, 500, (40, 33, 3)), (4, 4, 0)) + 128
    return tuple(
        (smooth + rng.normal(0, d, smooth.shape)).clip(0, 255).astype("u1") for d in (0, 9)
    )


def ssim_of_a_volume(x: Any, y: Any) -> float:
    """MATLAB's ssim of a volume: every pixel counts, borders are replicated."""
    x, y = (image.astype(float) for image in (x, y))

    def blur(values: Any) -> Any:
        return ndimage.gaussian_filter(values, 1.5, mode="nearest", radius=5)

    mean_x, mean_y = blur(x), blur(y)
    var_x, var_y = blur(x * x) - mean_x**2, blur(y * y) - mean_y**2
    covariance = blur(x * y) - mean_x * mean_y
    first, second = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    above = (2 * mean_x * mean_y + first) * (2 * covariance + second)
    below = (mean_x**2 + mean_y**2 + first) * (var_x + var_y + second)
    return float((above / below).mean())


def test_the_volume_form_is_matlabs(levels: tuple[Any, Any]) -> None:
    found = metrics.ssim(*levels, "matlab3d")
    assert found == pytest.approx(ssim_of_a_volume(*levels), rel=1e-9)
    assert abs(found - metrics.ssim(*levels)) > 1e-3


def test_the_presets_are_those_of_scikit_image(levels: tuple[Any, Any]) -> None:
    reference: Any = skimage.metrics
    settings = {"gaussian_weights": True, "use_sample_covariance": False, "data_range": 255}
    assert metrics.psnr(*levels) == pytest.approx(
        reference.peak_signal_noise_ratio(*levels, data_range=255)
    )
    assert metrics.ssim(*levels) == pytest.approx(
        reference.structural_similarity(*levels, channel_axis=-1, **settings)
    )
    # MATLAB's rgb2ycbcr, from its documentation.
    y = [levels_ / 255 @ [65.481, 128.553, 24.966] + 16 for levels_ in levels]
    assert metrics.psnr(*levels, "y") == pytest.approx(
        reference.peak_signal_noise_ratio(*y, data_range=255)
    )
    assert metrics.ssim(*levels, "y") == pytest.approx(
        reference.structural_similarity(*y, **settings)
    )


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_the_settings(measure: Any, levels: tuple[Any, Any]) -> None:
    clean, judged = levels
    inner = np.s_[4:-4, 4:-4]
    assert measure(clean, judged, border=4) == measure(clean[inner], judged[inner])
    reverse = np.s_[..., ::-1]
    swapped = [picture[reverse].copy() for picture in levels]
    assert measure(*swapped, "y", order="bgr") == pytest.approx(measure(*levels, "y"))
    assert measure(*swapped, "y") != pytest.approx(measure(*levels, "y"), rel=1e-4)
    floats = (judged + 0.3) / 256
    exact = measure(clean, floats, rounding=False)
    assert exact != measure(clean, floats)
    assert exact == pytest.approx(measure(clean, floats), rel=0.02)
    with pytest.raises(ImageError, match=r"holds 1\.5"):
        measure(clean, floats * 0 + 1.5, clamp=False)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "3d"}, "preset is '3d', and must be one of 2d, matlab3d, y"),
        ({"border": -1}, "border is -1"),
        ({"order": "gbr"}, "order is 'gbr'"),
    ],
)
@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_settings_of_no_use(measure: Any, settings: dict[str, Any], message: str) -> None:
    picture = torch.zeros(3, 16, 16)
    with pytest.raises(ConfigError, match=message):
        measure(picture, picture + 0.5, **settings)


def test_a_pair_that_belongs_together(levels: tuple[Any, Any]) -> None:
    assert metrics.check_pair(*levels) == []
    flat = torch.full((3, 32, 32), 0.5)
    assert metrics.check_pair(flat, flat + 0.1 * torch.randn(3, 32, 32)) == []
    assert metrics.check_pair(flat, flat) == []


def test_swapped_channels_are_seen(levels: tuple[Any, Any]) -> None:
    clean, judged = levels
    with pytest.warns(DanetWarning, match="swapped"):
        (found,) = metrics.check_pair(clean, judged[..., ::-1].copy())
    assert "RGB against BGR" in found


@pytest.mark.parametrize("shift", [(3, 0), (-2, 5), (0, -4)])
def test_a_shifted_crop_is_seen(levels: tuple[Any, Any], shift: tuple[int, int]) -> None:
    clean, judged = levels
    rows, columns = shift
    moved = judged[5 - rows : 35 - rows, 5 - columns : 28 - columns]
    with pytest.warns(DanetWarning, match="shifted crop"):
        (found,) = metrics.check_pair(clean[5:35, 5:28], moved)
    assert f"by {-rows} rows and {-columns} columns" in found


@pytest.mark.parametrize("measure", [metrics.psnr, metrics.ssim])
def test_half_precision(measure: Any, levels: tuple[Any, Any]) -> None:
    clean, judged = (torch.from_numpy(x).permute(2, 0, 1) / 255 for x in levels)
    expected = measure(clean, judged)
    assert measure(clean.half(), judged.half()) == pytest.approx(expected, rel=1e-3)
