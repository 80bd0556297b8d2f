from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from danet.filters import TAPS_5, TAPS_7, smooth


@pytest.mark.parametrize("requires_grad", [False, True])
@pytest.mark.parametrize("taps", [TAPS_5, TAPS_7])
def test_agrees_with_scipy(taps: tuple[float, ...], requires_grad: bool) -> None:
    images = torch.rand(2, 3, 20, 31, generator=torch.Generator().manual_seed(0))
    expected = images.double().numpy()
    for axis in (2, 3):
        expected = ndimage.correlate1d(expected, taps, axis=axis, mode="mirror")
    smoothed = smooth(images.requires_grad_(requires_grad), taps)
    assert smoothed.requires_grad == requires_grad
    np.testing.assert_allclose(smoothed.detach().numpy(), expected, atol=1e-6)
