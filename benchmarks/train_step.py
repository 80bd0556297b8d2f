"""Time one iteration of Algorithm 1 beside its plain form, in one run.

    python benchmarks/train_step.py
    python benchmarks/train_step.py --precision bfloat16 --device cuda
    python benchmarks/train_step.py --only plain
    python benchmarks/train_step.py --losses 200 --batch 8 --patch 32 --width 8 --critic-width 16

The plain form is the table of the paper's losses word by word: float32, the usual memory layout,
one forward and one backward pass for each term, Adam tensor by tensor.  An iteration is 3 updates
of the discriminator, 1 of the denoiser and 1 of the generator.  The two take turns, so
that a machine that slows down slows both.  With --losses both are trained, from the same three
seeds, and their losses on one batch that they have not seen are compared.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import Module
from torch.nn.functional import interpolate

from danet.devices import hardware, usable_device
from danet.filters import TAPS_5, smooth
from danet.networks import Discriminator, build
from danet.train import DataConfig, NetworkConfig, TrainConfig, TrainState, train_step
from danet.train.losses import critic_losses, denoiser_losses, generator_losses

Pairs = tuple[Tensor, Tensor]
CRITIC_UPDATES = 3


class Plain:
    """Algorithm 1 as it is written down."""

    def __init__(self, config: TrainConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.denoiser = build("denoiser", "unet", config.denoiser.width or 32).to(device)
        self.discriminator = Discriminator(config.critic_width, config.patch_size).to(device)
        self.generator = build("generator", "unet", config.generator.width or 32).to(device)
        self.loss = config.loss
        self.optimizers = {
            network: torch.optim.Adam(network.parameters(), rate, betas, foreach=False)
            for network, rate, betas in (
                (self.denoiser, 1e-4, (0.9, 0.999)),
                (self.generator, 1e-4, (0.5, 0.9)),
                (self.discriminator, 2e-4, (0.5, 0.9)),
            )
        }

    def descend(self, network: torch.nn.Module, terms: list[Callable[[], Tensor]]) -> None:
        """One step down the sum of the terms, each with a pass of its own."""
        self.optimizers[network].zero_grad()
        for term in terms:
            term().backward()
        self.optimizers[network].step()

    def step(self, batches: list[Pairs]) -> None:
        """One iteration."""
        r, g, d = self.denoiser, self.generator, self.discriminator
        alpha, weight = self.loss.alpha, self.loss.penalty
        for x, y in batches:
            with torch.no_grad():
                denoised, generated = r(y), g(x, latent(x))

            def penalty(fake: Pairs, real: Pairs = (x, y)) -> Tensor:
                mix = torch.rand(len(real[0]), 1, 1, 1, device=real[0].device)
                points = [
                    (mix * a + (1 - mix) * b).requires_grad_()
                    for a, b in zip(real, fake, strict=True)
                ]
                slopes = torch.autograd.grad(d(*points).sum(), points, create_graph=True)
                norm = (torch.cat(slopes, dim=1).square().sum(dim=(1, 2, 3)) + 1e-12).sqrt()
                return weight * (norm - 1).square().mean()

            terms = [
                lambda x=x, fake=generated: alpha * d(x, fake).mean(),
                lambda x=x, y=y: -alpha * d(x, y).mean(),
                lambda x=x, fake=generated: alpha * penalty((x, fake)),
                lambda y=y, fake=denoised: (1 - alpha) * d(fake, y).mean(),
                lambda x=x, y=y: -(1 - alpha) * d(x, y).mean(),
                lambda y=y, fake=denoised: (1 - alpha) * penalty((fake, y)),
            ]
            self.descend(d, terms)
        x, y = batches[-1]
        tau_r, tau_g = self.loss.tau_denoiser, self.loss.tau_generator
        self.descend(
            r,
            [
                lambda: -(1 - alpha) * d(r(y), y).mean(),
                lambda: tau_r * (r(y) - x).abs().mean(),
            ],
        )
        z = latent(x)
        noise = smooth(y - x, TAPS_5)
        self.descend(
            g,
            [
                lambda: -alpha * d(x, g(x, z)).mean(),
                lambda: tau_g * (smooth(g(x, z) - x, TAPS_5) - noise).abs().mean(),
            ],
        )


def latent(clean: Tensor) -> Tensor:
    """Draw z for a batch."""
    return torch.randn(len(clean), 1, *clean.shape[2:], device=clean.device)


def batch(config: TrainConfig, device: torch.device) -> Pairs:
    """Smooth pictures, with noise that grows with the brightness."""
    coarse = torch.rand(config.batch_size, 3, 8, 8, device=device)
    clean = interpolate(coarse, size=(config.patch_size,) * 2, mode="bicubic").clamp(0, 1)
    noisy = clean + (0.01 + 0.04 * clean) * torch.randn_like(clean)
    layout = torch.channels_last if config.channels_last else torch.contiguous_format
    return clean.contiguous(memory_format=layout), noisy.contiguous(memory_format=layout)


def trained(form: str, config: TrainConfig, device: torch.device) -> dict[str, float]:
    """The losses of one form on an unseen batch, after the updates of its configuration."""
    plain = Plain(config, device)  # from the random weights that TrainState draws
    state = TrainState.start(config, device)
    torch.manual_seed(config.seed + 1)
    for _ in range(config.updates):
        batches = [batch(config, device) for _ in range(CRITIC_UPDATES)]
        if form == "plain":
            plain.step(batches)
        else:
            train_step(state, batches, None, config)
    if form == "plain":
        networks = (plain.denoiser, plain.generator, plain.discriminator)
    else:
        learners = state.learners()
        r, g, d = (learners[name].network for name in ("denoiser", "generator", "discriminator"))
        networks = (r, g, d)
    torch.manual_seed(-1)
    with torch.no_grad():
        return judged(*networks, batch(replace(config, batch_size=64), device))


def judged(
    denoiser: Module, generator: Module, discriminator: Discriminator, pairs: Pairs
) -> dict[str, float]:
    """Every term of the losses on one batch."""
    clean, noisy = pairs
    denoised, generated = denoiser(noisy), generator(clean, latent(clean))
    mixes = (torch.rand_like(clean[:, :1, :1, :1]), torch.rand_like(clean[:, :1, :1, :1]))
    terms = {
        "discriminator": critic_losses(discriminator, pairs, denoised, generated, mixes),
        "denoiser": denoiser_losses(discriminator, clean, noisy, denoised),
        "generator": generator_losses(discriminator, clean, noisy, generated),
    }
    return {
        f"{network}/{term}": float(value)
        for network, losses in terms.items()
        for term, value in losses.items()
    }


def compare_losses(config: TrainConfig, device: torch.device) -> None:
    """Print the range of each form's losses over three seeds."""
    plain = replace(config, precision="float32", channels_last=False, compile=False)
    results = {
        form: [trained(form, replace(shape, seed=seed), device) for seed in range(3)]
        for form, shape in (("plain", plain), ("fast", config))
    }
    print(f"after {config.updates} updates, of three seeds: plain, then {config.precision}")
    for term in results["plain"][0]:
        ranges = [sorted(result[term] for result in results[form]) for form in results]
        print(f"{term:32}", *(f"{low:10.4g} to {high:10.4g}" for low, _, high in ranges), sep="   ")


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """Wall-clock time of some work, to its end on the device."""
    start = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter() - start


