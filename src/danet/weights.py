"""Where weights are, and how they are loaded and saved.

A network's folder holds ``model.safetensors``, ``config.json`` and a model card, ``README.md``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor

from danet.backbones import BACKBONES, Backbone
from danet.errors import ConfigError, WeightsError
from danet.files import atomic_write
from danet.networks import (
    DENOISERS,
    GENERATORS,
    DenoiserNetwork,
    GeneratorNetwork,
    Kind,
    build,
)

__all__ = ["Kind", "find", "load_checkpoint", "load_network", "names", "save_network"]

_CLASSES: dict[Kind, Mapping[str, type[Backbone]]] = {
    "denoiser": DENOISERS,
    "generator": GENERATORS,
}
# What the authors' joint checkpoints call them; their "D" is not the discriminator.
_JOINT_KEYS: dict[Kind, str] = {"denoiser": "D", "generator": "G"}
_FORMAT = 1
_CONFIG_TYPES = {"format": int, "kind": str, "backbone": str, "width": int, "depth": int}
_FIRST_WEIGHT = "down_path.0.block.0.weight"
_SHIPPED = Path(__file__).parent / "weights_data"
_MOST_LISTED = 10


def names() -> list[str]:
    """The names that `find` knows: those of the weights that ship with the package."""
    return sorted(entry.name for entry in _SHIPPED.glob("*") if entry.is_dir())


def find(name_or_folder: str | os.PathLike[str], kind: Kind) -> Path:
    """Say where the weights of a name are: every name is looked up here and nowhere else.

    A shipped name comes before a folder of that name; write ``./photo`` for the folder.

    Args:
        name_or_folder: one of `names`; a folder of one network; a folder with the subfolders
            ``denoiser`` and ``generator``; or a ``.safetensors`` or ``.pt`` file.
        kind: which of the two networks.

    Returns:
        What `load_network` takes: the network's own folder, or the file.

    Raises:
        WeightsError: there is no such name or path, or the folder holds no weights.
    """
    if name_or_folder in names():
        return _SHIPPED / name_or_folder / kind
    path = Path(name_or_folder)
    if path.is_file():
        return path
    for folder in (path, path / kind):
        if (folder / "config.json").is_file():
            return folder
    if path.is_dir():
        raise WeightsError(f"{path}: holds neither config.json nor {kind}/config.json")
    raise WeightsError(
        f"there are no weights called {str(name_or_folder)!r}; the known names are: "
        f"{', '.join(names()) or 'none'}; the path of a folder will do as well"
    )


def load_network(path: str | os.PathLike[str], kind: Kind) -> DenoiserNetwork | GeneratorNetwork:
    """Load a network from its folder, or from a file as `load_checkpoint` does.

    Half-precision weights become float32.

    Args:
        path: what `find` gave.
        kind: which network it must be.

    Returns:
        The network, of the class that its kind and backbone have, in evaluation mode, in float32,
        on the CPU.

    Raises:
        WeightsError: a file is missing or damaged; the configuration has a key that is
            unknown, missing or wrong; the weights are of the other kind, not finite, or a
            tensor is missing, superfluous or of the wrong shape.
    """
    path = Path(path)
    if path.is_file():
        return load_checkpoint(path, kind)
    config = _read_config(path / "config.json", kind)
    model = path / "model.safetensors"
    shape = config["backbone"], config["width"], config["depth"]
    network = _empty(kind, *shape, source=path / "config.json")
    return _filled(network, f"{config['backbone']} {kind}", _read_tensors(model), model)


def load_checkpoint(path: str | os.PathLike[str], kind: Kind) -> DenoiserNetwork | GeneratorNetwork:
    """Load a UNet from a single file; width and depth are those of its tensors.

    Args:
        path: a ``.safetensors`` file of one network's weights, or a PyTorch file in one of the
            two layouts that the authors released: ``{"D": denoiser, "G": generator}``, or
            the weights alone.
        kind: which network to load.

    Returns:
        As `load_network`.

    Raises:
        WeightsError: as `load_network`.
    """
    path = Path(path)
    content = _read_tensors(path)
    if any(isinstance(value, Mapping) for value in content.values()):
        tensors = content.get(_JOINT_KEYS[kind])
        if not isinstance(tensors, Mapping):
            raise WeightsError(f"{path}: holds no {kind}, but: {_listed(content)}")
    else:
        tensors = content
    first = tensors.get(_FIRST_WEIGHT)
    if not isinstance(first, Tensor) or first.ndim == 0:
        raise WeightsError(
            f"{path}: holds no tensor {_FIRST_WEIGHT}, so it is not a {kind} with the backbone "
            "unet; one with another loads from its folder, as config.json names the backbone"
        )
    levels = {str(name).split(".")[1] for name in tensors if str(name).startswith("down_path.")}
    network = _empty(kind, "unet", first.shape[0], len(levels), source=path)
    return _filled(network, f"unet {kind}", tensors, path)


def save_network(
    network: DenoiserNetwork | GeneratorNetwork, folder: str | os.PathLike[str], card: str
) -> None:
    """Save a network so that `load_network` gives it back bit for bit.

    Args:
        network: as `danet.networks.build` makes it.
        folder: made if need be; files of the same names in it are replaced.
        card: the model card, Markdown, written as ``README.md``.

    Raises:
        WeightsError: the network is of another class.
        DanetError: a file cannot be written.

    Example:
        >>> import tempfile
        >>> from danet.networks import UNetDenoiser
        >>> folder = tempfile.mkdtemp()
        >>> save_network(UNetDenoiser(width=2), folder, "# A denoiser for tests")
        >>> load_network(folder, "denoiser").width
        2
    """
    found = (
        {"kind": kind, "backbone": backbone}
        for kind, classes in _CLASSES.items()
        for backbone, network_class in classes.items()
        if isinstance(network, network_class)
    )
    if (described := next(found, None)) is None:
        raise WeightsError(
            f"a {type(network).__name__} is neither a denoiser nor a generator with one of the "
            f"backbones {', '.join(BACKBONES)}"
        )
    config = {
        "format": _FORMAT,
        **described,
        "width": network.width,
        "depth": network.depth,
    }
    tensors = {name: value.cpu().contiguous() for name, value in network.state_dict().items()}
    folder = Path(folder)
    with atomic_write(folder / "model.safetensors") as temporary:
        # Not save_file: it makes files which only their owner may read.
        temporary.write_bytes(save(tensors, metadata={"format": "pt"}))
    with atomic_write(folder / "config.json") as temporary:
        temporary.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    with atomic_write(folder / "README.md") as temporary:
        temporary.write_text(card.rstrip("\n") + "\n", encoding="utf-8")


def _read_tensors(path: Path) -> dict[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise WeightsError(f"{path}: no such file") from error
    # Both readers raise nearly anything on a damaged file, and torch's over several lines.
    except Exception as error:
        raise WeightsError(f"{path}: not a file of weights, or damaged") from error
    if not isinstance(content, dict):
        raise WeightsError(f"{path}: holds a {type(content).__name__} where weights are expected")
    return content


def _read_config(path: Path, kind: Kind) -> dict[str, Any]:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise WeightsError(f"{path}: cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise WeightsError(f"{path}: must hold an object, not {type(config).__name__}")
    _check_config(config, kind, path)
    return config


def _check_config(config: dict[str, Any], kind: Kind, path: Path) -> None:
    for key in config.keys() - _CONFIG_TYPES.keys():
        raise WeightsError(f"{path}: unknown key {key!r}")
    for key, expected in _CONFIG_TYPES.items():
        if key not in config:
            raise WeightsError(f"{path}: the key {key!r} is missing")
        if type(config[key]) is not expected:  # true is an int to isinstance
            raise WeightsError(f"{path}: {key!r} is {config[key]!r}, not an {expected.__name__}")
    for key, right in {"format": _FORMAT, "kind": kind}.items():
        if config[key] != right:
            raise WeightsError(f"{path}: {key!r} is {config[key]!r}, and must be {right!r}")


def _empty(
    kind: Kind, backbone: str, width: int, depth: int, source: Path
) -> DenoiserNetwork | GeneratorNetwork:
    """A network without storage: no weights are drawn, so the caller's random numbers stay."""
    try:
        with torch.device("meta"):
            return build(kind, backbone, width, depth)
    except ConfigError as error:
        raise WeightsError(f"{source}: {error}") from error


