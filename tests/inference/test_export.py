import copy
import re
import sys
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from danet.cli import main
from danet.errors import ConfigError, DanetError
from danet.inference import export as export_module
from danet.inference.export import OPSET, TOLERANCE, export, to_onnx
from danet.inference.sizes import BORDER, crop, margins, pad, padded_length
from danet.networks import Kind, build
from danet.pretrained import Denoiser, NoiseGenerator

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")


def session_of(path: Path) -> Any:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def larger(kind: Kind, backbone: str, depth: int) -> Any:
    """A random network whose residuals are not small beside the tolerance."""
    network = build(kind, backbone, 4, depth).eval()
    for name, parameter in network.named_parameters():
        if name.endswith("scale"):  # NAFNet's blocks start as the identity
            parameter.data += 0.1
        else:
            parameter.data *= 1.2
    return network


DEPTHS = {"unet": 3, "half-unet": 2, "dncnn": 3, "red": 4, "ridnet": 1, "nafnet": 2}
CASES = list(product(DEPTHS, ("denoiser", "generator"), (0, BORDER)))


# The exporter takes some seconds for each.
@pytest.mark.parametrize(
    ("backbone", "kind", "border"),
    [CASES[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in CASES[1:])],
)
def test_the_model_does_what_the_library_does(
    backbone: str, kind: Kind, border: int, tmp_path: Path
) -> None:
    network = larger(kind, backbone, DEPTHS[backbone])
    exported = export(network, tmp_path / "model.onnx", border=border)
    assert exported.path == tmp_path / "model.onnx"
    assert exported.difference <= TOLERANCE
    session = session_of(exported.path)
    multiple = network.size_multiple
    beyond = padded_length(border, multiple)
    for size in ((1, 1, 1), (3, 2, 9), (2, 61, 83), (1, 8, 8), (1, 1, 40)):
        inputs = [torch.rand(size[0], 3, *size[1:])]
        if kind == "generator":
            inputs.append(torch.randn(size[0], 1, *(side + 2 * beyond for side in size[1:])))
        missing = margins(size[1:], multiple, beyond)
        # z has the border already.
        padded = [pad(inputs[0], missing)]
        padded += [pad(z, margins(z.shape[2:], multiple)) for z in inputs[1:]]
        with torch.no_grad():
            whole = crop(network(*padded), missing)
        expected = whole.clamp(0, 1)
        names = [one.name for one in session.get_inputs()]
        given = {name: tensor.numpy() for name, tensor in zip(names, inputs, strict=True)}
        result, *residual = map(torch.from_numpy, session.run(None, given))
        torch.testing.assert_close(result, expected, rtol=0, atol=TOLERANCE)
        assert len(residual) == (kind == "denoiser")
        for taken in residual:
            torch.testing.assert_close(taken, inputs[0] - whole, rtol=0, atol=TOLERANCE)
        assert size == (1, 1, 1) or float((expected - inputs[0]).abs().max()) > 100 * TOLERANCE


def size_of_the_result(model: Any, side: int) -> list[int]:
    """As chaiNNer finds the scale of a model: by what follows from the size of the input."""
    fixed = copy.deepcopy(model)
    for axis, length in enumerate((1, 3, side, side)):
        fixed.graph.input[0].type.tensor_type.shape.dim[axis].dim_value = length
    inferred = onnx.shape_inference.infer_shapes(fixed, strict_mode=True)
    shape = inferred.graph.output[0].type.tensor_type.shape
    return [one.dim_value for one in shape.dim[1:]]


def test_names_sizes_and_metadata_say_how_to_use_it(tmp_path: Path) -> None:
    Denoiser(build("denoiser", "unet", 2, 3)).export(tmp_path / "r.onnx", {"licence": "apache-2.0"})
    generator = build("generator", "modulated", 2, 2, levels=(0.01, 0.02), unit_level=0.03)
    NoiseGenerator(generator).export(tmp_path / "g.onnx")
    sides = ["height", "width"]
    for path, inputs, outputs in (
        ("r.onnx", {"noisy": 3}, ["denoised", "residual"]),
        ("g.onnx", {"clean": 3, "latent": 1}, ["noisy"]),
    ):
        session = session_of(tmp_path / path)
        found = {one.name: one.shape for one in session.get_inputs()}
        assert found == {name: ["batch", count, *sides] for name, count in inputs.items()}
        assert [one.name for one in session.get_outputs()] == outputs
    model = onnx.load(tmp_path / "r.onnx")
    assert size_of_the_result(model, 21) == [3, 21, 21]
    assert [one.version for one in model.opset_import] == [OPSET]
    facts = {one.key: one.value for one in model.metadata_props}
    expected = {"size_multiple": "4", "halo": "28", "value_range": "[0, 1]", "channels": "RGB"}
    assert expected.items() <= facts.items()
    assert facts["network"] == "UNet denoiser"
    assert float(facts["bytes_per_pixel"]) > 0
    assert facts["licence"] == "apache-2.0"
    facts = {one.key: one.value for one in onnx.load(tmp_path / "g.onnx").metadata_props}
    assert facts["unit_level"] == "0.03"


