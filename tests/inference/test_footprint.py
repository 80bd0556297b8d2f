import pytest
import torch

from danet.inference.footprint import bytes_per_pixel
from danet.networks import build


@pytest.mark.parametrize("kind", ["denoiser", "generator"])
@pytest.mark.parametrize("backbone", ["unet", "half-unet", "dncnn", "red", "ridnet", "nafnet"])
def test_estimate_covers_what_lives_at_once(kind: str, backbone: str) -> None:
    narrow = bytes_per_pixel(build(kind, backbone, 8, 2))  # type: ignore[call-overload]
    wide = bytes_per_pixel(build(kind, backbone, 16, 2))  # type: ignore[call-overload]
    # A layer has an input and an output of 8 channels of 4 bytes.
    assert 2 * 8 * 4 < narrow < wide < 2 * narrow


def test_estimate_leaves_the_network_as_it_is() -> None:
    network = build("denoiser", "unet", 2, 2)
    kept = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    bytes_per_pixel(network)
    for name, tensor in network.state_dict().items():
        assert torch.equal(tensor, kept[name])
