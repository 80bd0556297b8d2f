"""The check of counts and seeds, which all that draw share, and the one line of an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from danet import NoiseGenerator, metrics
from danet.augment import add_noise
from danet.bench.datasets import benchmark_pairs
from danet.bench.evaluate import evaluate_noise
from danet.bench.harmless import evaluate_harmless
from danet.errors import ConfigError, DanetError, ImageError, check_count, one_line, require
from danet.noise import WhiteGaussian

NO_COUNTS = [True, np.True_, 1.0, 1.5, float("nan"), "1", torch.tensor(1), [1], -1]
CLEAN = np.full((16, 16, 3), 0.5)
SOURCE = WhiteGaussian(0.05)


@pytest.mark.parametrize("value", [1, 2**70, np.uint8(3), np.int64(4)])
def test_whole_numbers_are_counts(value: object) -> None:
    check_count("n", value, 1)


@pytest.mark.parametrize("value", [*NO_COUNTS, None, 0])
def test_all_else_is_none(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^n is .*, and must be a whole number from 1$"):
        check_count("n", value, 1)


@pytest.mark.parametrize("value", NO_COUNTS, ids=repr)
def test_what_draws_takes_whole_numbers_alone(value: Any) -> None:
    pair = (CLEAN, CLEAN + 0.01)
    generator = NoiseGenerator()
    for call in (SOURCE.sample, SOURCE.stream, generator.sample, generator.stream):
        refused("n", call, CLEAN, value)
        refused("seed", call, CLEAN, 1, value)
    for measure in (metrics.akld, metrics.kld, metrics.akld_report):
        refused("n", measure, *pair, generator=SOURCE, n=value)
        refused("seed", measure, *pair, generator=SOURCE, n=2, seed=value)
        refused("seed", measure, [pair, pair], generator=SOURCE, n=2, seed=value)
    refused("seed", add_noise, CLEAN, SOURCE, seed=value)
    refused("seed", metrics.pgap, SOURCE, [pair], [pair], seeds=(0, value))
    refused("fakes", evaluate_noise, [], SOURCE, fakes=value)
    refused("seed", evaluate_noise, [], SOURCE, seed=value)
    refused("seed", evaluate_harmless, {}, seed=value)
    refused("seed", benchmark_pairs, "nam", Path(), seed=value)


def refused(name: str, call: Any, *arguments: Any, **settings: Any) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} is .*, and must be a whole number from"):
        call(*arguments, **settings)


@pytest.mark.parametrize("text", ["a\x1b[2Jb", "a\x00\u202eb", "a\udc80b", "a\r\n\tb"])
def test_a_line_cannot_write_to_the_terminal(text: str) -> None:
    line = one_line(ImageError(text))
    assert line.isprintable()
    assert line.startswith("a") and line.endswith("b")


@pytest.mark.parametrize("module", ["attic", "attic.roof"])
def test_a_missing_package_is_named_with_its_extra(module: str) -> None:
    with pytest.raises(ConfigError, match=r"^it needs attic: pip install 'danet\[data\]' \(No"):
        require(module, "data", "it")


def test_a_package_that_cannot_be_imported_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "brittle.py").write_text("raise RuntimeError('built for another PyTorch')")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError, match="built for another PyTorch"):
        require("brittle", "data", "a house")


@pytest.mark.parametrize("error", [DanetError, ConfigError, ImageError])
def test_a_message_is_printable_and_not_endless(error: type[DanetError]) -> None:
    message = str(error("no weights called '\x1b[31mred\n  \x9b' in  a folder"))
    assert message == "no weights called '\\x1b[31mred \\x9b' in  a folder"
    long = str(error("a" * 5000 + "b" * 5000))
    assert len(long) < 2100
    assert long.startswith("aaa")
    assert long.endswith("bbb")
    assert "[8000 more letters]" in long
