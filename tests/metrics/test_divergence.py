from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from scipy import ndimage
from torch import Tensor

from danet import data, metrics
from danet.errors import ConfigError, DanetWarning, ImageError
from danet.metrics import AKLD_PRESETS, KLD_PRESETS
from danet.noise import CameraPipeline

GOLDEN = Path(__file__).parents[1] / "golden"
TAPS = np.array([1, 3.5, 7, 9, 7, 3.5, 1]) / 32


@pytest.fixture(scope="module")
def golden() -> dict[str, Tensor]:
    return load_file(GOLDEN / "metrics.safetensors")


@pytest.fixture
def pair() -> tuple[Any, Any, Any]:
    """A clean picture, a real noisy one and a generated one: float64, H x W x 3."""
    rng = np.random.default_rng(0)
    clean = ndimage.gaussian_filter(rng.normal(0, 2, (70, 66, 3)), (4, 4, 0)) + 0.5
    clean = clean.clip(0.2, 0.8)
    deviation = 0.02 + 0.05 * clean
    real, fake = (clean + scale * deviation * rng.normal(0, 1, clean.shape) for scale in (1, 1.3))
    return clean, real, fake


def noisy_generator(scale: float = 1) -> Callable[[Any], Any]:
    rng = np.random.default_rng(1)
    return lambda x: x + scale * (0.02 + 0.05 * x) * rng.normal(0, 1, x.shape)


def test_akld_agrees_with_the_authors(golden: dict[str, Tensor]) -> None:
    score = metrics.akld(golden["clean"], golden["real"], golden["fakes"][:, None])
    assert score == pytest.approx(float(golden["akld"]), rel=1e-5)


def test_akld_of_each_fake_agrees_with_the_authors(golden: dict[str, Tensor]) -> None:
    scores = [
        metrics.akld(golden["clean"], golden["real"], [fake[None]]) for fake in golden["fakes"]
    ]
    assert scores == pytest.approx(golden["kl_per_fake"].tolist(), rel=1e-5)


def test_akld_clamps_the_fakes(golden: dict[str, Tensor]) -> None:
    clean, real, fake = (golden[name] for name in ("clean", "real", "fakes"))
    beyond = fake[:1] + 1
    assert metrics.akld(clean, real, [beyond]) == metrics.akld(clean, real, [beyond.clamp(0, 1)])


def test_akld_takes_every_kind_of_picture(golden: dict[str, Tensor]) -> None:
    clean, real, fake = (
        golden[name][0].permute(1, 2, 0).numpy() for name in ("clean", "real", "fakes")
    )
    expected = metrics.akld(golden["clean"], golden["real"], golden["fakes"][:1, None])
    assert metrics.akld(clean, real, [fake]) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize(
    ("measure", "other"),
    [
        (metrics.psnr, torch.zeros(3, 16, 17)),
        (metrics.ssim, torch.zeros(3, 17, 16)),
        (lambda x, y: metrics.akld(x, x, [y]), torch.zeros(3, 16, 17)),
    ],
)
def test_sizes_must_agree(measure: Any, other: Tensor) -> None:
    with pytest.raises(ImageError, match="differ in size"):
        measure(torch.zeros(3, 16, 16), other)


def test_no_fakes() -> None:
    picture = torch.zeros(3, 16, 16)
    with pytest.raises(ImageError, match="no fakes"):
        metrics.akld(picture, picture, [])


def variance(clean: Any, noisy: Any) -> Any:
    squares = (noisy.clip(0, 1) - clean) ** 2
    for axis in (0, 1):
        squares = ndimage.correlate1d(squares, TAPS, axis=axis, mode="mirror")
    return squares.clip(1e-10)


def divergence(clean: Any, noisy: Any, fake: Any, low: float = 0.1, high: float = 10) -> float:
    ratio = (variance(clean, fake) / variance(clean, noisy)).clip(low, high)
    return float((ratio - 1 - np.log(ratio)).mean() / 2)


def in_8_bits(picture: Any) -> Any:
    return np.rint(picture.clip(0, 1) * 255) / 255


