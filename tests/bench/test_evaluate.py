"""Measuring methods and generators."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.io import loadmat, savemat

from danet import metrics
from danet.bench import benchmark_pairs, evaluate, evaluate_noise
from danet.bench.methods import Floats
from danet.data import Pixels
from danet.data.layouts import SourcePair
from danet.errors import ConfigError, DataError
from danet.networks import build
from danet.noise import WhiteGaussian
from danet.pretrained import NoiseGenerator


def random_blocks(seed: int, shape: Sequence[int] = (2, 3, 16, 12, 3)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def source(name: str, clean: Pixels, noisy: Pixels) -> SourcePair:
    return SourcePair(name, lambda: (clean, noisy))


def noised(seed: int) -> tuple[Pixels, Pixels]:
    clean = random_blocks(seed, (20, 25, 3)) // 2 + np.uint8(60)
    noise = np.random.default_rng(seed + 9).normal(0, 6, clean.shape)
    return clean, np.rint(clean + noise).clip(0, 255).astype(np.uint8)


PAIRS = [source(f"{seed}.png", *noised(seed)) for seed in range(2)]


def test_every_picture_and_method_is_measured() -> None:
    def darken(noisy: Floats) -> Floats:
        return np.multiply(noisy, 0.5, dtype=np.float32)

    report = evaluate(PAIRS, {"same": lambda noisy: noisy, "dark": darken}, {"dataset": "mine"})
    assert report.facts == {"pictures": 2, "dataset": "mine"}
    assert list(report.images) == ["0.png", "1.png"]
    for pair in PAIRS:
        clean, noisy = pair.read()
        scores = report.images[pair.name]
        assert list(scores) == ["noisy", "same", "dark"]
        expected = {"psnr": metrics.psnr(clean, noisy), "ssim": metrics.ssim(clean, noisy)}
        assert scores["noisy"] == expected
        assert {name: scores["same"][name] for name in expected} == pytest.approx(expected)
        assert scores["dark"]["psnr"] == metrics.psnr(clean, darken(noisy / np.float32(255)))
        assert scores["dark"]["seconds_per_megapixel"] > 0


def test_the_time_is_for_a_megapixel(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(100))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    report = evaluate(PAIRS, {"same": lambda noisy: noisy})
    assert report.means["same"]["seconds_per_megapixel"] == pytest.approx(1e6 / (20 * 25))


def test_nothing_to_measure_is_refused() -> None:
    with pytest.raises(DataError, match="no pairs"):
        evaluate([], {})


def test_the_real_pair_of_sidd(data_root: Path, tmp_path: Path) -> None:
    samples = data_root / "samples"
    clean = loadmat(samples / "sidd_gt.mat")["im_gt"]
    noisy = loadmat(samples / "sidd_noisy.mat")["im_noisy"]
    for name, picture in (("Gt", clean), ("Noisy", noisy)):
        key = f"Validation{name}BlocksSrgb"
        savemat(tmp_path / f"{key}.mat", {key: picture[None, None]})
    report = evaluate(benchmark_pairs("sidd-val", tmp_path), {})
    error = np.mean((clean.astype(float) - noisy) ** 2)
    assert report.means["noisy"]["psnr"] == pytest.approx(10 * np.log10(255**2 / error))


def test_generated_noise_is_measured() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        generator = NoiseGenerator(build("generator", "unet", width=2), device="cpu")
    report = evaluate_noise(PAIRS, generator, fakes=3, seed=5, facts={"weights": "mine"})
    assert report.facts == {"pictures": 2, "versions of each": 3, "weights": "mine"}
    for number, pair in enumerate(PAIRS):
        clean, noisy = (side / np.float32(255) for side in pair.read())
        fakes = list(generator.stream(clean, 3, 5 + number))
        scores = report.images[pair.name]
        noise = (noisy - clean) * 255
        made = [(fake - clean) * 255 for fake in fakes]
        assert scores["real"]["noise_std"] == pytest.approx(noise.std(), rel=1e-4)
        assert scores["real"]["noise_mean"] == pytest.approx(noise.mean(), rel=1e-3)
        generated = scores["generated"]
        assert generated["akld"] == pytest.approx(metrics.akld(clean, noisy, fakes))
        assert generated["kld"] == pytest.approx(metrics.kld(clean, noisy, fakes, preset="neca"))
        real = metrics.noise_statistics(clean, noisy)
        lags = [real.distances(metrics.noise_statistics(clean, f)).autocorrelation for f in fakes]
        assert generated["autocorrelation_distance"] == pytest.approx(np.mean(lags))
        assert generated["noise_std"] == pytest.approx(np.mean([n.std() for n in made]), rel=1e-4)
        assert generated["seconds_per_megapixel"] > 0
    with pytest.raises(ConfigError, match="fakes is 0"):
        evaluate_noise(PAIRS, generator, fakes=0)


class DarkensByTheFirstLevel:
    """A training whose denoiser takes away the first value of noise that it was shown."""

    about: Mapping[str, Any] = {"network": "none"}

    def __call__(self, pairs: Any, test_pairs: Any, seed: int) -> metrics.TrainedDenoiser:
        clean, noisy = pairs[0]
        step = int(noisy[0, 0, 0]) - int(clean[0, 0, 0]) + seed
        return metrics.TrainedDenoiser(lambda picture: np.clip(picture / 255 - step / 255, 0, 1))


def test_pgap_is_measured_where_there_are_pairs_to_train_on() -> None:
    experiment: dict[str, Any] = {"train": DarkensByTheFirstLevel(), "seeds": (0, 1)}
    generator = WhiteGaussian(0.1)
    report = evaluate_noise(PAIRS, generator, fakes=1, train_pairs=PAIRS[:1], **experiment)
    pairs = [pair.read() for pair in PAIRS]
    expected = metrics.pgap(generator, pairs[:1], pairs, **experiment)
    means = report.means["generated"]
    assert means["pgap"] == expected.value != 0
    assert (means["pgap_low"], means["pgap_high"]) == expected.interval
    assert '"network": "none"' in str(report.facts["PGap"])
