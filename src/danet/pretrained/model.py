"""The base class of `Denoiser` and `NoiseGenerator`: a network, and its run on pictures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, ClassVar, TypedDict

import torch
from PIL import Image
from torch import nn

from danet.devices import usable_device, usable_devices
from danet.errors import WeightsError
from danet.inference.engine import Engine
from danet.inference.export import Exported, export
from danet.inference.runtimes import Runtime
from danet.inference.settings import EngineSettings
from danet.networks import DenoiserNetwork, GeneratorNetwork
from danet.weights import CardFacts, FetchOptions, load, save_network

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["Pretrained", "Settings"]

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
    devices: str | Sequence[str | torch.device] | None
    tile: int | None
    max_memory: int | None
    halo: int | None
    border: int | None
    dtype: str
    compile: bool
    runtime: str


class Pretrained:
    """What the two classes share: a network, a device, and a way to run it on pictures."""

    _network_class: ClassVar[type[DenoiserNetwork] | type[GeneratorNetwork]]

    def __init__(  # noqa: PLR0913  # Settings, one for one, so that help() shows them
        self,
        weights: str | os.PathLike[str] | DenoiserNetwork | GeneratorNetwork = "photo",
        *,
        device: str | torch.device = "auto",
        devices: str | Sequence[str | torch.device] | None = None,
        tile: int | None = None,
        max_memory: int | None = None,
        halo: int | None = None,
        border: int | None = None,
        dtype: str = "auto",
        compile: bool = False,
        runtime: str = "auto",
    ) -> None:
        places = usable_devices(device, devices)
        computing = Runtime(runtime, dtype, compile, places[1:])
        settings = EngineSettings(tile, max_memory, halo, border)
        if isinstance(weights, nn.Module):
            right = self._network_class
            if not isinstance(weights, right):
                raise WeightsError(
                    f"the network is a {type(weights).__name__}, and that of a "
                    f"{type(self).__name__} must be a danet.networks.{right.__name__}"
                )
            network = weights
        else:
            network = load(weights, self._network_class.kind, device=places[0])
        self.engine = Engine(network, computing, settings)
        if devices is not None or device != "auto":
            self.network.to(places[0])

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
            WeightsError: there are no such weights, the weights cannot be fetched, or do not fit
                the class.
            ConfigError: a setting is invalid, or a revision is given for weights that are not on
                the Hub.
            DanetError: what was fetched cannot be written.
        """
        options = FetchOptions(revision, token, cache_dir, local_files_only, force_download)
        places = usable_devices(settings.pop("device", "auto"), settings.get("devices"))
        kind = cls._network_class.kind
        return cls(load(name, kind, options, device=places[0]), **settings)

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
            kind=network.kind,
            name=type(self).__name__,
            width=network.width,
            depth=network.depth,
        )
        save_network(network, folder, default if card is None else card)

    def export(
        self, path: str | os.PathLike[str], about: Mapping[str, str] | None = None
    ) -> Exported:
        """Write the network as an ONNX model, and compare it with PyTorch.

        See `danet.inference.export`.

        Args:
            path: the file to write.
            about: what its metadata say beside the network's properties, such as the licence.

        Returns:
            The sizes that were compared, and the largest difference.

        Raises:
            ConfigError: onnx or onnxruntime is not installed.
            DanetError: the network cannot be exported, the results differ, or the file cannot
                be written.
        """
        return export(self.network, path, about, border=self.engine.border)

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
            folder = Path(scratch) / self.network.kind
            self.save_pretrained(folder)
            facts = facts or CardFacts()
            if facts.picture is None:
                path = Path(scratch) / "picture.png"
                self.example().save(path)
                facts = replace(facts, picture=path)
            target = Target(repo_id, commit_message, private, token, branch, create_pr)
            return publish({self.network.kind: folder}, facts, target)

    def example(self) -> Image.Image:
        """A drawing before and after, side by side, as model cards show it."""
        raise NotImplementedError  # each class has its own

    def to(self, device: str | torch.device) -> Self:
        """Move the network to a device ("auto" as for the class), and return self.

        It computes there alone, even if several devices were given before.

        Raises:
            ConfigError: there is no such device here.
        """
        self.network.to(usable_device(device))
        self.engine.runtime.leave_others()
        return self

    @property
    def network(self) -> DenoiserNetwork | GeneratorNetwork:
        """The network, an ordinary module."""
        return self.engine.network

    @property
    def device(self) -> torch.device:
        """Where the network is, and computes; of several devices the first."""
        return next(self.network.parameters()).device
