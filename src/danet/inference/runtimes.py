"""The programs that compute a network: PyTorch in several precisions, and OpenVINO."""

from __future__ import annotations

import copy
import hashlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib import import_module
from importlib.util import find_spec
from itertools import chain
from threading import Lock
from typing import Any, TypeAlias

import torch
from torch import Tensor

from danet import __version__
from danet.devices import fast_dtype
from danet.errors import ConfigError, DanetError, DanetWarning, one_line, require
from danet.inference.memory import is_out_of_memory
from danet.inference.openvino_runtime import Residual, kept
from danet.networks import BACKBONES, DenoiserNetwork, GeneratorNetwork
from danet.networks.backbone import Backbone, OuterConvolution, OuterTransposed

__all__ = ["DTYPES", "RUNTIMES", "Network", "Runtime"]

Network: TypeAlias = DenoiserNetwork | GeneratorNetwork
Predict: TypeAlias = Callable[[Tensor], Tensor]

RUNTIMES = ("auto", "torch", "openvino")
DTYPES = ("auto", "float32", "bfloat16", "float16")
_OPENVINO_TYPES = {torch.float32: "f32", torch.bfloat16: "bf16", torch.float16: "f16"}
# Of so many pixels OpenVINO's gain outweighs the seconds in which it converts a network.
_WORTH_CONVERTING = 2**23
# Two threads at once on Apple's device end the process (pytorch issue 197805).
_METAL = Lock()
# Networks are copied and converted once, whatever the number of threads that ask for it.
_MAKING = Lock()


class Runtime:
    """How a network is computed.

    The picture itself stays in float32 in all of them: only the residual, what is taken from
    it or added to it, is computed in another type.

    Args:
        name: one of `RUNTIMES`.  "auto" is OpenVINO for large pictures in float32 on a CPU,
            where it is installed and takes the network, and else PyTorch.
        dtype: one of `DTYPES`; "auto" is as `danet.devices.fast_dtype` says.
        compiled: whether PyTorch compiles the network, which needs a C++ compiler and takes
            a minute for each new shape.
        others: devices on which copies of the network compute along with it.

    Raises:
        ConfigError: ``name`` or ``dtype`` is unknown, OpenVINO is not installed, or the settings
            do not go together.
    """

    def __init__(
        self,
        name: str = "auto",
        dtype: str = "auto",
        compiled: bool = False,
        others: Sequence[torch.device] = (),
    ) -> None:
        for setting, value, known in (("runtime", name, RUNTIMES), ("dtype", dtype, DTYPES)):
            if value not in known:
                raise ConfigError(f"{setting} is {value!r}, and must be one of {', '.join(known)}")
        if name == "openvino":
            require("openvino", "openvino", "the runtime 'openvino'")
            if compiled:
                raise ConfigError("compile is for PyTorch, and the runtime is 'openvino'")
        if others and (compiled or name == "openvino"):
            raise ConfigError(
                "several devices are for PyTorch without compile: the runtime is "
                f"{name!r}, and compile is {compiled}"
            )
        self.name = name
        self.dtype = dtype
        self.compiled = compiled
        self.others = tuple(others)
        self._made: tuple[Any, Callable[..., Any]] | None = None
        self._copied: tuple[Any, list[Network]] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """Without what was made for a network, which is made again."""
        return {**self.__dict__, "_made": None, "_copied": None}

    def leave_others(self) -> None:
        """Compute on the network's own device alone from here on."""
        self.others = ()
        self._copied = None

    def devices(self, network: Network) -> list[torch.device]:
        """The network's own device, and the others."""
        return [next(network.parameters()).device, *self.others]

    def resolved_dtype(self, device: torch.device) -> torch.dtype:
        """The type that the network computes in on a device."""
        if self.dtype != "auto":
            found: torch.dtype = getattr(torch, self.dtype)
            return found
        return fast_dtype(device)

    def chosen(self, network: Network, pixels: int) -> str:
        """The runtime for a picture of so many pixels: the one that was named, or what "auto" is.

        It follows from the picture's size alone, so that a picture always has the same result.
        """
        if self.name != "auto":
            return self.name
        device = next(network.parameters()).device
        fit = (
            pixels >= _WORTH_CONVERTING
            and device.type == "cpu"
            and not (self.others or self.compiled)
            and self.resolved_dtype(device) == torch.float32
            and find_spec("openvino") is not None
        )
        return "openvino" if fit else "torch"

    def running(
        self, network: Network, pixels: int = 0, *, alone: bool = False
    ) -> list[AbstractContextManager[Predict]]:
        """What computes a network: itself, then its copies on the other devices.

        The copies have the weights that the network has, even if it was trained in between.

        Args:
            network: in evaluation mode.
            pixels: how many the whole picture has.
            alone: by PyTorch and without the copies, so that gradients reach the weights.

        Returns:
            Contexts, each for one thread, that give a function of y, N x 3 x H x W, or of x and
            z joined, N x 4 x H x W, in float32 and on any device, whose result is R(y) or
            G(x, z) in float32.  H and W are multiples of the network's ``size_multiple``.  To
            enter one raises ConfigError where the runtime computes on the CPU alone, and the
            network is elsewhere.
        """
        copies = [] if alone else self._copies(network)
        name = self.chosen(network, 0 if alone else pixels)
        return [self._running(one, name) for one in (network, *copies)]

    @contextmanager
    def _running(self, network: Network, name: str) -> Iterator[Predict]:
        device = next(network.parameters()).device
        dtype = self.resolved_dtype(device)
        if name == "openvino":
            if device.type != "cpu":
                raise ConfigError(
                    f"the runtime 'openvino' computes on the CPU, and the network is on {device}"
                )
            try:
                residual = self._converted(network, dtype)
            except ConfigError as error:
                if self.name != "auto":
                    raise
                warnings.warn(f"{error}; PyTorch computes instead", DanetWarning, stacklevel=2)
            else:
                yield _adding(network, residual)
                return
        forward = self._compiled(network) if self.compiled else network
        # One context for all calls: it keeps the weights that it has turned into another type.
        low = torch.autocast(device.type, dtype) if dtype != torch.float32 else nullcontext()
        with low:
            yield _forward(forward, device, joined=isinstance(network, GeneratorNetwork))

    def _copies(self, network: Network) -> list[Network]:
        if not self.others:
            return []
        with _MAKING:
            key = _state(network)
            if self._copied is None or self._copied[0] != key:
                self._copied = key, [copy.deepcopy(network).to(device) for device in self.others]
            return self._copied[1]

    def _compiled(self, network: Network) -> Callable[..., Tensor]:
        if self._made is None or self._made[0] is not network:
            self._made = network, torch.compile(network)
        return self._made[1]

    def _converted(self, network: Network, dtype: torch.dtype) -> Residual:
        """The residual, made for the weights as they are."""
        threads = torch.get_num_threads()
        with _MAKING:
            key = (threads, dtype, _state(network))
            if self._made is None or self._made[0] != key:
                try:
                    self._made = key, _openvino(network, dtype, threads)
                # The converter raises nearly anything.
                except Exception as error:
                    raise ConfigError(
                        f"the runtime 'openvino' cannot take the network: {one_line(error)}"
                    ) from error
            return self._made[1]


