"""The two classes that most users need: `Denoiser` and `NoiseGenerator`."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Sequence, Sized
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypedDict, TypeVar, cast, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor, nn

from danet import ensemble
from danet.batching import in_batches
from danet.devices import usable_device
from danet.engine import Engine, Latent
from danet.errors import ConfigError, WeightsError
from danet.images import (
    Picture,
    difference_from_tensor,
    from_tensor,
    stack,
    to_tensor,
)
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.parts import Area, check_out, check_picture, size_of
from danet.runtimes import Runtime
from danet.sampling import NormalRows, check_draws
from danet.weights import CardFacts, FetchOptions, Kind, find, load_network, save_network

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["Denoiser", "NoiseGenerator", "Settings"]

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


class Settings(TypedDict, total=False):
    """The settings that `Denoiser` and `NoiseGenerator` have in common; they say what they are."""

    device: str | torch.device
    tile: int | None
    max_memory: int | None
    halo: int | None
    dtype: str
    compile: bool
    runtime: str


class _Pretrained:
    """What the two classes share: a network, a device, and a way to run it on pictures."""

    _kind: ClassVar[Kind]
    _network_class: ClassVar[type[DenoiserNetwork] | type[GeneratorNetwork]]

    network: DenoiserNetwork | GeneratorNetwork
    engine: Engine

    def __init__(
        self,
        weights: str | os.PathLike[str] | DenoiserNetwork | GeneratorNetwork = "photo",
        *,
        device: str | torch.device = "auto",
        tile: int | None = None,
        max_memory: int | None = None,
        halo: int | None = None,
        dtype: str = "auto",
        compile: bool = False,
        runtime: str = "auto",
    ) -> None:
        self.engine = Engine(Runtime(runtime, dtype, compile), tile, max_memory, halo)
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
        self.engine.check(self.network)
        if not isinstance(weights, nn.Module) or device != "auto":
            self.to(device)

    @classmethod
    def from_pretrained(
        cls,
        name: str | os.PathLike[str],
        *,
        revision: str | None = None,
        token: str | bool | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **settings: Unpack[Settings],
    ) -> Self:
        """Load weights by name or path, after fetching them if they are not on this machine.

        Args:
            name: one that ``danet weights list`` prints; ``organisation/repository`` on the
                Hub; a folder of one network, or one with the subfolders ``denoiser`` and
                ``generator``; or a ``.safetensors`` file or one of the authors' ``.pt`` files.
            revision: branch, tag or commit of a repository on the Hub.
            token: for a private repository; by default the one that ``hf auth login`` has kept.
            cache_dir: where fetched files are kept; by default in the Hub's own cache.
            local_files_only: fetch nothing.
            force_download: fetch again what is there.
            **settings: as for the class.

        Raises:
            WeightsError: there are no such weights, they cannot be fetched, or do not fit.
            ConfigError: a setting is of no use, or a revision is given for what is not on the
                Hub.
            DanetError: what was fetched cannot be written.
        """
        options = FetchOptions(revision, token, cache_dir, local_files_only, force_download)
        place = usable_device(settings.pop("device", "auto"))
        network = load_network(find(name, cls._kind, options), cls._kind, device=place)
        return cls(network, **settings)

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

    def _run(
        self,
        image: Picture,
        latents: Sequence[Latent | None] = (None,),
        out: NDArray[Any] | None = None,
    ) -> list[Picture]:
        """Apply the network to a picture, once for each latent."""
        with _evaluating(self.network):
            return self.engine.apply(self.network, image, latents, out)


class Denoiser(_Pretrained):
    """Removes the noise of photographs: R of the paper.

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: name of shipped weights, a path as for `from_pretrained`, or a network, a
            `danet.networks.DenoiserNetwork`, which is taken as it is.
        device: where to compute.  "auto" is CUDA, else MPS, else the CPU; a network that
            is given stays where it is.
        tile: side of the square tiles that pictures are treated in, without their halo, with
            the result of the whole picture.  None: tiles as large as ``max_memory`` allows.
            Where the network's ``halo`` is None, as with RIDNet and NAFNet, the whole picture
            matters to each of its pixels, and it is treated as a whole whatever its size.
        max_memory: bytes that computing may take beside the picture and its result.  None: half
            of what the device has free.
        halo: how many pixels around a tile are computed with it.  None: as many as make the
            result that of the whole picture.  Fewer are faster, with an error at the tiles'
            borders; for a network whose ``halo`` is None any number allows tiles.
        dtype: what the residual is computed in: "float32", "bfloat16", "float16", or "auto", a
            short type where the device has units for it, see `danet.devices.fast_dtype`.  The
            picture itself stays in float32.
        compile: whether PyTorch compiles the network, which needs a C++ compiler and a minute.
        runtime: "torch", "openvino" or "onnx"; the last two compute on the CPU alone, and need
            ``pip install 'danet[openvino]'`` or ``'danet[onnx]'``.  "auto" is "torch".

    Attributes:
        network: the network, an ordinary module.  Train it by calling it directly.
        engine: the settings from ``tile`` on.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: a setting is of no use, or what it needs is not installed.

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
        out: NDArray[Any] | None = None,
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
        out: NDArray[Any] | None = None,
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
            out: an array to write the result to, of the shape and type of ``image``, which is
                then an array too.  Both may be memory-mapped, so that neither has to fit into
                memory.  It goes with none of the three options above, which take the whole
                picture as float32.

        Returns:
            ``out``, or a picture of the same kind, type, size and device, in [0, 1] where it is
            of floats.  Transparency is as before.  PIL modes without plain channels come back as
            `danet.images.to_tensor` says.  The residual is a float32 array, or a tensor for
            a tensor, of the picture's layout without transparency; it has a sign, and the
            picture less the residual is the result, before it is clamped and rounded.

        Raises:
            ImageError: the picture cannot be taken, or the result not be written to ``out``;
                the message says why.
            ConfigError: the strength is negative or not finite, or ``out`` is given along with
                another option.
            DanetError: the memory does not suffice.

        Example:
            >>> from danet.networks import UNetDenoiser
            >>> denoiser = Denoiser(UNetDenoiser(width=2))
            >>> denoiser(torch.rand(3, 45, 70), strength=0.5).shape
            torch.Size([3, 45, 70])
            >>> denoiser(np.zeros((45, 70), np.uint8), residual=True).dtype
            dtype('float32')
        """
        _check_strength(strength)
        if strength == 1 and not residual and not self_ensemble:
            if out is not None:
                check_out(out, image)
            return self._run(image, out=out)[0]
        if out is not None:
            raise ConfigError("out goes with none of strength, residual and self_ensemble")
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
            DanetError: the memory does not suffice.

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

    def example(self) -> Image.Image:
        """A drawing with Gaussian noise, and denoised, side by side, as model cards show it."""
        clean = np.asarray(_drawing()) / 255
        noise = np.random.default_rng(0).normal(0, 0.05, clean.shape)
        noisy = Image.fromarray(np.rint((clean + noise).clip(0, 1) * 255).astype(np.uint8))
        return _side_by_side(noisy, self(noisy))

    def _denoised(self, pixels: Tensor, strength: float, self_ensemble: bool) -> Tensor:
        if self_ensemble:
            result = ensemble.self_ensemble(pixels, self._predict)
        else:
            result = self._predict(pixels)
        return result if strength == 1 else torch.lerp(pixels, result, strength)

    def _predict(self, pixels: Tensor) -> Tensor:
        return cast(Tensor, self._run(pixels)[0])


class NoiseGenerator(_Pretrained):
    """Adds noise as a camera does: G(x, z) of the paper, z ~ N(0, 1).

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: as for `Denoiser`; a network is a `danet.networks.GeneratorNetwork`.
        device: as for `Denoiser`, and so are all that follow.
        tile: as for `Denoiser`.
        max_memory: as for `Denoiser`.
        halo: as for `Denoiser`.
        dtype: as for `Denoiser`.
        compile: as for `Denoiser`.
        runtime: as for `Denoiser`.

    Attributes:
        network: the network, an ordinary module.  Train it by calling it directly.
        engine: as for `Denoiser`.

    Raises:
        WeightsError: there are no such weights, or they do not fit.
        ConfigError: a setting is of no use, or what it needs is not installed.

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
            seed: not negative; the same one gives the same noise, whatever n, the tile
                and the device.  None draws a new one.

        Returns:
            An array or tensor as the picture with a leading axis n, or a list of n PIL images.
            Integers are rounded; floats are in [0, 1].

        Raises:
            ImageError: the picture cannot be taken; the message says why.
            ConfigError: n is not positive, or the seed is negative.
            DanetError: the memory does not suffice.

        Example:
            >>> from danet.networks import UNetGenerator
            >>> generator = NoiseGenerator(UNetGenerator(width=2))
            >>> generator.sample(torch.rand(3, 45, 70), n=2, seed=1).shape
            torch.Size([2, 3, 45, 70])
        """
        return stack(list(self._draw(clean, n, seed)))

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
        return cast("Iterator[_PictureT]", self._draw(clean, n, seed))

    def _draw(self, clean: Picture, n: int, seed: int | None) -> Iterator[Picture]:
        check_draws(n, seed)
        check_picture(clean)
        entropy = np.random.SeedSequence(seed).entropy

        def noisy() -> Iterator[Picture]:
            at_once = self.engine.draws_at_once(self.network, clean)
            for first in range(0, n, at_once):
                samples = range(first, min(first + at_once, n))
                yield from self._run(clean, [_latent(clean, [entropy, k]) for k in samples])

        return noisy()


def _latent(clean: Picture, seeds: list[Any]) -> Latent:
    """What draws z for parts of the pictures: N x 1 x h x w.

    Each picture has a stream of its own, so that neither the batch nor the tiles change it.
    """
    pictures = clean.shape[0] if isinstance(clean, Tensor) and clean.ndim == 4 else 1
    sources = []
    for index in range(pictures):
        state = np.random.SeedSequence([*seeds, index]).generate_state(1, np.uint64)
        sources.append(NormalRows(int(state[0]), size_of(clean)))

    def latent(area: Area) -> Tensor:
        rows, columns = area
        maps = [source.rows(rows.start, rows.stop)[None, :, columns] for source in sources]
        return torch.stack(maps)

    return latent


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
