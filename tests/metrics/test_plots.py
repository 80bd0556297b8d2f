from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from danet import metrics
from danet.errors import DanetError, ImageError


def test_real_and_generated_side_by_side(tmp_path: Path) -> None:
    clean = torch.full((3, 24, 32), 0.5)
    noisy, fake = (clean + s * torch.randn(clean.shape) for s in (0.02, 0.04))
    figure = metrics.compare_noise(clean, noisy, {"A": fake, "B": clean})
    panels = np.array(figure.axes[:9]).reshape(3, 3)
    assert [axes.get_title() for axes in panels[0]] == ["real", "A", "B"]
    pictures, noises, variances = (
        [np.asarray(axes.images[0].get_array()) for axes in row] for row in panels
    )
    np.testing.assert_allclose(pictures[1], fake.permute(1, 2, 0).clamp(0, 1), atol=1e-6)
    assert np.std(noises[1]) > 1.5 * np.std(noises[0])
    np.testing.assert_allclose(noises[2], 0.5)
    assert variances[0].mean() == pytest.approx((0.02 * 255) ** 2, rel=0.1)
    assert variances[1].mean() == pytest.approx((0.04 * 255) ** 2, rel=0.1)
    # One scale for all.
    assert len({axes.images[0].get_clim() for axes in panels[2]}) == 1
    path = tmp_path / "noise.png"
    figure.savefig(path)
    with Image.open(path) as image:
        assert image.width > 900


def test_one_fake_and_no_noise() -> None:
    clean = np.full((16, 16, 3), 100, np.uint8)
    figure = metrics.compare_noise(clean, clean, clean)
    assert [axes.get_title() for axes in figure.axes[:2]] == ["real", "generated"]


def test_what_cannot_be_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    small = torch.zeros(3, 3, 9)
    with pytest.raises(ImageError, match="3 x 9 is too small"):
        metrics.compare_noise(small, small, small)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(DanetError, match=r"pip install 'danet\[metrics\]'"):
        metrics.compare_noise(small, small, small)