def _state(network: Network) -> tuple[Any, ...]:
    """What differs whenever the weights do."""
    tensors = list(chain(network.parameters(), network.buffers()))
    with torch.no_grad():
        # Fused optimizers write without raising the version.
        sums = torch.stack([tensor.to(torch.float32).sum() for tensor in tensors]).tolist()
    versions = [None if tensor.is_inference() else tensor._version for tensor in tensors]
    return network, [(id(tensor), tensor.data_ptr()) for tensor in tensors], versions, sums


def _forward(forward: Callable[..., Tensor], device: torch.device, *, joined: bool) -> Predict:
    """PyTorch, with the channels of a pixel side by side, as the convolutions are fastest."""
    metal = device.type == "mps"
    # Apple's convolutions err on some channels of tensors laid out so (pytorch issue 180984).
    layout = torch.contiguous_format if metal else torch.channels_last

    def predict(pixels: Tensor) -> Tensor:
        wanted = pixels.requires_grad and torch.is_grad_enabled()
        with _METAL if metal else nullcontext():
            pixels = pixels.to(device, memory_format=layout)
            with nullcontext() if wanted else torch.inference_mode():
                result = forward(pixels[:, :3], pixels[:, 3:]) if joined else forward(pixels)
            # Another thread takes it from here, without the lock.
            return result.cpu() if metal else result

    return predict


def _adding(network: Network, residual: Residual) -> Predict:
    sign = 1 if isinstance(network, GeneratorNetwork) else -1

    def predict(pixels: Tensor) -> Tensor:
        if pixels.requires_grad and torch.is_grad_enabled():
            raise ConfigError("only the runtime 'torch' gives gradients")
        given = pixels.detach().cpu().contiguous().numpy()
        try:
            found = residual(given)
        # OpenVINO has errors of its own, those for a lack of memory among them.
        except Exception as error:
            plain = RuntimeError(one_line(error))
            if is_out_of_memory(plain):
                raise plain from error
            raise DanetError(f"the runtime 'openvino' failed: {plain}") from error
        return torch.from_numpy(given[:, :3] + sign * found)

    return predict


def _openvino(network: Network, dtype: torch.dtype, threads: int) -> Residual:
    openvino, backbone = import_module("openvino"), network.backbone
    side = 2 * network.size_multiple

    def convert() -> Any:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")  # about its own way through PyTorch
            return openvino.convert_model(
                backbone.eval(),
                example_input=torch.zeros(1, network.channels, side, side),
                input=[-1, network.channels, -1, -1],
            )

    in_full = [
        name
        for name, layer in backbone.named_modules()
        if isinstance(layer, OuterConvolution | OuterTransposed)
    ]
    # What others make of their weights may change from one process to the next.
    known = type(backbone) in BACKBONES.values()
    name = _name(backbone, openvino.__version__) if known else None
    return kept(name, convert, in_full, threads, _OPENVINO_TYPES[dtype])


def _name(backbone: Backbone, version: str) -> str:
    """What differs whenever the converted network does."""
    digest = hashlib.sha256(f"{__version__} {version} {backbone}".encode())
    for tensor in backbone.state_dict().values():
        digest.update(tensor.float().cpu().contiguous().numpy())
    return digest.hexdigest()