def test_akld_by_another_implementation(pair: tuple[Any, Any, Any]) -> None:
    clean, real, fake = pair
    assert metrics.akld(clean, real, [fake]) == pytest.approx(
        divergence(clean, real, fake), rel=1e-5
    )
    assert metrics.akld(clean, real, [clean], preset="unclamped") == pytest.approx(
        divergence(clean, real, clean, 0, np.inf), rel=1e-4
    )
    assert metrics.akld(clean, real, [fake], preset="rounded") == pytest.approx(
        divergence(*map(in_8_bits, pair)), rel=1e-4
    )
    corners = [np.s_[y : y + 32, x : x + 32] for y in (0, 32) for x in (0, 32)]
    assert metrics.akld(clean, real, [fake], preset="patches") == pytest.approx(
        np.mean([divergence(*(picture[corner] for picture in pair)) for corner in corners]),
        rel=1e-5,
    )
    assert metrics.akld(clean, real, [fake, real], preset="single") == metrics.akld(
        clean, real, [fake]
    )


def test_the_presets_of_akld_differ(pair: tuple[Any, Any, Any]) -> None:
    clean, real, fake = pair
    fakes = [fake, clean]
    assert len({metrics.akld(clean, real, fakes, preset=name) for name in AKLD_PRESETS}) == 5


def test_akld_of_no_noise_is_what_the_limit_makes_it(pair: tuple[Any, Any, Any]) -> None:
    clean, real, _ = pair
    assert metrics.akld(clean, real, [clean]) == pytest.approx((0.1 - 1 - np.log(0.1)) / 2)