def _filled(
    network: DenoiserNetwork | GeneratorNetwork,
    description: str,
    tensors: Mapping[str, Any],
    source: Path,
) -> DenoiserNetwork | GeneratorNetwork:
    """The network with these weights, after every tensor was found to be right."""
    expected = network.state_dict()
    problems = [f"{name} is missing" for name in expected if name not in tensors]
    problems += [f"{name} is not part of it" for name in tensors if name not in expected]
    for name, right in expected.items():
        if name in tensors and (problem := _problem(tensors[name], right)):
            problems.append(f"{name} {problem}")
    if problems:
        raise WeightsError(
            f"{source}: does not fit a {description} of width {network.width} and depth "
            f"{network.depth}: {_listed(problems)}"
        )
    own = {
        name: value.to(torch.float32 if value.is_floating_point() else torch.int64, copy=True)
        for name, value in tensors.items()
    }
    network.load_state_dict(own, assign=True)
    return network.eval()


def _problem(tensor: object, right: Tensor) -> str:
    found = tensor.dtype if isinstance(tensor, Tensor) else type(tensor).__name__
    # Floats of any precision will do; the counters of batch normalisation are integers.
    if not isinstance(tensor, Tensor) or tensor.is_floating_point() != right.is_floating_point():
        kind = "floats" if right.is_floating_point() else "integers"
        return f"is {found}, not a tensor of {kind}"
    if tensor.shape != right.shape:
        return f"has the shape {tuple(tensor.shape)}, not {tuple(right.shape)}"
    if not torch.isfinite(tensor).all():
        return "holds NaN or infinity"
    return ""


def _listed(entries: Iterable[object]) -> str:
    words = [str(entry) for entry in entries]
    more = len(words) - _MOST_LISTED
    return ", ".join(words[:_MOST_LISTED]) + (f", and {more} more" if more > 0 else "")
