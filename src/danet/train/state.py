"""The networks of a run, their optimisers and averages."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, field
from typing import Any, Generic, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from danet import weights
from danet.networks import DenoiserNetwork, Discriminator, GeneratorNetwork, build
from danet.train.config import TrainConfig
from danet.train.distribution import Team
from danet.train.optimizers import build_optimizer

__all__ = ["Learner", "Losses", "Pairs", "TrainState"]

Pairs = tuple[Tensor, ...]
"""Clean and noisy patches, each N x 3 x H x W; by level, also the N levels of their pictures."""
Losses = dict[str, Tensor]
Betas = tuple[float, float]

_NetworkT = TypeVar("_NetworkT", DenoiserNetwork, GeneratorNetwork, Discriminator)


@dataclass
class Learner(Generic[_NetworkT]):
    """A network, its optimiser and, if wanted, the running average of its weights.

    ``norms`` is the sum of the gradient's norms in this epoch, and the least mean of those before.
    """

    network: _NetworkT
    optimizer: torch.optim.Optimizer
    average: AveragedModel | None
    norms: Tensor

    def descend(self, parts: Iterable[Losses], team: Team, clip: float | Tensor = 0.0) -> Losses:
        """One step down the gradient of the mean of the losses of a batch's parts.

        Args:
            parts: the terms of each part's loss; computed one after the other, if lazy.
            team: the processes that see other pairs of the same batch.
            clip: largest norm of the gradient; 0 is none.

        Returns:
            The means of the terms, and the ``"gradient_norm"`` before clipping.
        """
        self.optimizer.zero_grad(set_to_none=True)
        parameters = list(self.network.parameters())
        means: Losses = {}
        count = 0
        for losses in parts:
            count += 1
            losses["loss"].backward()
            for term, value in losses.items():
                means[term] = means.get(term, 0) + value.detach()
        if count > 1:
            for parameter in parameters:
                if parameter.grad is not None:
                    parameter.grad /= count
        team.average_gradients(parameters)
        limit = clip if isinstance(clip, Tensor) or clip else torch.inf
        norm = nn.utils.clip_grad_norm_(parameters, cast(float, limit))
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.network)
        return {**{term: value / count for term, value in means.items()}, "gradient_norm": norm}

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Start from these weights."""
        self.network.load_state_dict(weights)
        if self.average is not None:
            self.average.module.load_state_dict(weights)

    @property
    def averaged(self) -> _NetworkT:
        """The network with the averaged weights; the network itself where no average is kept."""
        return self.network if self.average is None else cast(_NetworkT, self.average.module)


@dataclass
class TrainState:
    """All that changes while training: up to three learners and the number of updates done.

    ``fakes`` is the generator that makes pairs for the denoiser, which does not learn.
    """

    denoiser: Learner[DenoiserNetwork] | None = None
    generator: Learner[GeneratorNetwork] | None = None
    discriminator: Learner[Discriminator] | None = None
    fakes: GeneratorNetwork | None = None
    update: int = 0
    team: Team = field(default_factory=Team)

    @classmethod
    def start(
        cls,
        config: TrainConfig,
        device: torch.device | str = "cpu",
        team: Team | None = None,
        levels: Sequence[float] = (),
    ) -> TrainState:
        """Begin a run with random networks, the same for the same seed.

        Args:
            config: the run.
            device: where the networks shall lie.
            team: the processes that train together; by default this one alone.
            levels: of the generator, as it takes them.

        Raises:
            WeightsError: the generator of ``config.fakes`` cannot be loaded.
        """
        rates = config.optimizer

        def learner(
            network: _NetworkT, rate: float, betas: Betas, average: float
        ) -> Learner[_NetworkT]:
            _lay_out(network, config, device)
            ema = get_ema_multi_avg_fn(average)
            averaged = AveragedModel(network, multi_avg_fn=ema) if average else None
            # The critic's gradient penalty needs second derivatives, which compiling lacks.
            if config.compile and not isinstance(network, Discriminator):
                network.compile()
            optimizer = build_optimizer(network, rates, rate, betas)
            norms = torch.tensor([0.0, torch.inf], device=device)
            return Learner(network, optimizer, averaged, norms)

        state = cls(team=team or Team())
        average = rates.average
        # The weights are drawn on the CPU; the caller's random numbers stay as they are.
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(config.seed)
            if "denoiser" in config.networks:
                denoiser = build("denoiser", *astuple(config.denoiser))
                state.denoiser = learner(denoiser, rates.denoiser, (0.9, 0.999), average)
            if "discriminator" in config.networks:
                shape = config.critic_width, config.patch_size, config.critic_deviation
                critic = Discriminator(*shape)
                state.discriminator = learner(critic, rates.discriminator, (0.5, 0.9), 0.0)
            if "generator" in config.networks:
                generator = build("generator", **asdict(config.generator), levels=levels)
                state.generator = learner(generator, rates.generator, (0.5, 0.9), average)
        if config.fakes:
            loaded = weights.load(config.fakes.generator, "generator")
            state.fakes = cast(GeneratorNetwork, _lay_out(loaded, config, device))
        return state

    def learners(self) -> dict[str, Learner[Any]]:
        """The learners there are, by name."""
        named = {
            "denoiser": self.denoiser,
            "generator": self.generator,
            "discriminator": self.discriminator,
        }
        return {name: learner for name, learner in named.items() if learner is not None}


def _lay_out(network: nn.Module, config: TrainConfig, device: torch.device | str) -> nn.Module:
    layout = torch.channels_last if config.channels_last else torch.preserve_format
    # The stubs of torch lack the form of `to` that lays out modules.
    network.to(device, memory_format=layout)  # type: ignore[call-overload]
    return network