class Streams:
    """What a NoiseGenerator offers, and what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, int, int]] = []

    def stream(self, clean: Any, n: int, seed: int) -> Any:
        self.asked.append((clean, n, seed))
        rng = np.random.default_rng(seed)
        return (clean + 0.03 * rng.normal(0, 1, clean.shape) for _ in range(n))


class Samples(Streams):
    stream = None  # type: ignore[assignment]

    def sample(self, clean: Any, n: int, seed: int) -> Any:
        return np.stack(list(Streams.stream(self, clean, n, seed)))


del Samples.stream


@pytest.mark.parametrize("kind", [Streams, Samples])
@pytest.mark.parametrize("measure", [metrics.akld, metrics.kld])
def test_what_makes_the_fakes(measure: Any, kind: Any, pair: tuple[Any, Any, Any]) -> None:
    clean, real, _ = pair
    expected = measure(clean, real, Streams().stream(clean, 3, 5))
    generator = kind()
    assert measure(clean, real, generator, 3, 5) == expected
    assert measure(clean, real, generator=generator, n=3, seed=5) == expected
    assert [call[1:] for call in generator.asked] == [(3, 5), (3, 5)]
    fakes = Streams().stream(clean, 3, 5)
    assert measure(clean, real, lambda x: next(fakes), n=3) == expected


def test_fakes_are_not_made_in_8_bits(pair: tuple[Any, Any, Any]) -> None:
    clean, real = ((picture.clip(0, 1) * 255).astype(np.uint8) for picture in pair[:2])
    for x, y in ((clean, real), (Image.fromarray(clean), Image.fromarray(real))):
        generator = Streams()
        metrics.akld(x, y, generator, n=1)
        ((given, _, _),) = generator.asked
        assert given.dtype == np.float32
        np.testing.assert_allclose(given, clean / 255, rtol=1e-6)


def test_a_noise_model_of_danet(pair: tuple[Any, Any, Any]) -> None:
    clean, real, _ = pair
    first, other, same = (
        metrics.akld(clean, real, CameraPipeline(), n=2, seed=seed) for seed in (1, 2, 1)
    )
    assert first == same != other


@pytest.mark.parametrize("measure", [metrics.akld, metrics.kld])
def test_a_data_set_of_several_sizes(measure: Any, pair: tuple[Any, Any, Any]) -> None:
    clean, real, _ = pair
    pairs = [(clean, real), (clean[:40, :50], real[:40, :50])]
    alone = [measure(x, y, Streams(), 2, seed) for seed, (x, y) in enumerate(pairs, start=7)]
    found = measure(iter(pairs), generator=Streams(), n=2, seed=7)
    assert found == pytest.approx(np.mean(alone), rel=1e-12)
    with pytest.raises(ImageError, match="no pairs"):
        measure([], generator=Streams())


@pytest.mark.parametrize("measure", [metrics.akld, metrics.kld])
def test_a_batch_has_the_mean_of_its_pictures(measure: Any) -> None:
    clean = torch.full((3, 3, 40, 40), 0.5)
    strength = torch.tensor([0.01, 0.02, 0.05]).reshape(3, 1, 1, 1)
    noisy = clean + 0.02 * torch.randn(clean.shape)
    fake = clean + strength * torch.randn(clean.shape)
    scores = [measure(*rows, [row]) for *rows, row in zip(clean, noisy, fake, strict=True)]
    assert measure(clean, noisy, [fake]) == pytest.approx(np.mean(scores), rel=1e-5)
    assert len(set(scores)) == 3


@pytest.mark.parametrize("measure", [metrics.akld, metrics.kld])
def test_half_precision(measure: Any, pair: tuple[Any, Any, Any]) -> None:
    clean, real, fake = (torch.from_numpy(x).permute(2, 0, 1) for x in pair)
    expected = measure(clean, real, [fake])
    assert measure(clean.half(), real.half(), [fake.half()]) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("measure", [metrics.akld, metrics.kld])
@pytest.mark.parametrize(
    ("arguments", "settings", "message"),
    [
        (2, {}, "give either fakes or a generator"),
        (3, {"generator": Streams()}, "give either fakes or a generator"),
        (1, {"fakes": [None]}, "a data set, which has no noisy, needs a generator"),
        (1, {"generator": Streams()}, "noisy is missing"),
        (2, {"generator": Streams(), "n": 0}, "n is 0"),
        (2, {"fakes": 3}, "fakes come from int"),
        (3, {"preset": "neither"}, "preset is 'neither', and must be one of"),
    ],
)
def test_arguments_of_no_use(
    measure: Any,
    arguments: int,
    settings: dict[str, Any],
    message: str,
    pair: tuple[Any, Any, Any],
) -> None:
    clean, real, fake = pair
    with pytest.raises(ConfigError, match=message):
        measure(*(clean, real, [fake])[:arguments], **settings)


def test_sizes_must_agree_and_suffice() -> None:
    small, tiny = torch.zeros(3, 4, 4), torch.zeros(3, 16, 3)
    assert metrics.akld(small, small, [small]) == 0
    with pytest.raises(ImageError, match="differ in size"):
        metrics.akld(small, small, [tiny])
    with pytest.raises(ImageError, match="16 x 3 is too small: AKLD needs 4 pixels"):
        metrics.akld(tiny, tiny, [tiny])
    with pytest.raises(ImageError, match="4 x 4 is too small: AKLD in patches needs 32"):
        metrics.akld(small, small, [small], preset="patches")


@pytest.mark.parametrize("blur", [0, 0.7])
def test_the_floor_is_what_a_second_shot_scores(blur: float) -> None:
    rng = np.random.default_rng(0)
    clean = np.full((160, 160, 3), 0.5)
    white = rng.normal(0, 0.03, (2, *clean.shape))
    real, second = clean + ndimage.gaussian_filter(white, (0, blur, blur, 0))
    report = metrics.akld_report(clean, real, [second], n=3, second=second)
    assert report.score == report.second
    assert report.floor == pytest.approx(report.score, rel=0.15)
    # It copies what is chance in this very shot.
    assert 0 < report.gaussian < report.floor < report.no_noise
    assert report.no_noise == metrics.akld(clean, real, [clean])
    if blur == 0:
        assert 0.03 < report.floor < 0.05


def test_a_report_of_a_data_set(pair: tuple[Any, Any, Any]) -> None:
    clean, real, _ = pair
    pairs = [(clean, real), (clean[:40], real[:40])]
    alone = [metrics.akld_report(x, y, Streams(), 2, seed) for seed, (x, y) in enumerate(pairs)]
    report = metrics.akld_report(pairs, generator=Streams(), n=2)
    for name in ("score", "floor", "gaussian", "no_noise"):
        expected = np.mean([getattr(one, name) for one in alone])
        assert getattr(report, name) == pytest.approx(expected), name
    assert report.second is None
    with pytest.raises(ConfigError, match="second is given with a data set"):
        metrics.akld_report(pairs, generator=Streams(), second=real)


def histogram_divergence(real: Any, fake: Any, edges: Any, added: int) -> float:
    p, q = (np.histogram(values, edges)[0] + added for values in (real, fake))
    p, q = (counts / (real.size + added * len(counts)) for counts in (p, q))
    both = (p > 0) & (q > 0)
    return float(np.sum(p[both] * np.log(p[both] / q[both])))


NARROW = np.concatenate([[-1000], np.arange(-0.1, 0.1 + 1e-9, 0.2 / 64), [1000]])


@pytest.mark.parametrize(
    ("preset", "edges", "scale", "added"),
    [
        ("noise_flow", NARROW, 255, 0),
        ("neca", NARROW, 255, 0),
        ("kousha", np.arange(-260, 261, 4), 1, 1),
        ("naflow", np.linspace(-1, 1, 257), 255, 0),
    ],
)
def test_kld_by_another_implementation(
    preset: str, edges: Any, scale: int, added: int, pair: tuple[Any, Any, Any]
) -> None:
    clean, real, fake = (np.rint(picture.clip(0, 1) * 255) for picture in pair)
    expected = histogram_divergence((real - clean) / scale, (fake - clean) / scale, edges, added)
    first, second, third = (picture.astype(np.uint8) for picture in (clean, real, fake))
    assert metrics.kld(first, second, [third], preset=preset) == pytest.approx(expected)
    first, second, third = (picture / 255 for picture in (clean, real, fake))
    assert metrics.kld(first, second, [third], preset=preset) == pytest.approx(expected)
    assert expected > 0.01


def test_kld_of_floats(pair: tuple[Any, Any, Any]) -> None:
    clean, real, fake = (picture.clip(0, 1) for picture in pair)
    expected = histogram_divergence(real - clean, fake - clean, NARROW, 0)
    assert metrics.kld(clean, real, [fake]) == pytest.approx(expected, rel=1e-3)
    clean, real, fake = (in_8_bits(picture) for picture in pair)
    rounded = metrics.kld(clean, real, [fake], preset="neca")
    assert metrics.kld(*pair[:2], fakes=[pair[2]], preset="neca") == rounded


@pytest.mark.parametrize("preset", ["noise_flow", "kousha", "naflow"])
def test_floats_in_8_bit_bins_are_warned_of(preset: str) -> None:
    rng = np.random.default_rng(0)
    clean = np.full((64, 64, 3), 128 / 255)
    real, fake = clean + rng.normal(0, 2 / 255, (2, *clean.shape))
    rounded = metrics.kld(clean, in_8_bits(real), [in_8_bits(fake)], preset=preset)
    with pytest.warns(DanetWarning, match="real noise lies on whole 8-bit levels and the gen"):
        mixed = metrics.kld(clean, in_8_bits(real), [fake], preset=preset)
    assert mixed > 5 * rounded
    with pytest.warns(DanetWarning, match="the generated on whole 8-bit levels"):
        metrics.kld(clean, real, [in_8_bits(fake)], preset=preset)


def test_bins_of_whole_levels_are_not_for_floats(pair: tuple[Any, Any, Any]) -> None:
    clean, real, fake = pair
    for preset, form in KLD_PRESETS.items():
        if form.whole_levels and not form.rounding:
            with pytest.warns(DanetWarning, match="between 8-bit levels"):
                metrics.kld(clean, real, [fake], preset=preset)
        else:
            metrics.kld(clean, real, [fake], preset=preset)  # a warning would be an error


def test_real_photographs(data_root: Path) -> None:
    part = np.s_[100:260, 100:260]
    for pair in data.polyu_pairs(data_root / "polyu", "val")[::20]:
        clean, noisy = (side[part] for side in data.read_pair(pair))
        report = metrics.akld_report(clean, noisy, noisy_generator(0.1), n=2)
        assert 0 < report.floor < report.score
        assert metrics.kld(clean, noisy, [noisy], preset="kousha") == 0
        assert metrics.kld(clean, noisy, [255 - noisy], preset="kousha") > 1
