"""Measure how long weights take to load, and what of it is reading the file.

    python benchmarks/loading.py [--weights photo] [--device cpu] [--repeat 9]

The file is read once before, so that it is in the system's memory; importing is not counted.
Medians and the fastest of all are printed:

    read        the bytes of the file
    tensors     read, and made tensors of float32 in memory of their own
    load        `Denoiser.from_pretrained`: found, mapped, checked and copied to the device
    load .pt    the same from a PyTorch file of float32, in the form that the paper's authors use
    mixin       huggingface_hub's own mixin, for comparison: the network is initialised first, and
                what the file lacks or has too much is not noticed

Measured with one thread on 2 virtual cores of a Cascade Lake Xeon on which other jobs ran, `photo`
of 18.3 MB, torch 2.13, median and fastest of 15 in seconds:

    read       0.021  0.014
    tensors    0.050  0.036
    load       0.172  0.107
    load .pt   0.217  0.143
    mixin      0.420  0.262
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from huggingface_hub import PyTorchModelHubMixin
from safetensors.torch import load_file

from danet import Denoiser
from danet.networks import UNet
from danet.weights import find


class MixinNetwork(UNet, PyTorchModelHubMixin):
    """The network of the same size, loaded as huggingface_hub does by default."""

    def __init__(self, width: int = 32, depth: int = 5) -> None:
        UNet.__init__(self, 3, 3, width, depth)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--weights", default="photo")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    folder = find(options.weights, "denoiser")
    model = folder / "model.safetensors"

    def load(source: str | Path) -> None:
        Denoiser.from_pretrained(source, device=options.device)
        if options.device != "cpu":
            torch.cuda.synchronize()

    with tempfile.TemporaryDirectory() as scratch:
        joint = Path(scratch) / "joint.pt"
        state = Denoiser.from_pretrained(folder, device="cpu").network.state_dict()
        torch.save({"D": state}, joint)
        ways: dict[str, Callable[[], object]] = {
            "read": model.read_bytes,
            "tensors": lambda: {
                k: v.to(torch.float32, copy=True) for k, v in load_file(model).items()
            },
            "load": lambda: load(options.weights),
            "load .pt": lambda: load(joint),
            "mixin": lambda: MixinNetwork.from_pretrained(folder),
        }
        print(f"{model.stat().st_size / 1e6:.1f} MB, {options.device}, torch {torch.__version__}")
        times: dict[str, list[float]] = {name: [] for name in ways}
        # In turns, so that a busy moment of the machine falls on all of them.
        for _ in range(options.repeat + 1):
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
    for name, taken in times.items():
        kept = taken[1:]  # the first warms up
        print(f"{name:<10} median {statistics.median(kept):7.4f} s, fastest {min(kept):7.4f} s")


if __name__ == "__main__":
    main()
