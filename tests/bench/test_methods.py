"""Networks and classical denoisers as functions of one form."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from scipy import ndimage

from danet.bench.methods import BASELINES, Floats, baseline, network
from danet.errors import ConfigError
from danet.networks import build
from danet.pretrained import Denoiser


@pytest.fixture
def pair() -> tuple[Floats, Floats]:
    """A smooth coloured picture, and the same with white noise of 10 grey levels."""
    rng = np.random.default_rng(0)
    smooth = ndimage.gaussian_filter(rng.normal(size=(64, 72, 3)), (6, 6, 0))
    clean = 0.5 + 0.1 * smooth / smooth.std()
    noisy = clean + rng.normal(0, 10 / 255, clean.shape)
    return clean.clip(0, 1).astype(np.float32), noisy.clip(0, 1).astype(np.float32)


def error(clean: Floats, image: Floats) -> float:
    return float(np.sqrt(np.mean((image - clean) ** 2)))


@pytest.mark.parametrize("name", BASELINES)
def test_a_baseline_removes_white_noise(name: str, pair: tuple[Floats, Floats]) -> None:
    for package in (BASELINES[name][0], "pywt"):
        pytest.importorskip(package)
    clean, noisy = pair
    before = noisy.copy()
    denoised = baseline(name)(noisy)
    assert denoised.dtype == np.float32 and denoised.shape == noisy.shape
    assert error(clean, denoised) < 0.7 * error(clean, noisy)
    # Its channels are not exchanged.
    shares = [error(clean[..., c], denoised[..., c]) for c in range(3)]
    assert max(shares) < 0.8 * error(clean, noisy)
    np.testing.assert_array_equal(noisy, before)


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "bm3d"])
def test_a_picture_without_noise_is_left_alone(name: str) -> None:
    for package in (BASELINES[name][0], "pywt"):
        pytest.importorskip(package)
    flat = np.full((40, 40, 3), 0.4, np.float32)
    np.testing.assert_array_equal(baseline(name)(flat), flat)


@pytest.mark.parametrize("missing", ["cv2", "pywt", "skimage.restoration"])
def test_a_missing_package_is_named(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for package in {"cv2", "pywt", "skimage.restoration"} - {missing}:
        pytest.importorskip(package)
    monkeypatch.setitem(sys.modules, missing, None)
    package = missing.partition(".")[0]
    with pytest.raises(ConfigError, match=rf"{package}: pip install 'danet\[baselines\]'"):
        baseline("opencv-nlm")


def test_an_unknown_baseline_is_refused() -> None:
    with pytest.raises(ConfigError, match="'wnnm', and must be one of opencv-nlm"):
        baseline("wnnm")


def test_a_network_gives_what_its_denoiser_gives(pair: tuple[Floats, Floats]) -> None:
    noisy = pair[1][:21, :33]
    denoiser = Denoiser(build("denoiser", "unet", width=2), device="cpu")
    np.testing.assert_array_equal(network(denoiser)(noisy), denoiser(noisy))


def test_the_ensemble_is_that_of_the_denoiser() -> None:
    # Of no multiple of the network's sizes: padding before the turns is another result than after.
    noisy = np.random.default_rng(0).random((150, 201, 3), dtype=np.float32)
    denoiser = Denoiser(build("denoiser", "unet", width=2), device="cpu")
    expected = denoiser(noisy, self_ensemble=True)
    np.testing.assert_array_equal(network(denoiser, ensemble=True)(noisy), expected)


def test_the_ensemble_turns_with_its_picture(pair: tuple[Floats, Floats]) -> None:
    noisy = pair[1][:32, :48]
    denoiser = Denoiser(build("denoiser", "unet", width=2), device="cpu")
    alone, ensemble = network(denoiser), network(denoiser, ensemble=True)
    turned = np.rot90(noisy).copy()
    difference = np.rot90(ensemble(noisy)) - ensemble(turned)
    assert np.abs(difference).max() < 1e-6
    assert np.abs(np.rot90(alone(noisy)) - alone(turned)).max() > 1e-4
    assert torch.is_inference_mode_enabled() is False
