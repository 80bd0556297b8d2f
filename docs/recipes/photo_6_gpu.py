"""The run photo-6: the denoiser and its fast version, side by side on one GPU, for a given time.

    DANET_DATA=... python docs/recipes/photo_6_gpu.py runs/photo-6 --seconds 735

What `danet train` does with the settings of photo-6-denoiser.toml, but for three things.  The noise
is drawn and made on the GPU, by the same law, as 16 processor cores could not make enough of it.
An update is recorded once as a graph and replayed.  And the learning rate follows the time left.
The fast version learns from the same batches what lies halfway between truth and denoiser.
"""

from __future__ import annotations

import argparse
import math
import os
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from danet import weights
from danet.networks import build
from danet.noise import developed
from danet.noise.model import log_uniform
from danet.train import TrainConfig, read_config
from danet.train.batches import Sources
from danet.train.made import MadePatches
from danet.train.optimizers import orthogonalized

RECIPE = Path(__file__).with_name("photo-6-denoiser.toml")
MOMENTUM, CLIP = 0.95, 0.3
KEPT = 0.74  # of the time: the average then and that of the end give the denoiser
TRUTH = 0.5  # of what the fast version learns; the rest is the denoiser's result

# The tables of JPEG's annex K.
LUMA = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56
14 17 22 29 51 87 80 62 18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92
49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
CHROMA = (
    """17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99
47 66 99 99 99 99 99 99"""
    + 32 * " 99"
)


class Batch(NamedTuple):
    """Clean patches, the noisy ones of the first, which are real, and how to make the others.

    Pixels are uint16, N x 3 x H x W.
    """

    clean: Tensor
    noisy: Tensor
    laws: list[Any]
    untouched: Tensor
    darkness: Tensor


class Batches(Dataset[Batch]):
    """Whole batches by their number, all but the noise of the made pairs."""

    def __init__(self, config: TrainConfig) -> None:
        sources = Sources(config)
        self.real, extra = sources.real, sources.extra
        self.strengthened, made = extra.parts  # type: ignore[union-attr]
        assert isinstance(made, MadePatches)
        self.made, self.size = made, config.batch_size
        self.strong = round(config.extra_size * config.data.extra[0].share)
        self.fresh = config.extra_size - self.strong

    def __getitem__(self, number: int) -> Batch:
        pairs = [self.real[number * self.size + i] for i in range(self.size)]
        pairs += [self.strengthened[number * self.strong + i] for i in range(self.strong)]
        first = number * self.fresh
        draws = [np.random.default_rng((self.made.seed, first + i)) for i in range(self.fresh)]
        clean = torch.from_numpy(np.stack([self.made._clean(rng) for rng in draws]))
        laws = [self.made.noise._law(rng) for rng in draws]
        variety = self.made.variety
        ends = [
            (
                rng.random() < variety.untouched,
                log_uniform(rng, *variety.darkness) if rng.random() < variety.dark else 1.0,
            )
            for rng in draws
        ]
        untouched, darkness = zip(*ends, strict=True)
        return Batch(
            _wide(torch.cat([torch.stack([x for x, _ in pairs]), clean])),
            _wide(torch.stack([y for _, y in pairs])),
            laws,
            torch.tensor(untouched),
            torch.tensor(darkness, dtype=torch.float32),
        )


def _wide(pixels: Tensor) -> Tensor:
    return (pixels * 65535).round().to(torch.int32).to(torch.uint16)


