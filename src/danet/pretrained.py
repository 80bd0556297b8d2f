"""The two classes that most users need: `Denoiser` and `NoiseGenerator`."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from danet import ensemble
from danet.batching import in_batches
from danet.devices import usable_device
from danet.errors import ConfigError, WeightsError
from danet.images import (
    ImageForm,
    Picture,
    difference_from_tensor,
    from_tensor,
    stack,
    to_tensor,
)
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.sampling import check_draws
from danet.tiling import check_tile, run_tiled
from danet.weights import Kind, find, load_network, save_network

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Denoiser", "NoiseGenerator"]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], Tensor)

_CARD = """\
---
library_name: danet
---

# danet {kind}

A {kind} of width {width} and depth {depth}, its backbone named in config.json, saved by
`{name}.save_pretrained`. What it was trained on, and under which licence it may be used, is not
recorded here: please add it.

```python
from danet import {name}

model = {name}.from_pretrained("path/of/this/folder")
```
"""


class _Pretrained:
    """What the two classes share: a network, a device, and a way to run it on pictures."""

    _kind: ClassVar[Kind]
    _network_class: ClassVar[type[DenoiserNetwork] | type[GeneratorNetwork]]

    network: DenoiserNetwork | GeneratorNetwork
    tile: int | None

    def __init__(
        self,
        weights: str | os.PathLike[str] | DenoiserNetwork | GeneratorNetwork = "photo",
        *,
        device: str | torch.device = "auto",
        tile: int | None = 1024,
    ) -> None:
        if isinstance(weights, nn.Module):
            right = self._network_class
            if not isinstance(weights, right):
                raise WeightsError(
                    f"the network is a {type(weights).__name__}, and that of a "
                    f"{type(self).__name__} must be a danet.networks.{right.__name__}"
                )
            self.network = weights
        else:
            self.network = load_network(find(weights, self._kind), self._kind)
        if tile is not None:
            check_tile(tile, self.network.size_multiple)
        self.tile = tile
        if not isinstance(weights, nn.Module) or device != "auto":
            self.to(device)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | os.PathLike[str],
        *,
        device: str | torch.device = "auto",
        tile: int | None = 1024,
    ) -> Self:
        """Load weights by name or path.

        Args:
            name_or_folder: a shipped name; a folder of one network, or one with the subfolders
                ``denoiser`` and ``generator``; or a ``.safetensors`` file or one of the
                authors' ``.pt`` files.
            device: as for the class.
            tile: as for the class.

        Raises:
            WeightsError: there are no such weights, or they do not fit.
            ConfigError: the device or the tile is of no use.
        """
        return cls(name_or_folder, device=device, tile=tile)

    def save_pretrained(self, folder: str | os.PathLike[str], card: str | None = None) -> None:
        """Save the network so that `from_pretrained` gives it back bit for bit.

        Args:
            folder: receives ``model.safetensors``, ``config.json`` and ``README.md``.
            card: the model card, Markdown; by default one that names the network alone.

        Raises:
            DanetError: a file cannot be written.
        """
        network = self.network
        default = _CARD.format(
            kind=self._kind, name=type(self).__name__, width=network.width, depth=network.depth
        )
        save_network(network, folder, default if card is None else card)

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device ("auto" as for the class), and return self.

        Raises:
            ConfigError: there is no such device here.
        """
        self.network.to(usable_device(device))
        return self

    @property
    def device(self) -> torch.device:
        """Where the network is, and computes."""
        return next(self.network.parameters()).device

    def _run(self, pixels: Tensor, predict: Callable[[Tensor], Tensor]) -> Tensor:
        """Apply the network to N x C x H x W pixels, in tiles if there are many."""
        network = self.network
        height, width = pixels.shape[-2:]
        tile = self.tile
        radius = network.receptive_radius
        whole = radius is None or pixels.requires_grad
        if whole or tile is None or height * width <= tile**2:
            tile = max(height, width) + network.size_multiple  # one tile holds it all
        with _evaluating(network), torch.inference_mode(not pixels.requires_grad):
            return run_tiled(
                pixels,
                predict,
                tile=tile,
                halo=radius or 0,
                multiple=network.size_multiple,
                device=self.device,
            )


