from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from danet.errors import ConfigError
from danet.noise import DevelopedNoise, WhiteGaussian
from danet.train import (
    RECIPES,
    ExtraConfig,
    NetworkConfig,
    ScaledNoise,
    make_config,
    read_config,
)
from danet.train.made import Variety

ROOT = Path(__file__).parents[2]
SHALLOW = "[denoiser]\ndepth = 1\n[generator]\ndepth = 1\n"
MINIMAL = 'output = "run"\n[data]\nroot = "pairs"\n'


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults_are_the_papers(tmp_path: Path) -> None:
    config = read_config(write(tmp_path, MINIMAL))
    assert (config.batch_size, config.patch_size, config.critic_updates) == (16, 128, 3)
    assert config.critic_width == 64
    assert config.denoiser == config.generator == NetworkConfig("unet")
    loss, rates = config.loss, config.optimizer
    assert (loss.alpha, loss.tau_denoiser, loss.tau_generator, loss.penalty) == (0.5, 1e3, 10, 10)
    assert (rates.denoiser, rates.generator, rates.discriminator) == (1e-4, 1e-4, 2e-4)


def test_values_and_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PICTURES", "/pictures")
    text = 'output = "run"\nmode = "denoiser"\n[data]\nroot = "$PICTURES/x"\n'
    text += 'clean = ["${PICTURES}y"]\n'
    config = read_config(write(tmp_path, text))
    assert config.data.root == Path("/pictures/x")
    assert config.data.clean == (Path("/picturesy"),)
    assert config.mode == "denoiser"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('mode = "solo"\n' + MINIMAL, "mode"),
        ("updates = 0\n" + MINIMAL, "updates is 0"),
        ("extra_size = -1\n" + MINIMAL, "extra_size is -1"),
        ("patch_size = 100\n" + MINIMAL, "multiple of 16"),
        ("patch_size = 96\n" + MINIMAL, "patch_size is 96, and must be 8, 16"),
        ("patch_size = 4\n" + MINIMAL + SHALLOW, "patch_size is 4, and must be 8, 16"),
        ('updates = "many"\n' + MINIMAL, "updates"),
        ('output = "run"\n', "data"),
        ("output =\n", "not TOML"),
        ("data = 3\n", "data: "),
        (MINIMAL.replace("pairs", "$NOWHERE_SET/pairs"), "variable NOWHERE_SET is not set"),
        (MINIMAL.replace("pairs", "${NOWHERE_SET}"), "variable NOWHERE_SET is not set"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = write(tmp_path, text)
    with pytest.raises(ConfigError, match=message) as refused:
        read_config(path)
    assert str(refused.value).startswith(str(path))
    assert "Value error" not in str(refused.value)


@pytest.mark.parametrize(
    ("section", "key", "values", "right"),
    [
        ("", "updates", [0], "a whole number from 1"),
        ("", "critic_updates", [0], "a whole number from 1"),
        ("", "batch_size", [0], "a whole number from 1"),
        ("", "patch_size", [0], "a whole number from 1"),
        ("", "critic_width", [0], "a whole number from 1"),
        ("", "checkpoint_every", [0], "a whole number from 1"),
        ("", "log_every", [0], "a whole number from 1"),
        ("", "updates", ["true"], "a number"),
        ("optimizer", "warmup", ["false"], "a number"),
        ("", "extra_size", [-1], "a whole number from 0"),
        ("", "seed", [-1], "a whole number from 0"),
        ("", "workers", [-1], "a whole number from 0"),
        ("loss", "alpha", [-0.1, 1.1, "nan"], "from 0 to 1"),
        ("loss", "tau_denoiser", [-1.0, "inf", "nan"], "finite and at least 0"),
        ("loss", "tau_generator", [-1.0, "inf", "nan"], "finite and at least 0"),
        ("loss", "tau_correlation", [-1.0, "inf", "nan"], "finite and at least 0"),
        ("loss", "penalty", [-1.0, "inf", "nan"], "finite and at least 0"),
        ("optimizer", "denoiser", [-1.0, "inf", "nan"], "finite and at least 0"),
        ("", "critic_deviation", [[0.0], [-1.0], ["inf"], ["nan"]], "finite numbers above 0"),
        ("optimizer", "generator", [-1.0], "finite and at least 0"),
        ("optimizer", "discriminator", [-1.0], "finite and at least 0"),
        ("optimizer", "warmup", [-1], "a whole number from 0"),
        ("optimizer", "clip", [-1.0, "nan"], "finite and at least 0"),
        ("optimizer", "epoch", [0], "a whole number from 1"),
        ("", "accumulate", [0], "a whole number from 1"),
        ("data", "weights", [[0.0], [-1.0]], "finite numbers above 0"),
        ("optimizer", "average", [-0.1, 1.0, "nan"], "at least 0 and below 1"),
    ],
)
def test_numbers_out_of_range_are_named(
    tmp_path: Path, section: str, key: str, values: list[object], right: str
) -> None:
    for value in values:
        setting = f"{key} = {value}\n"
        text = MINIMAL if section else setting + MINIMAL
        text += setting if section == "data" else f"[{section}]\n{setting}" if section else ""
        path = write(tmp_path, text)
        with pytest.raises(ConfigError) as refused:
            read_config(path)
        name = f"{section}.{key}" if section else key
        message = str(refused.value)
        assert message.startswith(f"{path}: {name} is "), message
        assert f", and must be {right}" in message, message


@pytest.mark.parametrize("value", [True, 1.5, "1"])
def test_counts_are_whole_numbers(value: Any) -> None:
    config = make_config(output="run", data={"root": "pairs"})
    for name in ("updates", "seed", "workers"):
        with pytest.raises(ConfigError, match=f"{name} is {value}, and must be a whole number"):
            replace(config, **{name: value})


def test_the_ends_of_the_ranges_are_taken(tmp_path: Path) -> None:
    text = "seed = 0\nworkers = 0\nlog_every = 1\npatch_size = 8\n" + MINIMAL
    text += "[[data.extra]]\nreal = { scale = [1, 1] }\n"
    text += "[loss]\nalpha = 1\npenalty = 0\n[optimizer]\naverage = 0\ndenoiser = 0\n"
    text += SHALLOW
    assert read_config(write(tmp_path, text)).data.extra[0].real == ScaledNoise(scale=(1, 1))


def test_without_a_critic_a_patch_can_have_any_multiple(tmp_path: Path) -> None:
    text = 'patch_size = 96\nmode = "denoiser"\n' + MINIMAL
    assert read_config(write(tmp_path, text)).patch_size == 96


def test_comments_may_name_variables(tmp_path: Path) -> None:
    assert read_config(write(tmp_path, "# $NOWHERE_SET\n" + MINIMAL)).data.root == Path("pairs")


def test_a_file_that_never_ends(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"#" * (2**20 + 1))
    with pytest.raises(
        ConfigError,
        match=r"^[^:]*config\.toml is no configuration: it has more than 1048576 bytes$",
    ):
        read_config(path)


def test_a_file_that_is_not_text(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"output = '\xff'\n")
    with pytest.raises(ConfigError, match=r"config\.toml is not TOML: .*utf-8"):
        read_config(path)


@pytest.mark.parametrize(("key", "nested"), [("data = ", "["), ("data = ", "{a="), ("", "a.")])
def test_settings_that_are_nested_too_deep(tmp_path: Path, key: str, nested: str) -> None:
    deep = key + 9999 * nested + "a = 1"
    for text, changes in ((deep, []), (MINIMAL, [deep.replace(" ", "")])):
        with pytest.raises(ConfigError, match=r"config\.toml"):
            read_config(write(tmp_path, text), changes)


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml"):
        read_config(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in ("docs/recipes", "examples")
        for path in sorted((ROOT / folder).glob("*.toml"))
    ],
    ids=str,
)
def test_the_recipes_are_valid(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DANET_DATA", "pictures")
    read_config(path)


def test_a_recipe_is_changed_by_the_file_and_that_by_the_command(tmp_path: Path) -> None:
    path = write(tmp_path, 'recipe = "danet-plus"\n' + MINIMAL + '[fakes]\ngenerator = "photo"\n')
    config = read_config(path, ["optimizer.denoiser=1e-3", "data.clean=['more']", "device=cpu"])
    assert (config.mode, config.batch_size, config.loss.reduction) == ("denoiser", 32, "sum")
    assert (config.real_size, config.more_size) == (26, 6)
    assert config.optimizer.denoiser == 1e-3
    assert config.optimizer.schedule == "program-plus"
    assert config.data.clean == (Path("more"),)
    assert config.device == "cpu"


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_a_configuration(name: str) -> None:
    roots = ["a", "b", "c"] if name.startswith("g") and "danet" in name else "a"
    own = {"fakes": {"generator": "photo"}} if name.endswith("-plus") else {}
    config = make_config(name, output="run", data={"root": roots}, **own)
    assert config.updates == 70 * config.optimizer.epoch
    assert config.networks


@pytest.mark.parametrize(
    ("text", "changes", "message"),
    [
        (
            'recipe = "danetplus"\n' + MINIMAL,
            (),
            "no recipe .* mean 'danet-plus'",
        ),
        ("updats = 3\n" + MINIMAL, (), "updats: there is no such setting; did you mean 'updates'?"),
        (MINIMAL + "frams = true\n", (), "data.frams: .* did you mean 'frames'?"),
        (MINIMAL, ["loss.tau=3"], "loss.tau: there is no such setting; there are alpha, error"),
        (MINIMAL, ["updates"], "'updates' is no setting"),
        (MINIMAL, ["fakes.generator=photo"], 'fakes need mode = "denoiser"'),
        (MINIMAL, ["accumulate=3"], "accumulate is 3, which does not divide the 16 pairs"),
        (MINIMAL, ["data.weights=[1, 2]"], "data.weights has 2 numbers, and must have one for"),
        (MINIMAL, ["data.root=[]"], "data.root is empty"),
        (MINIMAL, ["optimizer.clip=much"], "optimizer.clip"),
        (MINIMAL, ["extra_size=4"], "extra_size is 4, and data.extra must name a source"),
        (MINIMAL, ["data.extra=[{}]"], "data.extra has no source in one entry, .* one of real, "),
        (MINIMAL, ["data.extra=[{real={}, camera={}}]"], "data.extra has real and camera in one"),
        (MINIMAL, ["data.extra=[{share=0, real={}}]"], "data.extra.share is 0.*finite and above 0"),
        (MINIMAL, ["data.extra=[{real={scale=[2, 1]}}]"], "data.extra.real.scale is .*two finite"),
        (MINIMAL, ["data.extra=[{real={scal=1}}]"], "data.extra.0.real.scal: .* mean 'scale'"),
        (MINIMAL, ["data.extra=[{gaussian={}}]"], "data.extra.0.gaussian.deviation"),
        (MINIMAL, ["denoiser.width=0"], "denoiser: the width is 0, and must be from 1 to 1024"),
        (MINIMAL, ["generator.depth=13"], "generator: the depth is 13, and must be from 1 to 12"),
        (MINIMAL, ["denoiser.backbone=nafnett"], "denoiser: .* did you mean 'nafnet'"),
    ],
)
def test_mistakes_are_named_with_what_would_be_right(
    tmp_path: Path, text: str, changes: list[str], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        read_config(write(tmp_path, text), changes)


def test_sources_of_extra_pairs(tmp_path: Path) -> None:
    text = MINIMAL + "[[data.extra]]\nshare = 3\ndeveloped = { phones = 0.5 }\n"
    text += "variety = { soft = 0.1 }\n[[data.extra]]\ngaussian = { deviation = 0.1 }\n"
    developed, gaussian = read_config(write(tmp_path, text)).data.extra
    expected = DevelopedNoise(phones=0.5)
    assert developed == ExtraConfig(share=3, developed=expected, variety=Variety(soft=0.1))
    assert (developed.noise, gaussian.noise) == (expected, WhiteGaussian(0.1))
