"""Large pictures, tile by tile.

Nothing here knows a network: a picture goes in, and a function that treats one tile.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from danet.errors import ConfigError
from danet.sizes import crop, pad_to_multiple

__all__ = ["check_tile", "run_tiled"]


def check_tile(tile: int, multiple: int) -> None:
    """Refuse a tile that is smaller than ``multiple``.

    Raises:
        ConfigError: it is.
    """
    if tile < max(multiple, 1):
        raise ConfigError(f"tile is {tile}, and must be at least {max(multiple, 1)} pixels")


def run_tiled(
    image: Tensor,
    predict: Callable[[Tensor], Tensor],
    *,
    tile: int,
    halo: int,
    multiple: int,
    device: torch.device | str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Apply a function to a picture in tiles, as if to the whole of it.

    The picture is padded to ``multiple`` first (see `pad_to_multiple`) and the result cropped.
    Each tile is cut out with a halo around it, treated, and its halo dropped.  The result
    is that of the whole picture when the halo is at least the farthest that an input pixel
    changes an output pixel.

    Args:
        image: N x C x H x W.
        predict: takes N x C x h x w and gives N x C' x h x w, for any h and w that are
            multiples of ``multiple``.
        tile: side of a tile without its halo, rounded down to ``multiple``.
        halo: pixels around a tile, rounded up to ``multiple``, fewer at the borders.
        multiple: tiles start at multiples of this, so that a network with strides sees each
            pixel in the same phase as in the whole picture.
        device: where ``predict`` runs; the picture's own by default.
        progress: called after each tile with the numbers of tiles done and in all.

    Returns:
        N x C' x H x W, on the device of the picture.

    Raises:
        ConfigError: the tile is smaller than ``multiple``, or the halo negative.

    Example:
        >>> picture = torch.rand(1, 3, 45, 70)
        >>> doubled = run_tiled(picture, lambda x: 2 * x, tile=32, halo=8, multiple=16)
        >>> torch.equal(doubled, 2 * picture)
        True
    """
    check_tile(tile, multiple)
    if halo < 0:
        raise ConfigError(f"halo is {halo}, and must not be negative")
    core = tile - tile % multiple
    halo += -halo % multiple
    padded, size = pad_to_multiple(image, multiple)
    height, width = padded.shape[-2:]
    corners = [(top, left) for top in range(0, height, core) for left in range(0, width, core)]
    output = None
    for done, (top, left) in enumerate(corners, start=1):
        # Slices end at the border by themselves, but a negative start would wrap around.
        start_y, start_x = max(top - halo, 0), max(left - halo, 0)
        patch = padded[..., start_y : top + core + halo, start_x : left + core + halo]
        result = predict(patch.to(device)).to(image.device)
        result = result[..., top - start_y :, left - start_x :][..., :core, :core]
        if output is None:
            output = result.new_empty(*result.shape[:-2], height, width)
        output[..., top : top + core, left : left + core] = result
        if progress is not None:
            progress(done, len(corners))
    assert output is not None  # a picture has at least one tile
    return crop(output, size)
