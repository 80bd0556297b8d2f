import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from danet.errors import WeightsError
from danet.networks import Discriminator, GeneratorNetwork, build
from danet.networks.backbone import OfBackbone
from danet.weights import KINDS, Kind, load_checkpoint, load_network, save_network

Golden = Callable[[str], dict[str, Tensor]]
# Of all weights of the sample in the folder format-1.
SAMPLE_SUMS = {"denoiser": -0.3332142290310003, "generator": -0.0907947109953966}


def change_config(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    config = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in config.items() if value is not None}))


def assert_same(network: OfBackbone, expected: dict[str, Tensor]) -> None:
    state = network.backbone.state_dict()
    assert state.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(state[name], value), name


@pytest.mark.parametrize("kind", ["denoiser", "generator"])
@pytest.mark.parametrize(
    ("backbone", "width", "depth"),
    [
        ("unet", 2, 5),
        ("unet", 3, 1),
        ("dncnn", 2, 17),
        ("red", 2, 30),
        ("ridnet", 2, 4),
        ("nafnet", 2, 3),
    ],
)
def test_saved_network_loads_bit_for_bit(
    tmp_path: Path, kind: Kind, backbone: str, width: int, depth: int
) -> None:
    network = build(kind, backbone, width, depth)
    # In training mode, this changes what batch normalisation remembers.
    side = 3 * network.size_multiple
    network(*torch.rand(1, 4, side, side).split([3, 1], dim=1)[: 1 if kind == "denoiser" else 2])
    save_network(network, tmp_path, "# Card")
    loaded = load_network(tmp_path, kind)
    assert type(loaded) is type(network)
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())
    assert_same(loaded, network.backbone.state_dict())
    assert json.loads((tmp_path / "config.json").read_text()) == {
        "format": 1, "kind": kind, "backbone": backbone, "width": width, "depth": depth,
    }  # fmt: skip
    assert (tmp_path / "README.md").read_text() == "# Card\n"


def test_counters_of_batch_normalisation_stay_integers(tmp_path: Path) -> None:
    network = build("denoiser", "dncnn", 2, 3)
    network(torch.rand(1, 3, 4, 4))
    name = "layers.3.num_batches_tracked"
    assert int(network.backbone.state_dict()[name]) == 1
    save_network(network, tmp_path, "")
    assert load_network(tmp_path, "denoiser").backbone.state_dict()[name].dtype == torch.int64
    tensors = load_file(tmp_path / "model.safetensors")
    save_file({**tensors, name: torch.tensor(1.0)}, tmp_path / "model.safetensors")
    with pytest.raises(WeightsError, match=f"{name} is torch.float32, not a tensor of integers"):
        load_network(tmp_path, "denoiser")


@pytest.mark.parametrize("backbone", ["half-unet", "dncnn", "red", "ridnet", "nafnet"])
def test_single_file_of_another_backbone_is_refused(tmp_path: Path, backbone: str) -> None:
    save_network(build("denoiser", backbone, 2, 2), tmp_path, "")
    with pytest.raises(WeightsError, match="with the backbone unet; one with another loads from"):
        load_checkpoint(tmp_path / "model.safetensors", "denoiser")


def test_saved_files_may_be_read_by_whom_the_system_allows(tmp_path: Path) -> None:
    save_network(build("denoiser", "unet", 2), tmp_path / "saved", "")
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    for path in (tmp_path / "saved").iterdir():
        assert path.stat().st_mode == ordinary.stat().st_mode


def test_half_precision_loads_as_float32(tmp_path: Path) -> None:
    network = build("denoiser", "unet", 2).half()
    save_network(network, tmp_path, "")
    assert load_file(tmp_path / "model.safetensors")["last.bias"].dtype == torch.float16
    expected = {name: value.float() for name, value in network.backbone.state_dict().items()}
    assert_same(load_network(tmp_path, "denoiser"), expected)


