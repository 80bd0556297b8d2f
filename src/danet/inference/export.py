"""Networks as ONNX models, for programs without PyTorch."""

from __future__ import annotations

import copy
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import torch
from torch import Tensor, nn

from danet import __version__
from danet.errors import DanetError, one_line, require
from danet.files import atomic_write
from danet.inference.footprint import bytes_per_pixel
from danet.inference.sizes import BORDER, crop, margins, pad, padded_length
from danet.networks import DenoiserNetwork, GeneratorNetwork

__all__ = ["OPSET", "TOLERANCE", "Exported", "export", "to_onnx"]

# The first version of the operators that PyTorch's newer exporter writes.
OPSET = 18
# The largest difference from PyTorch, for pictures in [0, 1].
TOLERANCE = 1e-5

_PAPER = "Dual Adversarial Network: Toward Real-world Noise Removal and Noise Generation, ECCV 2020"
# The exporter knows of no second thread.
_EXPORTING = Lock()
_AXES = {0: "batch", 2: "height", 3: "width"}
_OUTPUTS: dict[str, tuple[str, ...]] = {
    "denoiser": ("denoised", "residual"),
    "generator": ("noisy",),
}
# What is tried: pictures, height and width.
_SIZES = ((1, 1, 1), (1, 3, 70), (2, 45, 64), (1, 128, 97))


@dataclass(frozen=True)
class Exported:
    """What `export` wrote and found.

    Attributes:
        path: the file.
        sizes: number, height and width of the pictures that it was tried with.
        difference: the largest difference from PyTorch, for values in [0, 1].
    """

    path: Path
    sizes: tuple[tuple[int, int, int], ...]
    difference: float


class _Whole(nn.Module):
    """A network with what is done around it: any size goes in, and [0, 1] comes out."""

    def __init__(self, network: DenoiserNetwork | GeneratorNetwork, border: int) -> None:
        super().__init__()
        self.network = network
        self.border = border
        self.sign = 1 if isinstance(network, GeneratorNetwork) else -1

    def forward(
        self, picture: Tensor, latent: Tensor | None = None
    ) -> Tensor | tuple[Tensor, Tensor]:
        padded = [self._pad(picture, self.border)]
        if latent is not None:
            padded.append(self._pad(latent, 0))  # it has the border already
        residual: Tensor = self.network.backbone(torch.cat(padded, dim=1))
        height, width = picture.shape[2:]
        residual = residual[..., self.border :, self.border :][..., :height, :width]
        result = (picture + self.sign * residual).clamp(0, 1)
        return (result, residual) if latent is None else result

    def _pad(self, tensor: Tensor, border: int) -> Tensor:
        """As `pad`, which decides by the size, while a graph has to take all sizes."""
        for axis in (2, 3):
            last = tensor.shape[axis] - 1
            multiple = self.network.size_multiple
            length = (last + 2 * border + multiple) // multiple * multiple
            # As far as the reflection reaches; what is farther repeats the last one of it.
            wanted = torch.arange(-border, length - border).clamp(-last, 2 * last)
            tensor = tensor.index_select(axis, last - (last - wanted.abs()).abs())
        return tensor


