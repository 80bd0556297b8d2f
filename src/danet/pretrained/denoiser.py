"""The denoiser, for pictures of every kind and size."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from functools import partial
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from danet.errors import ConfigError
from danet.images import Picture
from danet.inference.automatic import FoundNoise
from danet.inference.batching import in_batches
from danet.inference.treatment import Number, Spread, Treatment
from danet.networks import DenoiserNetwork
from danet.pretrained.drawing import drawing, side_by_side
from danet.pretrained.model import Pretrained
from danet.pretrained.pictures import PictureDenoiser

__all__ = ["Denoiser"]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], Tensor)


class Denoiser(PictureDenoiser, Pretrained):
    """Removes the noise of photographs: R of the paper.

    "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation", ECCV 2020.

    Args:
        weights: name of shipped weights, a path as for `from_pretrained`, or a network, a
            `danet.networks.DenoiserNetwork`, which is taken as it is.
        device: where to compute.  "auto" is CUDA, else MPS, else the CPU; a network that
            is given stays where it is.
        devices: where to compute instead of on one device, such as ``["cuda:0", "cuda:1"]``;
            "all" is every CUDA device.  The network is on the first, and a copy on each other.
            They share the tiles, pictures and draws; results equal those of one device but for
            rounding.  It goes with neither ``compile`` nor a ``runtime`` but "torch".
        tile: side of the square tiles that pictures are treated in, without their halo, with
            the result of the whole picture.  None: tiles as large as ``max_memory`` allows.
            Where the network's ``halo`` is None, as with RIDNet and NAFNet, the whole picture
            matters to each of its pixels, and it is treated as a whole whatever its size.
        max_memory: bytes that computing may take beside the picture and its result, on each
            device.  None: half of what the device has free.
        halo: how many pixels around a tile are computed with it.  None: as many as make the
            result that of the whole picture.  Fewer are faster, with an error at the tiles'
            borders; for a network whose ``halo`` is None any number allows tiles.
        border: by how many pixels a picture is mirrored beyond each side for the network, rounded
            up to its ``size_multiple``.  None: 16.  With 0 its zero padding touches the picture,
            as in the authors' program, whose numbers come out.
        dtype: what the residual is computed in: "float32", "bfloat16", "float16", or "auto", a
            short type where the device has units for it, see `danet.devices.fast_dtype`.  The
            picture itself stays in float32.
        compile: whether PyTorch compiles the network, which needs a C++ compiler and a minute.
        runtime: "torch", or "openvino", which computes on the CPU only and needs ``pip install
            'danet[openvino]'``.  "auto" is "openvino" for pictures from 8 megapixels in float32
            on a CPU, where it is installed, and else "torch".

    Attributes:
        network: the network, an ordinary module.  Train it by calling it directly.
        engine: what applies it to pictures; ``engine.settings`` has ``tile``, ``max_memory``,
            ``halo`` and ``border``, which may be changed.

    Raises:
        WeightsError: there are no such weights, or the weights are not those of a denoiser.
        ConfigError: a setting is out of its range or unknown, settings do not go together, or a
            package that a setting needs is not installed.

    Example:
        >>> denoiser = Denoiser()
        >>> noisy = np.zeros((45, 70, 3), np.uint8)
        >>> denoiser(noisy).shape
        (45, 70, 3)
    """

    _network_class = DenoiserNetwork

    def _taken(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        parts = torch.from_numpy(pixels)
        taken = cast(Tensor, next(self.engine.run(parts, treatment=Treatment(residual=True))))
        return taken.cpu().numpy()

    def map(
        self,
        pictures: Iterable[_PictureT],
        *,
        strength: Number | tuple[Number, Number] = 1.0,
        grain: float = 0.0,
        self_ensemble: bool = False,
        batch_size: int = 16,
        progress: bool = False,
    ) -> Iterator[_PictureT]:
        """Denoise many pictures of any sizes; those of one size are computed together.

        Args:
            pictures: as for calling the denoiser, of mixed kinds if need be.  They are taken
                as they are needed, some ahead, and can be without end.
            strength: as for calling the denoiser, a mask excepted.
            grain: as for calling the denoiser.
            self_ensemble: as for calling the denoiser.
            batch_size: the most pictures that are computed at once; large ones are fewer.
            progress: show a progress bar on standard error.

        Returns:
            An iterator over the results, in the order of the pictures.  They equal those of
            single pictures but for the rounding of float32.

        Raises:
            ImageError: a picture cannot be taken; its number, from 0, is in the message.
            ConfigError: at once, if a strength or ``grain`` is none, or ``batch_size`` is below 1.

        Example:
            >>> from danet.networks import build
            >>> denoiser = Denoiser(build("denoiser", width=2))
            >>> import torch
            >>> pictures = [torch.rand(3, 45, 70), torch.rand(1, 20, 30), torch.rand(3, 45, 70)]
            >>> [tuple(result.shape) for result in denoiser.map(pictures)]
            [(3, 45, 70), (1, 20, 30), (3, 45, 70)]
        """
        # The residual is neither clamped nor rounded, which is left to the form of each picture.
        options: Any = {"grain": grain, "self_ensemble": self_ensemble, "residual": True}
        call: Any = partial(self, strength=strength, **options)
        Treatment(FoundNoise(0, 0).fill_in(strength), grain=grain)  # refuses what is none
        if batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, and must be at least 1")

        def denoise(pixels: Tensor) -> Tensor:
            result: Tensor = pixels - call(pixels)
            return result

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
            >>> from danet.networks import build
            >>> Denoiser(build("denoiser", width=2)).uncertainty(np.zeros((45, 70))).shape
            (45, 70)
        """
        spread = next(self.engine.run(image, treatment=Spread()))
        return cast("NDArray[np.float32] | Tensor", spread)

    def example(self) -> Image.Image:
        """A drawing with Gaussian noise, and denoised, side by side, as model cards show it."""
        clean = np.asarray(drawing()) / 255
        noise = np.random.default_rng(0).normal(0, 0.05, clean.shape)
        noisy = Image.fromarray(np.rint((clean + noise).clip(0, 1) * 255).astype(np.uint8))
        return side_by_side(noisy, self(noisy))
