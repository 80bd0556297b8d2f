"""What several test modules use."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from danet.networks import build
from danet.weights import save_network

# Threads only get in the way of networks as small as these.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def seed() -> None:
    """Every test draws the same numbers in every run."""
    torch.manual_seed(0)


@pytest.fixture(autouse=True, scope="session")
def assets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What is converted is kept for the tests alone, and not in the user's cache."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("assets")
        patch.setenv("HF_ASSETS_CACHE", str(folder))
        patch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(folder))
        yield


@pytest.fixture(scope="session")
def golden_folder() -> Path:
    """Numbers of the authors' program, see its settings.json."""
    return Path(__file__).parent / "golden"


@pytest.fixture(scope="session")
def golden(golden_folder: Path) -> Callable[[str], dict[str, Tensor]]:
    """Loads the tensors of a golden file by its name without suffix."""
    return lambda name: load_file(golden_folder / f"{name}.safetensors")


@pytest.fixture(scope="session")
def tiny_weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with ``denoiser`` and ``generator``, width 2, depth 5, random weights.

    Shared by all tests: it must not be changed.
    """
    folder = tmp_path_factory.mktemp("tiny_weights")
    with torch.random.fork_rng():
        torch.manual_seed(0)
        save_network(build("denoiser", "unet", width=2), folder / "denoiser", "# For tests")
        save_network(build("generator", "unet", width=2), folder / "generator", "# For tests")
    return folder


@pytest.fixture(scope="session")
def data_root() -> Path:
    """The folder of real photographs that DANET_DATA names; without it, the test is skipped."""
    root = os.environ.get("DANET_DATA")
    if not root:
        pytest.skip("DANET_DATA names no folder of photographs")
    return Path(root)
