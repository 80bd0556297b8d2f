"""The two classes that most users need: `Denoiser` and `NoiseGenerator`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from danet.devices import usable_device
from danet.errors import WeightsError
from danet.images import ImageForm, Picture, from_tensor, stack, to_tensor
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.sampling import check_draws
from danet.tiling import check_tile, run_tiled
from danet.weights import CardFacts, FetchOptions, Kind, find, load_network, save_network

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ["Denoiser", "NoiseGenerator"]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], Tensor)

_CARD = """\
---
library_name: danet
pipeline_tag: image-to-image
tags: [image-denoising, noise-generation]
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
            place = usable_device(device)
            self.network = load_network(find(weights, self._kind), self._kind, device=place)
        if tile is not None:
            check_tile(tile, self.network.size_multiple)
        self.tile = tile
        if not isinstance(weights, nn.Module) or device != "auto":
            self.to(device)

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        device: str | torch.device = "auto",
        tile: int | None = 1024,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
    ) -> Self:
        """Load weights by name or path, after fetching them if they are not on this machine.

        Args:
            name: one that ``danet weights list`` prints; ``organisation/repository`` on the
                Hub; a folder of one network, or one with the subfolders ``denoiser`` and
                ``generator``; or a ``.safetensors`` file or one of the authors' ``.pt`` files.
            device: as for the class.
            tile: as for the class.
            revision: branch, tag or commit of a repository on the Hub.
            token: for a private repository; by default the one that ``hf auth login`` has kept.
            cache_dir: where fetched files are kept; by default in the Hub's own cache.
            local_files_only: fetch nothing.
            force_download: fetch again what is there.

        Raises:
            WeightsError: there are no such weights, they cannot be fetched, or do not fit.
            ConfigError: the device or the tile is of no use, or a revision is given for what is
                not on the Hub.
            DanetError: what was fetched cannot be written.
        """
        options = FetchOptions(revision, token, cache_dir, local_files_only, force_download)
        place = usable_device(device)
        network = load_network(find(name, cls._kind, options), cls._kind, device=place)
        return cls(network, tile=tile)

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

    def push_to_hub(
        self,
        repo_id: str,
        *,
        facts: CardFacts | None = None,
        commit_message: str = "Upload weights",
        private: bool | None = None,
        token: str | None = None,
        branch: str | None = None,
        create_pr: bool = False,
    ) -> str:
        """Publish the network on the Hub, with a model card, in one commit.

        It lies in a folder of its own, so that a denoiser and a generator share a repository.

        Args:
            repo_id: ``organisation/repository``, made if need be.
            facts: what the model card says.  Where it has no picture, one is made: what the
                network does to a drawing.
            commit_message: of the commit.
            private: whether a repository that is made is private; None is the organisation's rule.
            token: with the right to write; by default the one that ``hf auth login`` has kept.
            branch: where to commit; by default the main branch.
            create_pr: propose the commit instead.

        Returns:
            The address of the commit.

        Raises:
            WeightsError: the Hub cannot be reached, or refuses.
            DanetError: a file cannot be written.
        """
        from danet.weights.publish import Target, publish

        with TemporaryDirectory() as scratch:
            folder = Path(scratch) / self._kind
            self.save_pretrained(folder)
            facts = facts or CardFacts()
            if facts.picture is None:
                path = Path(scratch) / "picture.png"
                self.example().save(path)
                facts = replace(facts, picture=path)
            target = Target(repo_id, commit_message, private, token, branch, create_pr)
            return publish({self._kind: folder}, facts, target)

    def example(self) -> Image.Image:
        """A drawing before and after, side by side, as model cards show it."""
        raise NotImplementedError  # each class has its own

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

    def __call__(self, image: _PictureT) -> _PictureT:
        """Denoise a picture.

        No gradient is kept, unless the picture is a tensor that requires one; then the
        result is differentiable, and is computed as a whole whatever its size.

        Args:
            image: a PIL image; a NumPy array, H x W or H x W x 1, 3 or 4, of uint8, uint16 or
                float in [0, 1]; or a torch tensor, C x H x W or N x C x H x W with C
                1, 3 or 4, of float in [0, 1].  It is left as it is.

        Returns:
            A picture of the same kind, type, size and device, in [0, 1] where it is of floats.
            Transparency is as before.  PIL modes without plain channels come back as
            `danet.images.to_tensor` says.

        Raises:
            ImageError: the picture cannot be taken; the message says why.

        Example:
            >>> from danet.networks import UNetDenoiser
            >>> denoiser = Denoiser(UNetDenoiser(width=2))
            >>> denoiser(torch.rand(3, 45, 70)).shape
            torch.Size([3, 45, 70])
        """
        pixels, form = to_tensor(image)
        return cast(_PictureT, from_tensor(self._run(pixels, self.network), form))

    def example(self) -> Image.Image:
        """A drawing with Gaussian noise, and denoised, side by side, as model cards show it."""
        clean = np.asarray(_drawing()) / 255
        noise = np.random.default_rng(0).normal(0, 0.05, clean.shape)
        noisy = Image.fromarray(np.rint((clean + noise).clip(0, 1) * 255).astype(np.uint8))
        return _side_by_side(noisy, self(noisy))


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

    def example(self) -> Image.Image:
        """A drawing, and with generated noise, side by side, as model cards show it."""
        return _side_by_side(_drawing(), *self.sample(_drawing(), n=1, seed=0))

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


def _drawing(side: int = 192) -> Image.Image:
    """A clean picture of gradients and shapes, for model cards."""
    ramp = np.linspace(40, 215, side).astype(np.uint8)
    pixels = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[::-1, None]), axis=-1)
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    draw = ImageDraw.Draw(picture)
    for step, colour in enumerate(["white", "firebrick", "seagreen", "navy", "black"]):
        inset = 16 * (step + 1)
        draw.ellipse((inset, inset, side - inset, side - inset), fill=colour)
    return picture


def _side_by_side(left: Image.Image, right: Image.Image) -> Image.Image:
    joined = Image.new("RGB", (left.width + right.width, left.height))
    joined.paste(left, (0, 0))
    joined.paste(right, (left.width, 0))
    return joined


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode for the block."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
