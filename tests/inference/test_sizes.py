import pytest
import torch

from danet.inference.sizes import crop, margins, pad

SIDES = [1, 2, 7, 15, 16, 17, 31, 45]


@pytest.mark.parametrize("height", SIDES)
@pytest.mark.parametrize("width", SIDES)
@pytest.mark.parametrize("border", [0, 16])
def test_crop_undoes_the_padding(height: int, width: int, border: int) -> None:
    picture = torch.rand(2, 3, height, width)
    missing = margins((height, width), 16, border)
    padded = pad(picture, missing)
    assert padded.shape[-2] % 16 == padded.shape[-1] % 16 == 0
    assert padded.shape[-2] < height + 2 * border + 16
    assert padded.shape[-1] < width + 2 * border + 16
    assert min(missing) >= border
    assert torch.equal(crop(padded, missing), picture)


def test_padding_reflects_as_far_as_the_picture_reaches_then_repeats() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
    padded = pad(row, margins((1, 3), 8))
    expected = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    assert torch.equal(padded[0, 0], expected.expand(8, 8))
    both = pad(row, (0, 0, 3, 3))
    assert both[0, 0, 0].tolist() == [3, 3, 2, 1, 2, 3, 2, 1, 1]


def test_nothing_is_copied_where_nothing_is_missing() -> None:
    picture = torch.rand(1, 3, 32, 48)
    assert pad(picture, margins((32, 48), 16)) is picture
