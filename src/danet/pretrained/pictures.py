"""What denoisers do with pictures and files, whatever computes their networks."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast, overload

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from danet.arrays import is_tensor
from danet.errors import ConfigError, ImageError
from danet.files import scratch_array
from danet.images import Picture, process_file
from danet.images.conversion import to_array
from danet.images.light import Light
from danet.images.parts import Area, raster
from danet.images.reading import light_of
from danet.inference.automatic import FoundNoise, found_noise, is_automatic, sample_areas, settled
from danet.inference.treatment import (
    Strength,
    Treatment,
    check_out,
    even_planes,
    result_layout,
    strength_planes,
)

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["PictureDenoiser"]

_PictureT = TypeVar("_PictureT", Image.Image, NDArray[Any], "Tensor")


class PictureDenoiser(ABC):
    """A denoiser for pictures of every kind and size, and for files.

    Attributes:
        engine: what applies the network to pictures, as `danet.inference.Engine` does.
    """

    engine: Any

    @abstractmethod
    def _taken(self, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the network takes from pictures, N x 3 x H x W in [0, 1]."""

    @overload
    def __call__(
        self,
        image: _PictureT,
        *,
        strength: Strength = 1.0,
        grain: float = 0.0,
        white: float | None = None,
        linear: bool = False,
        residual: Literal[False] = False,
        self_ensemble: bool = False,
        out: NDArray[Any] | None = None,
    ) -> _PictureT: ...

    @overload
    def __call__(
        self,
        image: Tensor,
        *,
        strength: Strength = 1.0,
        grain: float = 0.0,
        white: float | None = None,
        linear: bool = False,
        residual: Literal[True],
        self_ensemble: bool = False,
    ) -> Tensor: ...

    @overload
    def __call__(
        self,
        image: Image.Image | NDArray[Any],
        *,
        strength: Strength = 1.0,
        grain: float = 0.0,
        white: float | None = None,
        linear: bool = False,
        residual: Literal[True],
        self_ensemble: bool = False,
        out: NDArray[np.float32] | None = None,
    ) -> NDArray[np.float32]: ...

    def __call__(
        self,
        image: Picture,
        *,
        strength: Strength = 1.0,
        grain: float = 0.0,
        white: float | None = None,
        linear: bool = False,
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
                and above 1 more than that.  Two such numbers are for its luma (brightness) and its
                chroma (colours).  For a strength of each pixel give a mask of the picture's
                size: a grey picture, PIL or integers, whose white is 1; or floats, H x W, or
                H x W x 2 for luma and chroma.  "auto", alone or as one of the two, is what
                `find_noise` finds, for each picture of a tensor.
            grain: the share, from 0 to 1, that is given back of the fine and colourless part of
                what is taken: of its luma less a smoothing of that over 7 x 7 pixels.
            white: the value that counts as 1, for floats that go beyond [0, 1].  The network sees
                the picture divided by it and clipped; the noise that it finds there, times
                ``white``, is taken from the picture, whose values beyond stay beyond.
            linear: whether the numbers are proportional to light, as those of HDR pictures.  The
                network sees them by the curve of sRGB.
            residual: give the noise that is taken instead of the picture without it.
            self_ensemble: take the mean over the eight flips and rotations of the picture, see
                `danet.inference.ensemble.self_ensemble`.  It takes eight times as long.
            out: an array to write the result to, of its shape and type; ``image`` is then an
                array too.  Both may be memory-mapped, so that neither has to fit into memory.

        Returns:
            ``out``, or a picture of the same kind, type, size and device, in [0, 1] where it is
            of floats without a ``white``.  Transparency is as before.  PIL modes without plain
            channels come back as `danet.images.to_tensor` says.  The residual is a float32 array,
            or a tensor for a tensor, of the picture's layout without transparency; it has a sign,
            and the picture less the residual is the result, before it is clamped and rounded.

        Raises:
            ImageError: the picture or the mask cannot be taken, or the result not be written to
                ``out``; the message says why.
            ConfigError: a strength is negative, not finite, or no number, or ``grain`` is not
                from 0 to 1, or ``white`` not positive and finite.
            DanetError: the memory does not suffice.

        Example:
            >>> import torch
            >>> from danet import Denoiser
            >>> from danet.networks import build
            >>> denoiser = Denoiser(build("denoiser", width=2))
            >>> denoiser(torch.rand(3, 45, 70), strength=0.5).shape
            torch.Size([3, 45, 70])
            >>> denoiser(np.zeros((45, 70), np.uint8), residual=True).dtype
            dtype('float32')
        """
        light = Light(white, linear)
        numbers, planes = self._strengths(strength, image, light)
        treatment = Treatment(numbers, self_ensemble, residual, grain, light)
        if out is not None:
            check_out(out, image, treatment)
        result: Picture = next(self.engine.run(image, [planes], out=out, treatment=treatment))
        return result

    def find_noise(
        self, image: Picture, *, white: float | None = None, linear: bool = False
    ) -> FoundNoise:
        """How noisy a picture is, and the strength that suits it.

        At most 16 parts of 256 x 256 pixels are looked at, evenly spread and the same for all
        pictures of a size; see `danet.inference.automatic.found_noise`.

        Args:
            image: one picture as for calling the denoiser.
            white: as for calling the denoiser.
            linear: as for calling the denoiser.

        Returns:
            ``level``, the standard deviation of the noise that the network sees, where white is 1,
            and ``strength``: 0 up to 1.3 grey levels of 255, as clean photographs have, 1 from
            2.3, and on the line between.

        Raises:
            ImageError: the picture cannot be taken, or is more than one; the message says why.
            DanetError: the memory does not suffice.

        Example:
            >>> clean = np.full((300, 300), 0.5)
            >>> noisy = clean + np.random.default_rng(0).normal(0, 0.02, clean.shape)
            >>> from danet import Denoiser
            >>> denoiser = Denoiser()
            >>> denoiser.find_noise(clean).strength, denoiser.find_noise(noisy).strength
            (0.0, 1.0)
        """
        whole = raster(image)
        if whole.count > 1:
            raise ImageError(f"{whole.count} pictures in one tensor; give them one by one")
        light, areas = Light(white, linear), sample_areas(whole.size)
        parts = np.concatenate([_seen(whole.part(area), light) for area in areas])
        return found_noise(parts, self._taken(parts))

    def _strengths(
        self, strength: Strength | None, image: Picture, light: Light
    ) -> tuple[float | tuple[float, float] | None, Callable[[range, Area], Any] | None]:
        """The strength of a `Treatment`, and what is joined to the pixels where it is None."""
        if isinstance(strength, Image.Image | np.ndarray):
            return None, strength_planes(strength, image)
        if strength is None:  # which is for masks, in a Treatment
            raise ConfigError('strength is None, and must be a number or "auto", or a mask')
        if not is_automatic(strength):
            return cast("float | tuple[float, float]", strength), None
        whole = raster(image)
        pictures = [whole.some(range(number, number + 1)).picture for number in range(whole.count)]
        found = [
            self.find_noise(picture, white=light.white, linear=light.linear) for picture in pictures
        ]
        numbers = [one.fill_in(cast(Any, strength)) for one in found]
        return (numbers[0], None) if len(numbers) == 1 else (None, even_planes(numbers))

    def denoise_file(
        self,
        source: str | os.PathLike[str],
        target: str | os.PathLike[str],
        *,
        strength: Strength | Callable[[FoundNoise], Strength] = 1.0,
        grain: float = 0.0,
        white: float | None = None,
        linear: bool | None = None,
        residual: bool = False,
        self_ensemble: bool = False,
        quality: int | None = None,
    ) -> None:
        """Denoise a picture file, as ``danet denoise`` does.

        Depth, frames, transparency, metadata and colour profile are kept as
        `danet.images.process_file` says.  The new file is whole or not there.

        Args:
            source: a picture file, or ``.npy`` of an array.
            target: the file to write, in the format that its suffix names.  It may be the source.
            strength: as for calling the denoiser; or a function that gives it for what `find_noise`
                finds in a frame.  A mask lies as the pixels in the file do.
            grain: as for calling the denoiser.
            white: as for calling the denoiser; by default 1 for OpenEXR files.
            linear: as for calling the denoiser; by default so for OpenEXR files alone.
            residual: write the noise that is taken instead: around middle grey to files of
                integers, and with its sign to files of floats and ``.npy``.
            self_ensemble: as for calling the denoiser.
            quality: 1 to 100 for JPEG, WebP, AVIF and HEIC; by default that of the source if both
                files are JPEG, else 95.  JPEG XL is written without loss by default.

        Raises:
            ImageError: the source cannot be read, the mask does not fit, or the format of the
                target cannot hold the result.
            ConfigError: a strength is negative, not finite, or no number, or ``grain`` is not
                from 0 to 1, or ``white`` not positive and finite.
            DanetError: the target cannot be written, or the memory does not suffice.

        Example:
            >>> import tempfile
            >>> from danet import Denoiser
            >>> folder = Path(tempfile.mkdtemp())
            >>> Image.new("L", (70, 45), 100).save(folder / "noisy.png", dpi=(300, 300))
            >>> Denoiser().denoise_file(folder / "noisy.png", folder / "clean.jpg")
            >>> with Image.open(folder / "clean.jpg") as clean:
            ...     clean.info["dpi"]
            (300, 300)
        """
        target = Path(target)
        light = light_of(source, white, linear)
        shown: Any = {"white": light.white, "linear": light.linear}
        call: Any = partial(
            self,
            grain=grain,
            residual=residual,
            self_ensemble=self_ensemble,
            **shown,
        )

        def denoise(pixels: NDArray[Any]) -> NDArray[Any]:
            is_mapped = isinstance(pixels, np.memmap)
            make: Any = partial(scratch_array, target.parent) if is_mapped else np.empty
            shape, dtype = result_layout(pixels, Treatment(residual=residual, light=light))
            amount = settled(strength, partial(self.find_noise, pixels, **shown))
            result: NDArray[Any] = call(pixels, strength=amount, out=make(shape, dtype))
            if not residual or pixels.dtype.kind == "f" or target.suffix.lower() == ".npy":
                return result
            grey: NDArray[Any] = make(shape, pixels.dtype)
            for row, values in zip(result, grey, strict=True):
                values[:] = np.rint((row + 0.5).clip(0, 1) * np.iinfo(grey.dtype).max)
            return grey

        process_file(source, target, denoise, quality=quality)


def _seen(image: Picture, light: Light) -> NDArray[np.float32]:
    """What a network is given for a picture, N x 3 x H x W."""
    if not is_tensor(image):
        return to_array(image, light)[0]
    from danet.images.tensors import to_tensor

    seen: NDArray[np.float32] = to_tensor(image, light)[0].detach().cpu().numpy()
    return seen
