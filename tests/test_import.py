"""What importing danet brings along, each time seen in a new process."""

from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest

import danet

OPTIONAL = {
    "accelerate",
    "albumentations",
    "av",
    "bm3d",
    "cv2",
    "gradio",
    "h5py",
    "huggingface_hub",
    "matplotlib",
    "onnx",
    "onnxruntime",
    "openvino",
    "pydantic",
    "pywt",
    "ray",
    "skimage",
    "tensorboard",
    "torchmetrics",
    "torchvision",
}

# Reports on the last line; what an import prints would come before it.
WATCH = """\
import importlib, json, sys
sockets = []
sys.addaudithook(lambda event, _: sockets.append(event) if event.startswith("socket.") else None)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps({"modules": sorted(sys.modules), "sockets": sockets}))
"""


def imports(*names: str, watch: str = WATCH) -> tuple[set[str], list[str]]:
    """The modules and socket events after importing ``names``, which must print nothing."""
    command = [sys.executable, "-W", "error", "-c", watch, *names]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    (line,) = run.stdout.splitlines()
    report = json.loads(line)
    return set(report["modules"]), report["sockets"]


# All but the first are nothing but subclasses of another library's classes, and no other module
# imports them.
APART = {
    "danet.__main__",
    "danet.augment.albumentations",
    "danet.augment.torchvision",
    "danet.metrics.classes",
}


def every_module() -> list[str]:
    found = pkgutil.walk_packages(danet.__path__, "danet.")
    return [module.name for module in found if module.name not in APART]


@pytest.mark.parametrize("name", ["danet", "danet.cli"])
def test_import_is_light(name: str) -> None:
    modules, sockets = imports(name)
    assert not modules & (OPTIONAL | {"numpy", "PIL", "scipy", "torch"})
    assert sockets == []


def test_a_denoiser_waits_for_nothing_that_it_does_not_need() -> None:
    modules, _ = imports("danet.pretrained.denoiser")
    assert "torch" in modules
    assert not modules & {"PIL.ImageDraw", "scipy.fft", "scipy.ndimage", "scipy.signal"}


WITHOUT_TORCH = (
    "danet.images",
    "danet.inference.session",
    "danet.pretrained.exported",
    "danet.video",
    "danet.weights.find",
)


def test_what_denoises_without_torch_does_not_import_it() -> None:
    modules, _ = imports(*WITHOUT_TORCH)
    assert "numpy" in modules
    assert not modules & (OPTIONAL | {"safetensors", "scipy", "torch"})


def test_no_module_imports_an_optional_package_or_opens_a_socket() -> None:
    modules, sockets = imports(*every_module())
    assert "danet.train.loop" in modules
    assert not modules & OPTIONAL
    assert sockets == []


def test_the_watch_sees_sockets() -> None:
    opening = "import socket; socket.socket().close()\n"
    lines = WATCH.splitlines(keepends=True)
    _, sockets = imports("danet", watch="".join([*lines[:3], opening, *lines[3:]]))
    assert "socket.__new__" in sockets


@pytest.mark.parametrize("name", danet.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(danet, name) is not None
    assert name in dir(danet)


# In a process for each name, since one package imports others; torch, once for all of them.
EACH_ALONE = """\
import os, torch, danet
for name in danet.__all__:
    if (child := os.fork()) == 0:
        getattr(danet, name)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name
"""


def test_every_public_name_is_there_after_nothing_but_import_danet() -> None:
    subprocess.run([sys.executable, "-c", EACH_ALONE], check=True)


def test_every_package_is_public() -> None:
    packages = {module.name for module in pkgutil.iter_modules(danet.__path__) if module.ispkg}
    assert packages - {"cli"} <= set(danet.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'attic'"):
        danet.attic  # type: ignore[attr-defined]  # noqa: B018
