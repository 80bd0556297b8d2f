"""Training: Algorithm 1 of the paper, and every recipe that it or its program uses."""

from danet.train.config import (
    FakesConfig,
    LossConfig,
    NetworkConfig,
    OptimizerConfig,
    TrainConfig,
    ValidationConfig,
)
from danet.train.config_file import make_config, read_config
from danet.train.data_config import DataConfig, ExtraConfig, ScaledNoise
from danet.train.experiment import DenoiserTraining
from danet.train.loop import train, train_from_file
from danet.train.recipes import RECIPES
from danet.train.state import TrainState
from danet.train.step import train_step

__all__ = [
    "RECIPES",
    "DataConfig",
    "DenoiserTraining",
    "ExtraConfig",
    "FakesConfig",
    "LossConfig",
    "NetworkConfig",
    "OptimizerConfig",
    "ScaledNoise",
    "TrainConfig",
    "TrainState",
    "ValidationConfig",
    "make_config",
    "read_config",
    "train",
    "train_from_file",
    "train_step",
]