class Denoiser(_Pretrained):
    """Removes the noise of photographs: R of the paper.

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: name of shipped weights, a path as for `from_pretrained`, or a network, a
            `danet.networks.DenoiserNetwork`, which is taken as it is.
        device: where to compute.  "auto" is CUDA, else MPS, else the CPU; a network that
            is given stays where it is.
        tile: pictures of more than tile x tile pixels are treated in tiles of that side, with
            the result of the whole; None never does.  Where the network's ``receptive_radius``
            is None, as with RIDNet and NAFNet, the whole picture matters to each of its
            pixels, and it is treated as a whole whatever its size.

    Attributes:
        network: the network, an ordinary module.  Train it by calling it directly.
        tile: as above.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: the device or the tile is of no use.

    Example:
        >>> denoiser = Denoiser()
        >>> noisy = np.zeros((45, 70, 3), np.uint8)
        >>> denoiser(noisy).shape
        (45, 70, 3)
    """

    _kind = "denoiser"
    _network_class = DenoiserNetwork

    @overload
    def __call__(
        self,
        image: _PictureT,
        *,
        strength: float = 1.0,
        residual: Literal[False] = False,
        self_ensemble: bool = False,
    ) -> _PictureT: ...

    @overload
    def __call__(
        self,
        image: Tensor,
        *,
        strength: float = 1.0,
        residual: Literal[True],
        self_ensemble: bool = False,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        image: Image.Image | NDArray[Any],
        *,
        strength: float = 1.0,
        residual: Literal[True],
        self_ensemble: bool = False,
    ) -> NDArray[np.float32]: ...

    def __call__(
        self,
        image: Picture,
        *,
        strength: float = 1.0,
        residual: bool = False,
        self_ensemble: bool = False,
    ) -> Picture:
        """Denoise a picture.

        No gradient is kept, unless the picture is a tensor that requires one; then the
        result is differentiable, and is computed as a whole whatever its size.

        Args:
            image: a PIL image; a NumPy array, H x W or H x W x C, of uint8, uint16 or float in
                [0, 1]; or a torch tensor, C x H x W or N x C x H x W, of float in [0, 1].  C is 1
                (grey), 2 (grey and alpha), 3 or 4 (RGBA).  It is left as it is.
            strength: how much of the noise that the network finds is taken: 0 none, 1 all,
                and above 1 more than that.
            residual: give the noise that is taken instead of the picture without it.
            self_ensemble: take the mean over the eight flips and rotations of the picture, see
                `danet.ensemble.self_ensemble`.  It takes eight times as long.

        Returns:
            A picture of the same kind, type, size and device, in [0, 1] where it is of floats.
            Transparency is as before.  PIL modes without plain channels come back as
            `danet.images.to_tensor` says.  The residual is a float32 array, or a tensor for
            a tensor, of the picture's layout without transparency; it has a sign, and the
            picture less the residual is the result, before it is clamped and rounded.

        Raises:
            ImageError: the picture cannot be taken; the message says why.
            ConfigError: the strength is negative or not finite.

        Example:
            >>> from danet.networks import UNetDenoiser
            >>> denoiser = Denoiser(UNetDenoiser(width=2))
            >>> denoiser(torch.rand(3, 45, 70), strength=0.5).shape
            torch.Size([3, 45, 70])
            >>> denoiser(np.zeros((45, 70), np.uint8), residual=True).dtype
            dtype('float32')
        """
        _check_strength(strength)
        pixels, form = to_tensor(image)
        denoised = self._denoised(pixels, strength, self_ensemble)
        if residual:
            return difference_from_tensor(pixels - denoised, form)
        return from_tensor(denoised, form)

    def map(
        self,
        pictures: Iterable[_PictureT],
        *,
        strength: float = 1.0,
        self_ensemble: bool = False,
        batch_size: int = 16,
        progress: bool = False,
    ) -> Iterator[_PictureT]:
        """Denoise many pictures of any sizes; those of one size are computed together.

        Args:
            pictures: as for calling the denoiser, of mixed kinds if need be.  They are taken
                as they are needed, some ahead, and can be without end.
            strength: as for calling the denoiser.
            self_ensemble: as for calling the denoiser.
            batch_size: the most pictures that are computed at once; large ones are fewer.
            progress: show a progress bar on standard error.

        Returns:
            An iterator over the results, in the order of the pictures.  They equal those of
            single pictures but for the rounding of float32.

        Raises:
            ImageError: a picture cannot be taken; its number, from 0, is in the message.
            ConfigError: the strength or the batch size is of no use; at once.

        Example:
            >>> from danet.networks import UNetDenoiser
            >>> denoiser = Denoiser(UNetDenoiser(width=2))
            >>> pictures = [torch.rand(3, 45, 70), torch.rand(1, 20, 30), torch.rand(3, 45, 70)]
            >>> [tuple(result.shape) for result in denoiser.map(pictures)]
            [(3, 45, 70), (1, 20, 30), (3, 45, 70)]
        """
        _check_strength(strength)
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, and must be at least 1")

        def denoise(pixels: Tensor) -> Tensor:
            return self._denoised(pixels, strength, self_ensemble)

        results: Any = in_batches(pictures, denoise, batch_size)
        if progress:
            from tqdm import tqdm

            total = len(pictures) if isinstance(pictures, Sized) else None
            results = tqdm(results, total=total, unit="picture")
        return cast("Iterator[_PictureT]", iter(results))

    def uncertainty(self, image: Picture) -> NDArray[np.float32] | Tensor:
        """How much the results of the eight flips and rotations of a picture differ.

        It is large where the network decides by little, as in fine texture under strong noise;
        it is no measure of what all eight miss alike, and not calibrated: the true error can be
        several times as large.

        Args:
            image: as for calling the denoiser.

        Returns:
            The standard deviation of the eight results for each pixel, on the scale of [0, 1],
            in the layout of the residual.

        Raises:
            ImageError: the picture cannot be taken; the message says why.

        Example:
            >>> from danet.networks import UNetDenoiser
            >>> Denoiser(UNetDenoiser(width=2)).uncertainty(np.zeros((45, 70))).shape
            (45, 70)
        """
        pixels, form = to_tensor(image)
        # Welford's sums: the eight results need not be held at once.
        mean = torch.zeros_like(pixels)
        squares = torch.zeros_like(pixels)
        for count, view in enumerate(ensemble.views(pixels, self._predict), 1):
            difference = view - mean
            mean = mean + difference / count
            squares = squares + difference * (view - mean)
        return difference_from_tensor((squares / 7).sqrt(), form)

    def _denoised(self, pixels: Tensor, strength: float, self_ensemble: bool) -> Tensor:
        if self_ensemble:
            result = ensemble.self_ensemble(pixels, self._predict)
        else:
            result = self._predict(pixels)
        return result if strength == 1 else torch.lerp(pixels, result, strength)

    def _predict(self, pixels: Tensor) -> Tensor:
        return self._run(pixels, self.network)


