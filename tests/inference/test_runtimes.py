import copy
import pickle
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from typing import Any

import pytest
import torch

from danet import devices
from danet.devices import fast_dtype
from danet.errors import ConfigError, DanetError, DanetWarning
from danet.inference import runtimes
from danet.inference.runtimes import Runtime
from danet.networks import build
from danet.pretrained import Denoiser, NoiseGenerator

INSTALLED = ["openvino"] if find_spec("openvino") else []


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_short_types_change_the_residual_alone(dtype: str) -> None:
    network = build("denoiser", "unet", 4, 3)
    noisy = torch.rand(1, 3, 40, 61)
    exact = Denoiser(network, dtype="float32")(noisy)
    short = Denoiser(network, dtype=dtype)(noisy)
    assert short.dtype == torch.float32
    residual = (exact - noisy).abs().max()
    error = (short - exact).abs().max()
    # 8 bits of a residual, where 8 bits of a picture would be an error of 2^-9 at least.
    assert 0 < error < 2**-6 * residual
    assert all(parameter.dtype == torch.float32 for parameter in network.parameters())


def test_short_types_take_the_tiles_and_the_generator_too() -> None:
    clean = torch.rand(3, 40, 61)
    network = build("generator", "unet", 4, 2)
    exact = NoiseGenerator(network, dtype="float32").sample(clean, n=2, seed=1)
    short = NoiseGenerator(network, dtype="bfloat16", tile=8).sample(clean, n=2, seed=1)
    torch.testing.assert_close(short, exact, rtol=0, atol=0.02)
    assert not torch.equal(short, exact)


def test_automatic_type_is_short_only_where_it_is_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    cpu = torch.device("cpu")
    for has, expected in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(devices, "_has_bfloat16", lambda has=has: has)
        assert fast_dtype(cpu) == expected
    assert fast_dtype(torch.device("mps")) == torch.float32
    for capability, kind in (((9, 0), "bfloat16"), ((7, 5), "float16"), ((6, 1), "float32")):
        monkeypatch.setattr(
            torch.cuda, "get_device_capability", lambda _, capability=capability: capability
        )
        assert fast_dtype(torch.device("cuda")) == getattr(torch, kind)


@pytest.mark.parametrize("runtime", INSTALLED)
@pytest.mark.parametrize("backbone", ["unet", "half-unet", "dncnn", "red", "nafnet"])
def test_other_runtimes_give_the_same(runtime: str, backbone: str) -> None:
    network = build("denoiser", backbone, 4, 2)
    denoiser = Denoiser(network, runtime=runtime, dtype="float32")
    for size in ((40, 61), (16, 9)):
        noisy = torch.rand(3, *size)
        expected = Denoiser(network, runtime="torch", dtype="float32")(noisy)
        torch.testing.assert_close(denoiser(noisy), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_other_runtimes_follow_the_weights_and_can_be_copied(runtime: str) -> None:
    network = build("generator", "unet", 4, 2)
    generator = NoiseGenerator(network, runtime=runtime)
    clean = torch.rand(3, 16, 16)
    before = generator.sample(clean, n=2, seed=1)
    with torch.no_grad():
        network.backbone.get_parameter("last.weight").mul_(2)
    expected = NoiseGenerator(network, runtime="torch", dtype="float32").sample(clean, 2, seed=1)
    copied = pickle.loads(pickle.dumps(copy.deepcopy(generator)))
    for model in (generator, copied):
        torch.testing.assert_close(model.sample(clean, 2, seed=1), expected, rtol=0, atol=1e-5)
    assert not torch.equal(before, expected)


@pytest.mark.parametrize("runtime", INSTALLED)
def test_other_runtimes_give_no_gradient(runtime: str) -> None:
    denoiser = Denoiser(build("denoiser", "unet", 4, 2), runtime=runtime)
    with pytest.raises(ConfigError, match="gives gradients"):
        denoiser(torch.rand(3, 16, 16, requires_grad=True))


def test_auto_is_openvino_for_large_pictures_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _: True)
    monkeypatch.setattr(runtimes, "fast_dtype", lambda _: torch.float32)
    network, large = build("denoiser", "unet", 2, 2), 2**23
    assert Runtime().chosen(network, large) == "openvino"
    assert Runtime().chosen(network, large - 1) == "torch"
    for settings in ({"dtype": "bfloat16"}, {"compiled": True}, {"others": [torch.device("cpu")]}):
        assert Runtime(**settings).chosen(network, large) == "torch"
    monkeypatch.setattr(runtimes, "find_spec", lambda _: None)
    assert Runtime().chosen(network, large) == "torch"
    monkeypatch.undo()
    monkeypatch.setattr(runtimes, "fast_dtype", lambda _: torch.bfloat16)
    assert Runtime().chosen(network, large) == "torch"


def test_auto_goes_on_with_torch_where_openvino_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "find_spec", lambda _: True)
    monkeypatch.setattr(runtimes, "_WORTH_CONVERTING", 1)

    def broken(*_: object) -> None:
        raise OSError("libtbb is missing")

    monkeypatch.setattr(runtimes, "_openvino", broken)
    network, noisy = build("denoiser", "unet", 4, 2), torch.rand(3, 40, 61)
    expected = Denoiser(network, runtime="torch", dtype="float32")(noisy)
    with pytest.warns(DanetWarning, match="libtbb is missing; PyTorch computes instead"):
        result = Denoiser(network, dtype="float32")(noisy)
    assert torch.equal(result, expected)