def test_loading_draws_no_random_numbers(tiny_weights: Path) -> None:
    state = torch.get_rng_state()
    load_network(tiny_weights / "denoiser", "denoiser")
    assert torch.equal(torch.get_rng_state(), state)


def test_other_networks_are_not_saved(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="Discriminator is neither"):
        save_network(Discriminator(2), tmp_path, "")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_missing_extra_and_misshapen_tensors_are_named(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    del tensors["down_path.1.block.0.bias"]
    tensors["surplus"] = torch.zeros(1)
    tensors["last.weight"] = torch.zeros(3, 2, 1, 1)
    tensors["up_path.0.up.bias"] = torch.zeros(16, dtype=torch.int64)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError) as error:
        load_network(folder, "denoiser")
    for part in (
        "model.safetensors: does not fit a unet denoiser of width 2 and depth 5",
        "down_path.1.block.0.bias is missing",
        "surplus is not part of it",
        "last.weight has the shape (3, 2, 1, 1), not (3, 2, 3, 3)",
        "up_path.0.up.bias is torch.int64",
    ):
        assert part in str(error.value)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_weights_that_are_not_finite_are_named(
    folder: Path, value: float, dtype: torch.dtype
) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors["last.bias"] = torch.tensor([0, value, 0], dtype=dtype)
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"last\.bias holds NaN or infinity$"):
        load_network(folder, "denoiser")


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_every_precision_loads_bit_for_bit(tmp_path: Path, dtype: torch.dtype) -> None:
    network = build("denoiser", "dncnn", 2, 3).to(dtype)
    save_network(network, tmp_path, "")
    assert_same(load_network(tmp_path, "denoiser", dtype=None), network.backbone.state_dict())
    for wanted in (torch.float16, torch.float64):
        loaded = load_network(tmp_path, "denoiser", dtype=wanted)
        assert {value.dtype for value in loaded.parameters()} == {wanted}


def test_a_network_does_not_change_with_its_file(folder: Path) -> None:
    network = load_network(folder, "denoiser")
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    with (folder / "model.safetensors").open("r+b") as file:
        file.write(bytes((folder / "model.safetensors").stat().st_size))
    assert_same(network, before)


def test_the_folder_of_the_first_format_loads() -> None:
    """Written when the format was 1, and never again: what loads it must stay."""
    sample = Path(__file__).parent / "format-1"
    for kind in KINDS:
        network = load_network(sample / kind, kind)
        assert (network.name, network.width, network.depth) == (f"UNet {kind}", 2, 2)
        expected = load_file(sample / kind / "model.safetensors")
        assert_same(network, expected)
        torch.testing.assert_close(
            sum(value.double().sum() for value in expected.values()),
            torch.tensor(SAMPLE_SUMS[kind], dtype=torch.float64),
        )


def test_long_lists_of_problems_are_cut(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    renamed = {f"module.{name}": value for name, value in tensors.items()}
    save_file(renamed, folder / "model.safetensors")
    with pytest.raises(WeightsError, match=r"is missing, and \d+ more$"):
        load_network(folder, "denoiser")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 2}, "'format' is 2, and must be 1"),
        ({"kind": "generator"}, "'kind' is 'generator', and must be 'denoiser'"),
        ({"backbone": "une"}, "config.json: there is no backbone 'une'; did you mean 'unet'"),
        ({"backbone": "dncnn"}, "does not fit a dncnn denoiser of width 2 and depth 5: .* missing"),
        ({"width": "2"}, "'width' is '2', not an int"),
        ({"width": True}, "'width' is True, not an int"),
        ({"depth": 5.0}, "'depth' is 5.0, not an int"),
        ({"depth": 0}, "depth is 0, and must be from 1"),
        ({"depth": 60}, "config.json: the depth is 60"),
        ({"width": None}, "the key 'width' is missing"),
        ({"wdith": 2}, "unknown key 'wdith'"),
        ({"width": 3}, "of width 3 and depth 5: .* has the shape"),
    ],
)
def test_wrong_configuration_names_the_key(
    folder: Path, changes: dict[str, Any], message: str
) -> None:
    change_config(folder, **changes)
    with pytest.raises(WeightsError, match=message):
        load_network(folder, "denoiser")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", None])