class Noise:
    """`DevelopedNoise` on a device, its random numbers drawn there."""

    def __init__(self, model: developed.DevelopedNoise, device: torch.device, seed: int) -> None:
        self.model, self.device = model, device
        self.source = torch.Generator(device).manual_seed(seed)
        angles = torch.arange(8)[:, None] * (2 * torch.arange(8) + 1) * math.pi / 16
        cosines = torch.cos(angles) / 2
        cosines[0] /= math.sqrt(2)
        self.cosines = cosines.to(device)
        self.tables = [
            torch.tensor([float(x) for x in table.split()], device=device).view(8, 8)
            for table in (LUMA, CHROMA)
        ]
        self.to_rgb = developed._TO_RGB.to(device)
        self.from_rgb = torch.linalg.inv(developed._TO_RGB).to(device)

    def finish(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The whole batch, clean and noisy, N x 3 x H x W in [0, 1], channels last."""
        clean, real = (part.to(self.device).float() / 65535 for part in (batch.clean, batch.noisy))
        untouched, darkness = (
            part.to(self.device)[:, None, None, None] for part in (batch.untouched, batch.darkness)
        )
        fresh = clean[len(real) :]
        made = torch.where(untouched, fresh, self.add(fresh, batch.laws)) * darkness
        clean = torch.cat([clean[: len(real)], fresh * darkness])
        layout = torch.channels_last
        return (
            clean.contiguous(memory_format=layout),
            torch.cat([real, made]).contiguous(memory_format=layout),
        )

    def add(self, clean: Tensor, laws: list[Any]) -> Tensor:
        """See `DevelopedNoise.add_to_batch`."""
        margin = developed._MARGIN
        height, width = (side + 2 * margin for side in clean.shape[2:])
        with torch.device(self.device):
            white = torch.randn((len(laws), 3, height, width), generator=self.source)
            grain = developed._grain(white, torch.tensor([law.grain for law in laws]))
            gains = torch.tensor([law.gains for law in laws])[..., None, None]
            noise = torch.einsum("kc,nchw->nkhw", self.to_rgb, grain * gains)
            noise = torch.where(developed._of_each([law.white for law in laws]), white, noise)
            noisy = self.model._develop(clean, noise[..., margin:-margin, margin:-margin], laws)
            if saved := [number for number, law in enumerate(laws) if law.quality is not None]:
                quality = torch.tensor([float(laws[number].quality) for number in saved])
                halved = torch.tensor([laws[number].subsampling == 2 for number in saved])
                index = torch.tensor(saved)
                noisy[index] = self.jpeg(noisy[index], quality, halved)
        return noisy

    def jpeg(self, picture: Tensor, quality: Tensor, halved: Tensor) -> Tensor:
        """What JPEG leaves; like libjpeg but for a few coefficients that are rounded otherwise."""
        scale = torch.where(quality < 50, 5000 / quality, 200 - 2 * quality)[:, None, None]
        luma, chroma = (
            ((table * scale + 50) / 100).floor().clamp(1, 255)[:, None, None, None]
            for table in self.tables
        )
        planes = torch.einsum("kc,nchw->nkhw", self.from_rgb, (picture * 255).round()).round()
        brightness = self._blocks(planes[:, :1] - 128, luma) + 128
        colour = planes[:, 1:]
        coarse = self._blocks(F.avg_pool2d(colour, 2).round(), chroma).round()
        coarse = F.interpolate(coarse, scale_factor=2, mode="bilinear", align_corners=False)
        colour = torch.where(halved[:, None, None, None], coarse, self._blocks(colour, chroma))
        planes = torch.cat([brightness.round().clamp(0, 255), colour.round()], dim=1)
        pixels = torch.einsum("kc,nchw->nkhw", self.to_rgb, planes)
        return pixels.round().clamp(0, 255) / 255

    def _blocks(self, plane: Tensor, table: Tensor) -> Tensor:
        count, channels, height, width = plane.shape
        shape = (count, channels, height // 8, 8, width // 8, 8)
        blocks = plane.reshape(shape).permute(0, 1, 2, 4, 3, 5)
        coefficients = self.cosines @ blocks @ self.cosines.mT
        coefficients = (coefficients / table).round() * table
        blocks = self.cosines.mT @ coefficients @ self.cosines
        return blocks.permute(0, 1, 2, 4, 3, 5).reshape(plane.shape)


class Learner:
    """A network with Muon, Adam and the average of its weights, all as a graph can replay them."""

    def __init__(self, network: nn.Module, device: torch.device, config: TrainConfig) -> None:
        self.network = network.to(device, memory_format=torch.channels_last)
        self.rate, self.adam_rate = config.optimizer.denoiser, config.optimizer.adam
        self.decay = config.optimizer.average or 0.0
        self.all = list(network.parameters())
        self.matrices = [p for p in self.all if p.ndim > 1 and min(p.shape[:2]) >= 8]
        taken = set(map(id, self.matrices))
        self.others = [p for p in self.all if id(p) not in taken]
        self.momentum = [torch.zeros_like(p) for p in self.matrices]
        self.first, self.second = ([torch.zeros_like(p) for p in self.others] for _ in range(2))
        self.average = [p.detach().clone() for p in self.all]
        self.steps, self.error = torch.zeros(2, device=device)
        for parameter in self.all:
            parameter.grad = torch.zeros_like(parameter)

    @torch.no_grad()
    def step(self, factor: Tensor) -> None:
        """One update; ``factor`` is what the rates are multiplied by."""
        gradients = [p.grad for p in self.all if p.grad is not None]
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
        torch._foreach_mul_(gradients, (CLIP / (norm + 1e-6)).clamp(max=1.0))
        some = [p.grad for p in self.matrices if p.grad is not None]
        torch._foreach_lerp_(self.momentum, some, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(some, self.momentum, MOMENTUM)
        for matrix, direction in zip(self.matrices, ahead, strict=True):
            rows = direction.movedim(1, -1)
            flat = orthogonalized(rows.flatten(1))
            length = self.rate * 0.2 * max(flat.shape) ** 0.5
            matrix.sub_(flat.view(rows.shape).movedim(-1, 1) * (factor * length))
        self.steps += 1
        some = [p.grad for p in self.others if p.grad is not None]
        torch._foreach_lerp_(self.first, some, 0.1)
        torch._foreach_mul_(self.second, 0.999)
        torch._foreach_addcmul_(self.second, some, some, 0.001)
        scale = torch._foreach_sqrt(self.second)
        torch._foreach_div_(scale, (1 - 0.999**self.steps).sqrt())
        torch._foreach_add_(scale, 1e-8)
        steps = torch._foreach_div(self.first, scale)
        torch._foreach_mul_(steps, factor * (self.adam_rate / (1 - 0.9**self.steps)))
        torch._foreach_sub_(self.others, steps)
        torch._foreach_lerp_(self.average, self.all, 1 - self.decay)
        torch._foreach_zero_([p.grad for p in self.all if p.grad is not None])

    def save(self, folder: Path) -> None:
        """Write the averaged network."""
        for parameter, mean in zip(self.all, self.average, strict=True):
            parameter.data = mean.clone()
        weights.save_network(self.network.cpu(), folder, "A denoiser.")


def error(result: Tensor, target: Tensor) -> Tensor:
    """As ``loss.error = "root-mean-square"``."""
    square = (result - target).square().mean(dim=(1, 2, 3))
    return (square + (1 / 255) ** 2).sqrt().mean()


def loaded(config: TrainConfig) -> Iterator[Batch]:
    """The batches in their order, by as many workers as there are cores to spare."""
    workers = max(1, (os.cpu_count() or 2) - 1)
    loader: DataLoader[Batch] = DataLoader(
        Batches(config),
        batch_size=None,
        sampler=count(),
        num_workers=workers,
        prefetch_factor=4,
    )
    yield from loader


def rate_factor(number: int, part: float, config: TrainConfig) -> float:
    """What the rates are multiplied by at one update, after some part of the time."""
    rise = min(1.0, (number + 1) / config.optimizer.warmup)
    return rise * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * part)))


def recorded(update: Callable[[], None], side: torch.cuda.Stream) -> torch.cuda.CUDAGraph:
    """An update that can be replayed."""
    torch.backends.cudnn.benchmark = True
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):  # what is allocated at first must not be in the graph
        for _ in range(4):
            update()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        update()
    return graph


def run(
    slow: Learner,
    fast: Learner,
    noise: Noise,
    batches: Iterator[Batch],
    config: TrainConfig,
    seconds: float,
) -> None:
    """Train both for a time."""
    clean, noisy = noise.finish(next(batches))
    factor = torch.zeros((), device=noise.device)

    def update() -> None:
        target = clean
        for learner in (slow, fast):
            with torch.autocast("cuda", torch.bfloat16, cache_enabled=False):
                denoised = learner.network(noisy).float()
            error(denoised, target).backward()
            learner.error.copy_(error(denoised.detach(), clean))
            learner.step(factor)
            target = denoised.detach().lerp(clean, TRUTH)

    side = torch.cuda.Stream()
    graph = recorded(update, side)
    started, following, kept = time.monotonic(), (clean.clone(), noisy.clone()), None
    for number in count():
        part = (time.monotonic() - started) / seconds
        if part >= 1:
            break
        if kept is None and part >= KEPT:
            kept = [mean.clone() for mean in slow.average]
        factor.fill_(rate_factor(number, part, config))
        clean.copy_(following[0])
        noisy.copy_(following[1])
        graph.replay()
        with torch.cuda.stream(side):
            following = noise.finish(next(batches))
        side.synchronize()
        if number % config.log_every == 0:
            print(
                number, f"{time.monotonic() - started:.1f} s", float(slow.error), float(fast.error)
            )
    if kept is not None:
        torch._foreach_lerp_(slow.average, kept, 0.5)


def main() -> None:
    """Train for the time that is given, and save both networks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("output", type=Path)
    parser.add_argument("--seconds", type=float, default=735)
    options = parser.parse_args()
    config, device = read_config(RECIPE, []), torch.device("cuda")
    torch.set_num_threads(1)
    torch.manual_seed(config.seed)
    torch.set_float32_matmul_precision("high")
    network = weights.load_network(weights.find("photo", "denoiser"), "denoiser")
    slow = Learner(network, device, config)
    fast = Learner(build("denoiser", "half-unet"), device, config)
    noise = Noise(config.data.developed, device, config.seed)
    batches = loaded(config)
    run(slow, fast, noise, batches, config, options.seconds)
    slow.save(options.output / "denoiser")
    fast.save(options.output / "fast" / "denoiser")


if __name__ == "__main__":
    main()
