from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

from danet import metrics
from danet.errors import DanetError, ImageError

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN / "metrics.safetensors")


def test_akld_agrees_with_the_authors(golden: dict[str, Tensor]) -> None:
    score = metrics.akld(golden["clean"], golden["real"], golden["fakes"][:, None])
    assert score == pytest.approx(float(golden["akld"]), rel=1e-5)


def test_akld_of_each_fake_agrees_with_the_authors(golden: dict[str, Tensor]) -> None:
    scores = [
        metrics.akld(golden["clean"], golden["real"], [fake[None]]) for fake in golden["fakes"]
    ]
    assert scores == pytest.approx(golden["kl_per_fake"].tolist(), rel=1e-5)


def test_akld_clamps_the_fakes(golden: dict[str, Tensor]) -> None:
    clean, real, fake = (golden[name] for name in ("clean", "real", "fakes"))
    beyond = fake[:1] + 1
    assert metrics.akld(clean, real, [beyond]) == metrics.akld(clean, real, [beyond.clamp(0, 1)])


def test_akld_takes_every_kind_of_picture(golden: dict[str, Tensor]) -> None:
    clean, real, fake = (
        golden[name][0].permute(1, 2, 0).numpy() for name in ("clean", "real", "fakes")
    )
    expected = metrics.akld(golden["clean"], golden["real"], golden["fakes"][:1, None])
    assert metrics.akld(clean, real, [fake]) == pytest.approx(expected, rel=1e-5)


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
    monkeypatch.setitem(sys.modules, "skimage", None)
    with pytest.raises(DanetError, match=r"pip install scikit-image"):
        measure(torch.zeros(3, 16, 16), torch.ones(3, 16, 16))


def test_equal_pictures() -> None:
    picture = Image.new("RGB", (20, 20), (10, 20, 30))
    assert metrics.psnr(picture, picture) == float("inf")
    assert metrics.ssim(picture, picture) == 1


@pytest.mark.parametrize(
    ("measure", "other"),
    [
        (metrics.psnr, torch.zeros(3, 16, 17)),
        (metrics.ssim, torch.zeros(3, 17, 16)),
        (lambda x, y: metrics.akld(x, x, [y]), torch.zeros(3, 16, 17)),
    ],
)
def test_sizes_must_agree(measure: Any, other: Tensor) -> None:
    with pytest.raises(ImageError, match="differ in size"):
        measure(torch.zeros(3, 16, 16), other)


def test_no_fakes() -> None:
    picture = torch.zeros(3, 16, 16)
    with pytest.raises(ImageError, match="no fakes"):
        metrics.akld(picture, picture, [])


def test_numbers_of_pictures_must_agree() -> None:
    with pytest.raises(ImageError, match=r"\(2, 3, 16, 16\) and \(1, 3, 16, 16\)"):
        metrics.psnr(torch.zeros(2, 3, 16, 16), torch.zeros(3, 16, 16))


def test_tiny_pictures() -> None:
    with pytest.raises(ImageError, match="10 x 16 is too small: SSIM needs 11 pixels"):
        metrics.ssim(torch.zeros(3, 10, 16), torch.zeros(3, 10, 16))
    small, tiny = torch.zeros(3, 4, 4), torch.zeros(3, 16, 3)
    assert metrics.akld(small, small, [small]) == 0
    with pytest.raises(ImageError, match="16 x 3 is too small: AKLD needs 4 pixels"):
        metrics.akld(tiny, tiny, [tiny])