def test_the_network_is_left_as_it_is(tmp_path: Path) -> None:
    network = build("denoiser", "unet", 2, 2).train().half()
    called: list[object] = []
    network.register_forward_hook(lambda *_: called.append(1))
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    # Half precision is exported in single.
    assert export(network, tmp_path / "model.onnx").difference <= TOLERANCE
    assert network.training
    assert next(network.parameters()).dtype == torch.float16
    assert all(torch.equal(kept[name], tensor) for name, tensor in network.state_dict().items())


def wrong(*arguments: Any) -> bytes:
    """The model of another network."""
    torch.manual_seed(1)
    whole = export_module._Whole(larger("denoiser", "unet", 2), 16)
    return to_onnx(whole, *arguments[1:])


def broken(*_: Any) -> bytes:
    return b"no model"


def failing(*_: Any) -> bytes:
    raise ValueError("as it\nmust")


@pytest.mark.parametrize(
    ("instead", "message"),
    [
        (wrong, r"ONNX Runtime and PyTorch differ by .* and 1e-05 is allowed"),
        (broken, "the network cannot be exported: "),
        (failing, "the network cannot be exported: as it must"),
    ],
)
def test_a_model_that_is_wrong_is_not_written(
    instead: Any, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("older")
    monkeypatch.setattr(export_module, "to_onnx", instead)
    with pytest.raises(DanetError, match=message):
        export(larger("denoiser", "unet", 2), path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_written_for_weights_that_are_not_finite(tmp_path: Path) -> None:
    network = build("denoiser", "dncnn", 2, 2)
    next(network.parameters()).data.fill_(torch.nan)
    with pytest.raises(DanetError, match="differ by nan"):
        export(network, tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_what_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r"pip install 'danet\[onnx\]'"):
        export(build("denoiser", "unet", 2, 2), tmp_path / "model.onnx")


def test_the_residual_alone_is_a_model_too(tmp_path: Path) -> None:
    network = larger("generator", "unet", 2)
    model = to_onnx(network.backbone, {"input": torch.zeros(2, 4, 8, 8)}, "residual")
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    joined: Tensor = torch.rand(2, 4, 12, 6)
    with torch.no_grad():
        expected = network.backbone(joined)
    (result,) = session.run(None, {"input": joined.numpy()})
    torch.testing.assert_close(torch.from_numpy(result), expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize(
    ("kind", "inputs"), [("denoiser", ["noisy"]), ("generator", ["clean", "latent"])]
)
def test_command(
    kind: str,
    inputs: list[str],
    tiny_weights: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = tmp_path / "new" / "model.onnx"
    assert main(["export", str(tiny_weights), "--kind", kind, "-o", str(path)]) == 0
    out, err = capsys.readouterr()
    first, second, third = out.splitlines()
    assert first == f"{path}: {kind}, ONNX opset {OPSET}"
    assert "1 x 3 x 1 x 1" in second
    found = re.search(r"largest difference (\S+) of", third)
    assert found is not None
    assert float(found[1]) <= TOLERANCE
    assert err == ""
    assert [one.name for one in session_of(path).get_inputs()] == inputs


def test_command_records_what_the_catalogue_says(tmp_path: Path) -> None:
    path = tmp_path / "photo.onnx"
    assert main(["export", "photo", "-o", str(path)]) == 0
    facts = {one.key: one.value for one in onnx.load(path).metadata_props}
    assert facts["weights"] == "photo"
    assert "non-commercial" in facts["licence"]


def test_command_names_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", "phto", "-o", str(tmp_path / "model.onnx")]) == 2
    assert "did you mean 'photo'" in capsys.readouterr().err
