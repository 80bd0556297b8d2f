"""Training: Algorithm 1 of the paper, and the denoiser alone with the absolute error."""

from danet.train.config import (
    DataConfig,
    LossConfig,
    OptimizerConfig,
    TrainConfig,
    read_config,
)
from danet.train.loop import train, train_from_file
from danet.train.step import TrainState, train_step

__all__ = [
    "DataConfig",
    "LossConfig",
    "OptimizerConfig",
    "TrainConfig",
    "TrainState",
    "read_config",
    "train",
    "train_from_file",
    "train_step",
]