def test_damaged_configuration_is_named(folder: Path, content: bytes | None) -> None:
    (folder / "config.json").unlink()
    if content is not None:
        (folder / "config.json").write_bytes(content)
    with pytest.raises(WeightsError, match=r"config\.json: "):
        load_network(folder, "denoiser")


@pytest.mark.parametrize("name", ["model.safetensors", "weights.pt"])
@pytest.mark.parametrize("content", [b"", b"no weights", b"\x80\x02}q"])
def test_damaged_file_is_named(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(WeightsError, match=f"{re.escape(name)}: not a file of weights") as error:
        load_checkpoint(tmp_path / name, "denoiser")
    assert "\n" not in str(error.value)


def test_folder_without_weights_is_named(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    with pytest.raises(WeightsError, match=r"model\.safetensors: no such file"):
        load_network(folder, "denoiser")


@pytest.mark.parametrize("kind", ["denoiser", "generator"])
def test_joint_checkpoint_of_the_authors(golden_folder: Path, golden: Golden, kind: Kind) -> None:
    network = load_network(golden_folder / "joint_checkpoint.pt", kind)
    assert (network.width, network.depth) == (2, 5)
    assert_same(network, golden(f"{kind}_weights"))


def test_denoiser_checkpoint_of_the_authors(golden_folder: Path, golden: Golden) -> None:
    path = golden_folder / "denoiser_checkpoint.pt"
    assert_same(load_checkpoint(path, "denoiser"), golden("denoiser_weights"))
    with pytest.raises(WeightsError, match=r"block\.0\.weight has the shape \(2, 3, 3, 3\)"):
        load_checkpoint(path, "generator")


def test_safetensors_file(golden_folder: Path, golden: Golden) -> None:
    network = load_checkpoint(golden_folder / "generator_weights.safetensors", "generator")
    assert_same(network, golden("generator_weights"))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "holds a list where weights are expected"),
        ({"D": {}, "epoch": 3}, "holds no generator, but: D, epoch"),
        ({"G": {}}, r"holds no tensor down_path\.0\.block\.0\.weight"),
        ({"epoch": 3}, r"holds no tensor down_path\.0\.block\.0\.weight"),
    ],
)
def test_other_checkpoints_are_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(WeightsError, match=message):
        load_checkpoint(tmp_path / "other.pt", "generator")


def test_pickled_code_is_refused(tmp_path: Path) -> None:
    torch.save({"D": print}, tmp_path / "evil.pt")
    with pytest.raises(WeightsError, match="not a file of weights"):
        load_checkpoint(tmp_path / "evil.pt", "denoiser")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"levels": [0.02, 0.01]}, r"config.json: levels are \[0.02, 0.01\]"),
        ({"levels": [0.01, "x"]}, "'levels' is .* not a list of numbers"),
        ({"levels": 0.01}, "'levels' is 0.01, not an list"),
        ({"levels": [0.0, 0.0], "unit_level": 0.0}, "with a unit above 0"),
        ({"kind": "denoiser"}, "unknown key 'levels'"),
    ],
)
def test_levels_of_no_use_are_named(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    network = build("generator", "modulated", 2, 2, levels=(0.01, 0.02), unit_level=0.01)
    save_network(network, tmp_path, "")
    loaded = load_network(tmp_path, "generator")
    assert isinstance(loaded, GeneratorNetwork)
    assert (loaded.levels, loaded.unit_level) == ((0.01, 0.02), 0.01)
    path = tmp_path / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(WeightsError, match=message):
        load_network(tmp_path, changes.get("kind", "generator"))
