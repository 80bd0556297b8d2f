"""Networks loaded from folders and files, and saved.

A network's folder holds ``model.safetensors``, ``config.json`` and a model card, ``README.md``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import Tensor

from danet.errors import ConfigError, WeightsError
from danet.files import atomic_write
from danet.networks import BACKBONES, DenoiserNetwork, GeneratorNetwork, Kind, build
from danet.weights.tensors import check_ordinary, fill, listed, read_tensors

__all__ = ["kinds_of_file", "load_checkpoint", "load_network", "read_config", "save_network"]

# What the authors' joint checkpoints call them; their "D" is not the discriminator.
_JOINT_KEYS: dict[Kind, str] = {"denoiser": "D", "generator": "G"}
_INPUT_CHANNELS: dict[Kind, range] = {
    network.kind: network.inputs for network in (DenoiserNetwork, GeneratorNetwork)
}
_FORMAT = 1
_CONFIG_TYPES = {"format": int, "kind": str, "backbone": str, "width": int, "depth": int}
# Of generators.  Without them z has one channel, and there are no levels.
_OPTIONAL_TYPES = {"latent_channels": int, "levels": list, "unit_level": float}
_FIRST_WEIGHT = "down_path.0.block.0.weight"
_CONFIG_BYTES = 65536  # far more than any has


def load_network(
    path: str | os.PathLike[str],
    kind: Kind,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> DenoiserNetwork | GeneratorNetwork:
    """Load a network from its folder, or from a file as `load_checkpoint` does.

    The file is mapped, and each tensor copied once, to the device and in the type that it shall
    have there.

    Args:
        path: what `find` gave.
        kind: which network it must be.
        device: where it shall be.
        dtype: of its floating-point weights; None leaves each as it is in the file.

    Returns:
        The network, in evaluation mode.

    Raises:
        WeightsError: a file is missing or damaged; the configuration has a key that is
            unknown, missing or wrong; the weights are of the other kind, not finite, or a
            tensor is missing, superfluous or of the wrong shape.
    """
    path = Path(path)
    if path.is_file():
        return load_checkpoint(path, kind, device=device, dtype=dtype)
    config, model = read_config(path / "config.json", kind), path / "model.safetensors"
    shape = {key: value for key, value in config.items() if key not in ("format", "kind")}
    network = _empty(path / "config.json", kind, **shape)
    name = f"{config['backbone']} {kind}"
    fill(network.backbone, name, read_tensors(model), model, device, dtype)
    return network.eval()


def load_checkpoint(
    path: str | os.PathLike[str],
    kind: Kind,
    *,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = torch.float32,
) -> DenoiserNetwork | GeneratorNetwork:
    """Load a UNet from a single file; width and depth are those of its tensors.

    Args:
        path: a ``.safetensors`` file of one network's weights, or a PyTorch file in one of the
            two layouts that the authors released: ``{"D": denoiser, "G": generator}``, or
            the weights alone.
        kind: which network to load.
        device: as for `load_network`.
        dtype: as for `load_network`.

    Returns:
        As `load_network`.

    Raises:
        WeightsError: as `load_network`.
    """
    path = Path(path)
    content = read_tensors(path)
    tensors = content
    if _is_joint(content):
        tensors = content.get(_JOINT_KEYS[kind])  # type: ignore[assignment]
        if not isinstance(tensors, Mapping):
            raise WeightsError(f"{path}: holds no {kind}, but: {listed(content)}")
    first = tensors.get(_FIRST_WEIGHT)
    if not isinstance(first, Tensor) or first.ndim == 0:
        raise WeightsError(
            f"{path}: holds no tensor {_FIRST_WEIGHT}, so it is not a {kind} with the backbone "
            "unet; one with another loads from its folder, as config.json names the backbone"
        )
    levels = {str(name).split(".")[1] for name in tensors if str(name).startswith("down_path.")}
    latents = max(first.shape[1] - 3, 1) if kind == "generator" and first.ndim > 1 else 1
    network = _empty(path, kind, "unet", first.shape[0], len(levels), latents)
    fill(network.backbone, f"unet {kind}", tensors, path, device, dtype)
    return network.eval()


def kinds_of_file(path: Path) -> list[Kind]:
    """Say which networks a file that `load_checkpoint` takes has weights for.

    A file of one UNet tells by the channels that its first layer takes.

    Raises:
        WeightsError: the file cannot be read.
    """
    content = read_tensors(path)
    if _is_joint(content):
        return [kind for kind, key in _JOINT_KEYS.items() if key in content]
    first = content.get(_FIRST_WEIGHT)
    if not isinstance(first, Tensor) or first.ndim < 2:
        return []
    return [kind for kind, channels in _INPUT_CHANNELS.items() if first.shape[1] in channels]


def _is_joint(content: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) for value in content.values())


def save_network(
    network: DenoiserNetwork | GeneratorNetwork, folder: str | os.PathLike[str], card: str
) -> None:
    """Save a network so that `load_network` gives it back bit for bit.

    Args:
        network: as `danet.networks.build` makes it.
        folder: made if need be; files of the same names in it are replaced.
        card: the model card, Markdown, written as ``README.md``.

    Raises:
        WeightsError: the backbone is none that has a name.
        DanetError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from danet.networks import build
        >>> folder = tempfile.mkdtemp()
        >>> save_network(build("denoiser", width=2), folder, "# A denoiser for tests")
        >>> load_network(folder, "denoiser").width
        2
    """
    backbone = getattr(network, "backbone", network)
    names = [name for name, known in BACKBONES.items() if type(backbone) is known]
    if not names:
        raise WeightsError(
            f"a {type(backbone).__name__} is neither a denoiser nor a generator with one of the "
            f"backbones {', '.join(BACKBONES)}"
        )
    config: dict[str, Any] = {
        "format": _FORMAT,
        "kind": network.kind,
        "backbone": names[0],
        "width": network.width,
        "depth": network.depth,
    }
    if isinstance(network, GeneratorNetwork) and network.latent_channels > 1:
        config["latent_channels"] = network.latent_channels
    if isinstance(network, GeneratorNetwork) and network.levels:
        config |= {"levels": list(network.levels), "unit_level": network.unit_level}
    tensors = {
        name: value.cpu().contiguous() for name, value in network.backbone.state_dict().items()
    }
    folder = Path(folder)
    with atomic_write(folder / "model.safetensors") as temporary:
        # Not save_file: it makes files which only their owner may read.
        temporary.write_bytes(save(tensors, metadata={"format": "pt"}))
    with atomic_write(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    with atomic_write(folder / "README.md") as temporary:
        temporary.write_text(card.rstrip("\n") + "\n", encoding="utf-8")


def read_config(path: Path, kind: Kind | None = None) -> dict[str, Any]:
    """Read a ``config.json``.

    Args:
        path: the file.
        kind: which network it must be of; None is either.

    Returns:
        Its keys: format, kind, backbone, width and depth; latent_channels, levels and unit_level,
        if it has them.

    Raises:
        WeightsError: the file cannot be read, or a key is unknown, missing or wrong.
    """
    check_ordinary(path)
    try:
        if path.stat().st_size > _CONFIG_BYTES:
            raise WeightsError(f"{path}: has more than {_CONFIG_BYTES} bytes")
        config = json.loads(path.read_text(encoding="utf-8"))
    # Brackets can be nested deeper than the parser goes.
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path}: must hold an object, not {type(config).__name__}")
    _check_config(config, kind, path)
    return config


def _check_config(config: dict[str, Any], kind: Kind | None, path: Path) -> None:
    types = dict(_CONFIG_TYPES)
    if config.get("kind") == "generator":
        types |= {key: type_ for key, type_ in _OPTIONAL_TYPES.items() if key in config}
    for key in sorted(config.keys() - types.keys()):
        raise WeightsError(f"{path}: unknown key {key!r}")
    for key, expected in types.items():
        if key not in config:
            raise WeightsError(f"{path}: the key {key!r} is missing")
        if type(config[key]) is not expected:  # true is an int to isinstance
            raise WeightsError(f"{path}: {key!r} is {config[key]!r}, not an {expected.__name__}")
    right: dict[str, list[Any]] = {
        "format": [_FORMAT],
        "kind": list(_JOINT_KEYS) if kind is None else [kind],
    }
    if not all(type(level) in (int, float) for level in config.get("levels", [])):
        raise WeightsError(f"{path}: 'levels' is {config['levels']!r}, not a list of numbers")
    for key, values in right.items():
        if config[key] not in values:
            wanted = " or ".join(repr(value) for value in values)
            raise WeightsError(f"{path}: {key!r} is {config[key]!r}, and must be {wanted}")


def _empty(
    source: Path, kind: Kind, *shape: Any, **more: Any
) -> DenoiserNetwork | GeneratorNetwork:
    """A network without storage: no weights are drawn, so the caller's random numbers stay."""
    try:
        with torch.device("meta"):
            return build(kind, *shape, **more)
    except ConfigError as error:
        raise WeightsError(f"{source}: {error}") from error
