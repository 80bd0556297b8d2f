from __future__ import annotations

import importlib
import pickle
import socket
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from danet import metrics
from danet.errors import ConfigError, DanetError, ImageError

pytest.importorskip("torchmetrics")
classes = importlib.import_module("danet.metrics.classes")

# Unequal batches, so that a mean of their means is not the mean.
PARTS = (slice(0, 3), slice(3, 4), slice(4, 6))


def pictures() -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    clean = torch.rand(6, 3, 24, 24) * 0.6 + 0.2
    strength = torch.linspace(0.01, 0.1, 6).reshape(6, 1, 1, 1)
    noisy, fake = (clean + s * torch.randn(clean.shape) for s in (0.03, strength))
    return clean, noisy, fake


def arguments(metric: Any, part: slice, dtype: torch.dtype = torch.float32) -> tuple[Any, ...]:
    clean, noisy, fake = (batch[part].to(dtype) for batch in pictures())
    return (fake, clean) if isinstance(metric, classes.PSNR) else (clean, noisy, [fake])


def update(metric: Any, part: slice) -> None:
    metric.update(*arguments(metric, part))


def cases() -> list[tuple[Any, float]]:
    """Each class with what its function says of all pictures."""
    clean, noisy, fake = pictures()
    return [
        (classes.PSNR(), metrics.psnr(clean, fake)),
        (classes.PSNR("y", border=2), metrics.psnr(clean, fake, "y", border=2)),
        (classes.SSIM("matlab3d"), metrics.ssim(clean, fake, "matlab3d")),
        (classes.AKLD("unclamped"), metrics.akld(clean, noisy, [fake], preset="unclamped")),
        (classes.KLD("neca"), metrics.kld(clean, noisy, [fake], preset="neca")),
    ]


NUMBER = len(cases())


@pytest.mark.parametrize("index", range(NUMBER))
def test_batches_have_the_result_of_the_whole(index: int) -> None:
    metric, expected = cases()[index]
    for part in PARTS:
        update(metric, part)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)
    copy = pickle.loads(pickle.dumps(metric))
    assert copy.compute().item() == metric.compute().item()
    metric.reset()
    update(metric, PARTS[1])
    assert metric.compute().item() != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("index", range(NUMBER))
def test_parts_are_reduced_to_the_whole(index: int) -> None:
    metric, expected = cases()[index]
    other = cases()[index][0]
    update(metric, PARTS[0])
    for part in PARTS[1:]:
        update(other, part)
    metric.merge_state(other)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)


def work(rank: int, port: int, folder: Path) -> None:
    """Two processes: one has two of the batches, the other has the third."""
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo",
        init_method=f"tcp://127.0.0.1:{port}",
        rank=rank,
        world_size=2,
        timeout=timedelta(seconds=60),
    )
    found = []
    for metric, _ in cases():
        for part in PARTS[rank::2]:
            update(metric, part)
        found.append(metric.compute().item())
        # Each step over all processes: the mean of the first two batches.
        metric.reset()
        metric.dist_sync_on_step = True
        found.append(metric(*arguments(metric, PARTS[rank])).item())
    torch.save(found, folder / f"{rank}.pt")
    dist.destroy_process_group()


@pytest.mark.slow
def test_two_processes_have_the_result_of_one(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(work, (port, tmp_path), nprocs=2)
    expected = []
    for metric, score in cases():
        for part in PARTS[:2]:
            update(metric, part)
        expected += [score, metric.compute().item()]
    for rank in range(2):
        assert torch.load(tmp_path / f"{rank}.pt") == pytest.approx(expected, rel=1e-5)


def test_single_pictures_and_a_generator() -> None:
    clean, noisy, _ = pictures()
    metric = classes.AKLD()
    for seed, (x, y) in enumerate(zip(clean, noisy, strict=True)):
        metric.update(x.numpy().transpose(1, 2, 0), y.numpy().transpose(1, 2, 0), Fixed(), 2, seed)
    pairs = zip(clean, noisy, strict=True)
    expected = metrics.akld(pairs, generator=Fixed(), n=2)
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)