class NoiseGenerator(_Pretrained):
    """Adds noise as a camera does: G(x, z) of the paper, z ~ N(0, 1).

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: as for `Denoiser`; a network is a `danet.networks.GeneratorNetwork`.
        device: as for `Denoiser`.
        tile: as for `Denoiser`.

    Attributes:
        network: the network, an ordinary module.  Train it by calling it directly.
        tile: as for `Denoiser`.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: the device or the tile is of no use.

    Example:
        >>> generator = NoiseGenerator()
        >>> clean = np.full((45, 70, 3), 128, np.uint8)
        >>> generator.sample(clean, n=4, seed=1).shape
        (4, 45, 70, 3)
    """

    _kind = "generator"
    _network_class = GeneratorNetwork

    @overload
    def sample(
        self, clean: Image.Image, n: int = 50, seed: int | None = None
    ) -> list[Image.Image]: ...

    @overload
    def sample(self, clean: NDArray[Any], n: int = 50, seed: int | None = None) -> NDArray[Any]: ...

    @overload
    def sample(self, clean: Tensor, n: int = 50, seed: int | None = None) -> Tensor: ...

    def sample(
        self, clean: Picture, n: int = 50, seed: int | None = None
    ) -> list[Image.Image] | NDArray[Any] | Tensor:
        """Make n noisy versions of a clean picture.

        Args:
            clean: a picture as for `Denoiser`.  It is left as it is.
            n: how many.
            seed: not negative; the same one gives the same noise, whatever n and the tile.
                None draws a new one.

        Returns:
            An array or tensor as the picture with a leading axis n, or a list of n PIL images.
            Integers are rounded; floats are in [0, 1].

        Raises:
            ImageError: the picture cannot be taken; the message says why.
            ConfigError: n is not positive, or the seed is negative.

        Example:
            >>> from danet.networks import UNetGenerator
            >>> generator = NoiseGenerator(UNetGenerator(width=2))
            >>> generator.sample(torch.rand(3, 45, 70), n=2, seed=1).shape
            torch.Size([2, 3, 45, 70])
        """
        return stack(list(self._draw(*to_tensor(clean), n, seed)))

    def stream(self, clean: _PictureT, n: int = 50, seed: int | None = None) -> Iterator[_PictureT]:
        """Make the pictures of `sample` one by one, so that one at a time needs memory.

        Args:
            clean: as for `sample`; it is read before the first picture is asked for.
            n: as for `sample`.
            seed: as for `sample`.

        Returns:
            An iterator over n pictures, each of the kind and shape of ``clean``.

        Raises:
            ImageError: as `sample`, at once.
            ConfigError: as `sample`, at once.

        Example:
            >>> from danet.networks import UNetGenerator
            >>> generator = NoiseGenerator(UNetGenerator(width=2))
            >>> [noisy.shape for noisy in generator.stream(np.zeros((45, 70)), n=2, seed=1)]
            [(45, 70), (45, 70)]
        """
        return cast("Iterator[_PictureT]", self._draw(*to_tensor(clean), n, seed))

    def _draw(self, clean: Tensor, form: ImageForm, n: int, seed: int | None) -> Iterator[Picture]:
        check_draws(n, seed)
        entropy = np.random.SeedSequence(seed).entropy

        def noisy(sample: int) -> Picture:
            latent = _latent(clean, [entropy, sample])
            return from_tensor(self._run(torch.cat([clean, latent], 1), self._predict), form)

        return (noisy(sample) for sample in range(n))

    def _predict(self, joined: Tensor) -> Tensor:
        output: Tensor = self.network(joined[:, :3], joined[:, 3:])
        return output


def _latent(clean: Tensor, seeds: list[Any]) -> Tensor:
    """Draw z for whole pictures, N x 1 x H x W.

    It is drawn on the CPU, whose numbers are the same everywhere, and each picture has a stream
    of its own, so that neither the device nor the batch nor the tiles change it.
    """
    maps = []
    for index in range(clean.shape[0]):
        state = np.random.SeedSequence([*seeds, index]).generate_state(1, np.uint64)
        source = torch.Generator().manual_seed(int(state[0]))
        maps.append(torch.randn((1, *clean.shape[-2:]), generator=source))
    return torch.stack(maps).to(clean.device)


def _check_strength(strength: float) -> None:
    if not (math.isfinite(strength) and strength >= 0):
        raise ConfigError(f"strength is {strength}, and must be a finite number of at least 0")


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for the block."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
