"""The mean over the eight flips and rotations."""

from __future__ import annotations

import torch
from torch import Tensor

from danet.inference.ensemble import self_ensemble


def test_it_is_the_mean_of_eight_different_views() -> None:
    picture = torch.rand(2, 3, 5, 7)
    seen = []

    def first_pixel(view: Tensor) -> Tensor:
        seen.append(view.clone())
        marked = torch.zeros_like(view)
        marked[..., 0, 1] = 8.0
        return marked

    result = self_ensemble(picture, first_pixel)
    assert len(seen) == 8
    assert len({str(view.flatten().tolist()) for view in seen}) == 8
    # The marked pixel, turned back, stands beside each corner, along either side of it.
    beside = [(0, 1), (1, 0), (0, -2), (1, -1), (-1, 1), (-2, 0), (-1, -2), (-2, -1)]
    expected = torch.zeros_like(picture)
    for row, column in beside:
        expected[..., row, column] = 1.0
    assert torch.equal(result, expected)


def test_a_result_that_follows_its_picture_is_unchanged() -> None:
    picture = torch.rand(1, 3, 6, 9)
    assert torch.allclose(self_ensemble(picture, torch.square), picture.square())