class Fixed:
    """Noise that does not depend on the axes' order."""

    def stream(self, clean: Any, n: int, seed: int) -> Any:
        return (clean * 0.9 + 0.01 * (seed + index) for index in range(n))


# What MetricTester, the harness of torchmetrics' own tests, asks of a class.
@pytest.mark.parametrize("index", range(NUMBER))
def test_forward_gives_the_batch_and_counts_it(index: int) -> None:
    metric, expected = cases()[index]
    for part in PARTS:
        alone = cases()[index][0]
        update(alone, part)
        of_the_batch = metric(*arguments(metric, part))
        assert torch.equal(of_the_batch, alone.compute())
        assert not of_the_batch.requires_grad
    assert metric.compute().item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("index", range(NUMBER))
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision(index: int, dtype: torch.dtype) -> None:
    metric, _ = cases()[index]
    found = metric(*arguments(metric, slice(0, 6), dtype))
    assert found.dtype == torch.float32
    rounded = cases()[index][0]
    given = arguments(rounded, slice(0, 6), dtype)
    whole = [part.float() if isinstance(part, Tensor) else [part[0].float()] for part in given]
    assert found.item() == pytest.approx(rounded(*whole).item(), rel=1e-4)


@pytest.mark.parametrize("index", range(NUMBER))
def test_a_class_keeps_the_rules_of_a_metric(index: int) -> None:
    metric, _ = cases()[index]
    update(metric, PARTS[0])
    for name in ("is_differentiable", "higher_is_better"):
        with pytest.raises(RuntimeError, match="const"):
            setattr(metric, name, True)
    assert metric.state_dict() == {}  # a checkpoint of a model has no scores in it
    copy = metric.clone()
    assert type(copy) is type(metric)
    assert copy is not metric
    update(copy, PARTS[1])
    assert copy.compute() != metric.compute()
    assert hash(copy) != hash(metric)


@pytest.mark.parametrize("index", range(NUMBER))
def test_plots(index: int) -> None:
    plt = pytest.importorskip("matplotlib.pyplot")
    metric, _ = cases()[index]
    update(metric, PARTS[0])
    for value in (None, [metric.compute(), metric.compute()]):
        figure, axes = metric.plot(value)
        assert axes.has_data()
        plt.close(figure)


def test_a_collection_shares_pictures_and_no_state() -> None:
    collection = importlib.import_module("torchmetrics").MetricCollection(
        {"psnr": classes.PSNR(), "ssim": classes.SSIM(), "y": classes.PSNR("y", border=2)}
    )
    clean, _, fake = pictures()
    for part in PARTS:
        collection.update(fake[part], clean[part])
    found = collection.compute()
    assert found["psnr"].item() == pytest.approx(metrics.psnr(clean, fake), rel=1e-5)
    assert found["ssim"].item() == pytest.approx(metrics.ssim(clean, fake), rel=1e-5)
    assert found["y"].item() == pytest.approx(metrics.psnr(clean, fake, "y", border=2), rel=1e-5)


def test_the_divergences_are_told_apart_by_their_classes() -> None:
    assert not isinstance(classes.KLD(), classes.AKLD)
    assert not isinstance(classes.AKLD(), classes.KLD)
    assert not classes.KLD.higher_is_better
    assert not classes.AKLD.higher_is_better


def test_errors() -> None:
    for name in classes.__all__:
        with pytest.raises(ConfigError, match="preset is 'neither', and must be one of"):
            getattr(classes, name)("neither")
    with pytest.raises(ImageError, match="differ in size"):
        classes.PSNR().update(torch.zeros(3, 16, 17), torch.zeros(3, 16, 16))


def test_what_to_install_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    monkeypatch.delitem(sys.modules, "danet.metrics.classes")
    with pytest.raises(DanetError, match=r"pip install 'danet\[metrics\]'"):
        importlib.import_module("danet.metrics.classes")
