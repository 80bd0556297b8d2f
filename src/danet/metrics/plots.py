"""Real and generated noise side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from danet.errors import require
from danet.metrics.inputs import check_least, local_variance, take_pair

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["compare_noise"]


def compare_noise(clean: Any, noisy: Any, fakes: Any) -> Figure:
    """Draw real and generated noise side by side, as Fig. 3 of the paper does.

    One column for the real picture and one for each generated one.  Rows: the noisy picture; the
    noise y - x around mid-grey, three deviations of the real noise to each end; and the map
    of its variance, max(GF7((y - x)^2), 1e-10) as AKLD takes it, the mean over the channels in
    squared grey levels of 255.  All columns share one scale.

    Args:
        clean: the true picture, at least 4 pixels high and wide, in [0, 1] where it is of
            floats; of a tensor of N, the first is drawn.
        noisy: the real noisy picture, of the same size.
        fakes: a generated noisy picture, or several by what they are to be called.

    Returns:
        A ``matplotlib.figure.Figure``; its ``savefig(path)`` writes it.

    Raises:
        ImageError: the sizes differ or are too small.
        ConfigError: matplotlib is not installed.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> clean = np.full((16, 16, 3), 0.5)
        >>> real, fake = clean + rng.normal(0, 0.02, (2, 16, 16, 3))
        >>> figure = compare_noise(clean, real, {"Gaussian": fake})
        >>> [axes.get_title() for axes in figure.axes[:2]]
        ['real', 'Gaussian']
    """
    # Figure draws by Agg; pyplot would look for a screen.
    figures = require("matplotlib.figure", "metrics", "drawing noise")
    named = fakes if isinstance(fakes, Mapping) else {"generated": fakes}
    pictures = {}
    for name, picture in {"real": noisy, **named}.items():
        truth, judged = take_pair(clean, picture)
        check_least(truth, 4, "a map of the variance")
        pictures[name] = judged[:1], judged[:1] - truth[:1]
    real = pictures["real"][1]
    reach = 3 * real.square().mean().sqrt().clamp_min(1e-6)
    largest = float(torch.quantile(_variance_map(real).flatten()[:: _stride(real)], 0.99))

    figure: Figure = figures.Figure((3.2 * len(pictures) + 0.6, 9), dpi=100, layout="constrained")
    grid = figure.subplots(3, len(pictures), squeeze=False)
    for column, (name, (picture, noise)) in enumerate(pictures.items()):
        grid[0, column].set_title(name)
        grid[0, column].imshow(_pixels(picture))
        grid[1, column].imshow(_pixels((0.5 + noise / (2 * reach)).clamp(0, 1)))
        drawn = grid[2, column].imshow(_variance_map(noise).cpu().numpy(), vmin=0, vmax=largest)
    for axes, label in zip(grid[:, 0], ("picture", "noise", "variance"), strict=True):
        axes.set_ylabel(label)
    for axes in grid.flatten():
        axes.set_xticks([])
        axes.set_yticks([])
    figure.colorbar(drawn, ax=grid[2, :].tolist(), label="squared grey levels", shrink=0.8)
    return figure


def _variance_map(noise: Tensor) -> Tensor:
    return local_variance(noise)[0].mean(dim=0) * 255**2


def _stride(noise: Tensor) -> int:
    """Every how many-th pixel is enough: torch.quantile takes no more than 16 million."""
    return 1 + noise[0, 0].numel() // 1_000_000


def _pixels(picture: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = picture[0].permute(1, 2, 0).cpu().numpy()
    return array
