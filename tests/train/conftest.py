"""A folder of small pairs, and a training run on them that takes a second."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from danet.noise import CameraPipeline
from danet.train import (
    DataConfig,
    ExtraConfig,
    NetworkConfig,
    OptimizerConfig,
    ScaledNoise,
    TrainConfig,
)


@pytest.fixture(scope="session")
def pairs_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    rng = np.random.default_rng(0)
    for index in range(3):
        clean = np.asarray(
            Image.fromarray(rng.integers(30, 220, (6, 6, 3), dtype=np.uint8)).resize((48, 48))
        )
        noisy = np.clip(clean + rng.normal(0, 8, clean.shape), 0, 255).astype(np.uint8)
        for side, picture in (("noisy", noisy), ("clean", clean)):
            (folder / side).mkdir(exist_ok=True)
            Image.fromarray(picture).save(folder / side / f"{index}.png")
    return folder


@pytest.fixture
def config(pairs_folder: Path, tmp_path: Path) -> TrainConfig:
    extra = (ExtraConfig(real=ScaledNoise(scale=(0.8, 1.5))), ExtraConfig(camera=CameraPipeline()))
    return TrainConfig(
        output=tmp_path / "run",
        data=DataConfig(root=pairs_folder, extra=extra),
        updates=4,
        critic_updates=2,
        batch_size=2,
        extra_size=2,
        patch_size=32,
        denoiser=NetworkConfig(width=2),
        generator=NetworkConfig(width=2),
        critic_width=2,
        seed=1,
        workers=0,
        checkpoint_every=2,
        log_every=1,
        device="cpu",
        optimizer=OptimizerConfig(schedule="cosine", warmup=2, average=0.9, clip=1.0),
    )
