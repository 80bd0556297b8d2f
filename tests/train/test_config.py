from __future__ import annotations

from pathlib import Path

import pytest

from danet.errors import ConfigError
from danet.train import read_config

MINIMAL = 'output = "run"\n[data]\nroot = "pairs"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, MINIMAL))
    assert (config.batch_size, config.patch_size, config.critic_updates) == (16, 128, 3)
    assert (config.width, config.depth, config.critic_width) == (32, 5, 64)
    loss, rates = config.loss, config.optimizer
    assert (loss.alpha, loss.tau_denoiser, loss.tau_generator, loss.penalty) == (0.5, 1e3, 10, 10)
    assert (rates.denoiser, rates.generator, rates.discriminator) == (1e-4, 1e-4, 2e-4)


def test_values_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTURES", "/pictures")
    text = 'output = "run"\nmode = "denoiser"\n[data]\nroot = "$PICTURES/x"\nstrength = [1, 2]\n'
    config = read_config(write(tmp_path, text))
    assert config.data.root == Path("/pictures/x")
    assert config.data.strength == (1, 2)
    assert config.mode == "denoiser"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (MINIMAL + "frams = true\n", "data.frams"),
        ("updats = 3\n" + MINIMAL, "updats"),
        ('mode = "solo"\n' + MINIMAL, "mode"),
        ("updates = 0\n" + MINIMAL, "updates is 0"),
        ("extra_size = -1\n" + MINIMAL, "extra_size is -1"),
        ("patch_size = 100\n" + MINIMAL, "multiple of 16"),
        ('updates = "many"\n' + MINIMAL, "updates"),
        ('output = "run"\n', "data"),
        ("output =\n", "not TOML"),
        (MINIMAL.replace("pairs", "$NOWHERE_SET/pairs"), "NOWHERE_SET is not set"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path, text))


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "docs" / "recipes").glob("*.toml")), ids=str
)
def test_the_recipes_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANET_DATA", "pictures")
    read_config(path)