def peak(device: torch.device) -> float:
    """The most memory taken so far, in GiB."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated() / 2**30
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def options() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="float32", choices=["float32", "bfloat16"])
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--patch", type=int, default=128)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--critic-width", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--losses", type=int, metavar="UPDATES", help="compare these instead")
    parser.add_argument("--only", choices=["plain", "fast"], help="for the peak memory of one")
    return parser.parse_args()


def main() -> None:
    """Time both forms and print their ratio."""
    chosen = options()
    device = usable_device(chosen.device)
    shape = NetworkConfig(width=chosen.width)
    config = TrainConfig(
        output=Path("unused"),
        data=DataConfig(Path("unused")),
        batch_size=chosen.batch,
        patch_size=chosen.patch,
        denoiser=shape,
        generator=shape,
        critic_width=chosen.critic_width,
        precision=chosen.precision,
        channels_last=True,
        compile=chosen.compile,
        updates=chosen.losses or 1,
    )
    print(
        f"{hardware(device)}; torch {torch.__version__}; {chosen.precision}, batch {chosen.batch}, "
        f"{chosen.patch} px"
    )
    if chosen.losses:
        compare_losses(config, device)
        return
    forms: dict[str, Callable[[], object]] = {}
    if chosen.only != "fast":
        plain = Plain(config, device)
        usual = [batch(replace(config, channels_last=False), device) for _ in range(CRITIC_UPDATES)]
        forms["plain"] = lambda: plain.step(usual)
    if chosen.only != "plain":
        state = TrainState.start(config, device)
        laid_out = [batch(config, device) for _ in range(CRITIC_UPDATES)]
        forms["fast"] = lambda: train_step(state, laid_out, None, config)
    times: dict[str, list[float]] = {name: [] for name in forms}
    for turn in range(chosen.rounds + 1):
        for name, work in forms.items():
            taken = seconds(work, device)
            if turn:  # the first one warms up
                times[name].append(taken)
    for name, taken in times.items():
        middle = statistics.median(taken)
        print(f"{name}: {middle:.3f} s an iteration, {1 / middle:.2f} iterations/s")
    if chosen.only:
        print(f"{chosen.only}: peak memory {peak(device):.2f} GiB")
    else:
        ratios = [p / f for p, f in zip(times["plain"], times["fast"], strict=True)]
        print(
            f"plain / fast: {statistics.median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"
        )


if __name__ == "__main__":
    main()