def export(
    network: DenoiserNetwork | GeneratorNetwork,
    path: str | os.PathLike[str],
    about: Mapping[str, str] | None = None,
    *,
    border: int = BORDER,
) -> Exported:
    """Write a network as an ONNX model that takes pictures of any number and size, and try it.

    The model of a denoiser takes "noisy", N x 3 x H x W, float32, RGB in [0, 1].  It gives
    "denoised" of that shape, in [0, 1], and "residual", what is taken: the picture less that is the
    result before it is clamped.  The model of a generator takes "clean", likewise, and "latent",
    N x latent_channels x (H + 2 border) x (W + 2 border) of normal random numbers, and gives
    "noisy".  H and W are 1 or more: the border and the padding to what the network needs are in the
    model.  ONNX Runtime then computes pictures of several sizes with it, and so does PyTorch.

    Args:
        network: it is left as it is.
        path: the file to write.
        about: what its metadata say beside the network's properties, such as the licence.
        border: as for `danet.Denoiser`.

    Returns:
        What was tried, and the largest difference.

    Raises:
        ConfigError: onnx, onnxruntime or onnxscript is not installed.
        DanetError: the network cannot be exported, the results differ by more than `TOLERANCE`,
            or the file cannot be written, which is then as it was.
    """
    onnx, onnxruntime, _ = (
        require(name, "onnx", "exporting") for name in ("onnx", "onnxruntime", "onnxscript")
    )
    network = copy.deepcopy(network).cpu().float().eval()
    border = padded_length(border, network.size_multiple)
    generator = isinstance(network, GeneratorNetwork)
    names = ("clean", "latent") if generator else ("noisy",)
    # A size of 1 would be taken for one that stays.
    example = dict(zip(names, _random_inputs(network, border, (2, 45, 70)), strict=True))
    try:
        model = onnx.load_model_from_string(
            to_onnx(_Whole(network, border), example, *_OUTPUTS[network.kind])
        )
        model.doc_string = f"{network.name} of danet {__version__}. {_PAPER}."
        onnx.helper.set_model_props(model, {**_properties(network, border), **(about or {})})
        content = model.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        differences = [_difference(network, names, session, border, size) for size in _SIZES]
    # The exporter and the runtime raise nearly anything.
    except Exception as error:
        raise DanetError(f"the network cannot be exported: {one_line(error)}") from error
    for difference in differences:
        if not difference <= TOLERANCE:  # NaN is not
            raise DanetError(
                f"ONNX Runtime and PyTorch differ by {difference:.1e} for values in [0, 1], and "
                f"{TOLERANCE} is allowed"
            )
    with atomic_write(path) as temporary:
        temporary.write_bytes(content)
    return Exported(Path(path), _SIZES, max(differences))


def to_onnx(module: nn.Module, example: Mapping[str, Tensor], *outputs: str) -> bytes:
    """An ONNX model of a module, for any number, height and width of what it takes.

    Args:
        module: in evaluation mode.
        example: its inputs by name, each N x C x H x W; N is 2 or more.
        *outputs: the names of its outputs, which are of that shape too.
    """
    # Before 2.9 the newer exporter loses the sizes, and from there on the older is deprecated.
    newer = torch.__version__ >= "2.9"
    sizes: dict[str, Any] = (
        {"dynamic_shapes": (_AXES,) * len(example)}
        if newer
        else {"dynamic_axes": dict.fromkeys([*example, *outputs], _AXES)}
    )
    with _EXPORTING, _quietly(), torch.no_grad(), TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            module.eval(),
            tuple(example.values()),
            path,
            input_names=list(example),
            output_names=list(outputs),
            opset_version=OPSET,
            dynamo=newer,
            external_data=False,
            verbose=False,
            **sizes,
        )
        return path.read_bytes()


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the exporters say of their own ways through PyTorch."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def _random_inputs(
    network: DenoiserNetwork | GeneratorNetwork, border: int, size: tuple[int, int, int]
) -> list[Tensor]:
    """Random inputs: y, or x and z."""
    count, height, width = size
    source = torch.Generator().manual_seed(0)
    pictures = [torch.rand(count, 3, height, width, generator=source)]
    if isinstance(network, GeneratorNetwork):
        sides = height + 2 * border, width + 2 * border
        pictures.append(torch.randn(count, network.latent_channels, *sides, generator=source))
    return pictures


def _difference(
    network: DenoiserNetwork | GeneratorNetwork,
    names: tuple[str, ...],
    session: Any,
    border: int,
    size: tuple[int, int, int],
) -> float:
    inputs = _random_inputs(network, border, size)
    missing = [
        margins(tensor.shape[2:], network.size_multiple, beyond)
        for tensor, beyond in zip(inputs, (border, 0), strict=False)
    ]
    with torch.inference_mode():
        result = crop(network(*map(pad, inputs, missing)), missing[0])
    given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
    # Of a denoiser also the residual.
    expected = result.clamp(0, 1), inputs[0] - result
    pairs = zip(map(torch.from_numpy, session.run(None, given)), expected, strict=False)
    return max(float((found - right).abs().max()) for found, right in pairs)


def _properties(network: DenoiserNetwork | GeneratorNetwork, border: int) -> dict[str, str]:
    known = isinstance(network, GeneratorNetwork) and network.levels
    return {
        **({"unit_level": str(network.unit_level)} if known else {}),
        "network": network.name,
        "width": str(network.width),
        "depth": str(network.depth),
        "size_multiple": str(network.size_multiple),
        "halo": "whole picture" if network.halo is None else str(network.halo),
        "border": str(border),
        "bytes_per_pixel": f"{bytes_per_pixel(network):.0f}",
        "value_range": "[0, 1]",
        "channels": "RGB",
        "paper": _PAPER,
        "danet": __version__,
    }
