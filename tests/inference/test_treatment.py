from typing import Any

import numpy as np
import pytest
import torch

from danet.images import difference_from_tensor, from_tensor, to_tensor
from danet.images.conversion import difference_from_array, from_array, to_array
from danet.images.light import Light
from danet.inference.sizes import margins, pad
from danet.inference.treatment import Spread, Treatment

MASK = np.random.default_rng(1).random((1, 2, 45, 70), np.float32)


def network(pixels: Any) -> Any:
    """Of arrays and tensors, and not alike in the eight views."""
    return 0.8 * pixels**2 + 0.1 * pixels[..., :1]


@pytest.mark.parametrize(
    "treatment",
    [
        Treatment(),
        Treatment(0.3),
        Treatment((0.5, 1.5)),
        Treatment(None),
        Treatment(0.7, residual=True),
        Treatment(0.7, grain=0.4),
        Treatment(None, grain=0.4, residual=True),
        Treatment(self_ensemble=True),
        Spread(),
    ],
)
def test_arrays_are_treated_as_tensors_are(treatment: Treatment) -> None:
    pixels = np.random.default_rng(0).random((1, 3, 45, 70), np.float32)
    if treatment.strength is None:
        pixels = np.concatenate([pixels, MASK], axis=1)
    found = treatment.finish(treatment.tensor(network, pixels))
    tensor = torch.from_numpy(pixels)
    expected = treatment.finish(treatment.tensor(network, tensor))
    assert found.dtype == np.float32
    torch.testing.assert_close(torch.from_numpy(np.array(found)), expected, rtol=0, atol=1e-6)
    assert not np.allclose(found, pixels[:, :3])


@pytest.mark.parametrize("light", [Light(), Light(white=2.0), Light(linear=True)])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_arrays_become_pictures_as_tensors_do(light: Light, channels: int) -> None:
    picture = np.random.default_rng(0).random((20, 30, channels), np.float32)
    array, form = to_array(picture, light)
    tensor, same = to_tensor(picture, light)
    np.testing.assert_array_equal(array, tensor.numpy())
    for ours, theirs in (
        (from_array(0.9 * array, form), from_tensor(0.9 * tensor, same)),
        (difference_from_array(0.1 * array, form), difference_from_tensor(0.1 * tensor, same)),
    ):
        np.testing.assert_array_equal(ours, theirs)
    # A tensor in the layout of PyTorch goes its own way.
    own, of_own = to_tensor(torch.from_numpy(picture).permute(2, 0, 1), light)
    back = from_tensor(0.9 * own, of_own)
    assert isinstance(back, torch.Tensor)
    expected = torch.from_numpy(np.asarray(from_array(0.9 * array, form)))
    torch.testing.assert_close(back.permute(1, 2, 0), expected, rtol=0, atol=1e-6)


def test_arrays_are_padded_as_tensors_are() -> None:
    picture = np.random.default_rng(0).random((1, 3, 5, 40), np.float32)
    missing = margins((5, 40), 16, 16)
    assert torch.equal(
        torch.from_numpy(pad(picture, missing)), pad(torch.from_numpy(picture), missing)
    )