@pytest.mark.skipif("openvino" not in INSTALLED, reason="OpenVINO is not installed")
def test_what_auto_takes_is_what_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "_WORTH_CONVERTING", 40 * 61)
    taken: list[str] = []
    chosen = Runtime.chosen

    def noted(*given: Any) -> str:
        taken.append(chosen(*given))
        return taken[-1]

    monkeypatch.setattr(Runtime, "chosen", noted)
    network, noisy = build("denoiser", "unet", 4, 2), torch.rand(3, 40, 61)
    denoiser = Denoiser(network, dtype="float32")
    asked = Denoiser(network, dtype="float32", runtime="openvino")
    assert torch.equal(denoiser(noisy), asked(noisy))
    denoiser(noisy[:, 1:])
    # Gradients are PyTorch's.
    noisy.requires_grad_()
    denoiser(noisy).sum().backward()
    assert noisy.grad is not None
    assert taken == ["openvino", "openvino", "torch", "torch"]


@pytest.mark.parametrize("runtime", INSTALLED)
def test_threads_share_what_was_converted(runtime: str) -> None:
    network = build("denoiser", "unet", 4, 2)
    denoiser = Denoiser(network, runtime=runtime, dtype="float32")
    plain = Denoiser(network, runtime="torch", dtype="float32")
    pictures = [torch.rand(3, 16 * size, 160) for size in range(1, 9)] * 3
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(denoiser, pictures))
    for picture, result in zip(pictures, results, strict=True):
        torch.testing.assert_close(result, plain(picture), rtol=0, atol=1e-5)


@pytest.mark.parametrize("runtime", INSTALLED)
@pytest.mark.parametrize("text", ["std::bad_alloc", "shapes do not match"])
def test_errors_of_the_runtimes_are_those_of_danet(
    runtime: str, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: object) -> None:
        raise KeyError(text)

    monkeypatch.setattr(Runtime, "_converted", lambda *_: fail)
    denoiser = Denoiser(build("denoiser", "unet", 4, 2), runtime=runtime)
    message = "smallest tile" if "alloc" in text else f"the runtime '{runtime}' failed"
    with pytest.raises(DanetError, match=message):
        denoiser(torch.rand(3, 16, 16))


@pytest.mark.parametrize(
    "settings", [{"devices": "cpu,cpu"}, *({"runtime": name} for name in INSTALLED)]
)
def test_weights_of_fused_optimizers_are_followed(settings: dict[str, str]) -> None:
    network, noisy = build("denoiser", "unet", 4, 2), torch.rand(2, 3, 40, 61)
    denoiser = Denoiser(network, dtype="float32", **settings)  # type: ignore[arg-type]
    denoiser(noisy)
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, fused=True)
    network(torch.rand(1, 3, 16, 16)).square().sum().backward()
    optimizer.step()
    expected = Denoiser(network, runtime="torch", dtype="float32")(noisy)
    torch.testing.assert_close(denoiser(noisy), expected, rtol=0, atol=1e-5)


@pytest.mark.skipif("openvino" not in INSTALLED, reason="OpenVINO is not installed")
def test_signals_come_through_after_openvino_was_let_go_of_in_another_thread() -> None:
    program = """
import os, signal, threading, torch
from danet import Denoiser
from danet.networks import build
denoisers = [Denoiser(build("denoiser", "unet", 2, 2), runtime="openvino")]
denoisers[0](torch.rand(3, 16, 16))
thread = threading.Thread(target=denoisers.clear)
thread.start()
thread.join()
signal.signal(signal.SIGUSR1, lambda *_: print("handled"))
os.kill(os.getpid(), signal.SIGUSR1)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "handled\n"), done.stderr


def test_compiling_is_left_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled: list[Any] = []

    def fake(network: torch.nn.Module) -> torch.nn.Module:
        compiled.append(network)
        return network

    monkeypatch.setattr(torch, "compile", fake)
    network = build("denoiser", "unet", 2, 2)
    denoiser = Denoiser(network, compile=True)
    denoiser(torch.rand(3, 16, 16))
    denoiser(torch.rand(3, 40, 16))
    assert compiled == [network]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": "int8"}, "dtype is 'int8', and must be one of auto, float32"),
        ({"runtime": "tensorrt"}, "runtime is 'tensorrt', and must be one of auto, torch"),
    ],
)
def test_unknown_names_are_errors(settings: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Denoiser(build("denoiser", "unet", 2, 2), **settings)  # type: ignore[arg-type]


def test_settings_that_do_not_go_together_are_errors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ConfigError, match=r"pip install 'danet\[openvino\]'"):
        Denoiser(build("denoiser", "unet", 2, 2), runtime="openvino")
    monkeypatch.setattr("danet.inference.runtimes.require", lambda *_: None)
    with pytest.raises(ConfigError, match="compile is for PyTorch"):
        Denoiser(build("denoiser", "unet", 2, 2), runtime="openvino", compile=True)
    with pytest.raises(ConfigError, match="several devices are for PyTorch"):
        Denoiser(build("denoiser", "unet", 2, 2), runtime="openvino", devices="cpu,cpu")
