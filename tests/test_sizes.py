import pytest
import torch

from danet.sizes import crop, pad_to_multiple

SIDES = [1, 2, 7, 15, 16, 17, 31, 45]


@pytest.mark.parametrize("height", SIDES)
@pytest.mark.parametrize("width", SIDES)
def test_crop_undoes_the_padding(height: int, width: int) -> None:
    picture = torch.rand(2, 3, height, width)
    padded, size = pad_to_multiple(picture, 16)
    assert padded.shape[-2] % 16 == padded.shape[-1] % 16 == 0
    assert padded.shape[-2] < height + 16
    assert padded.shape[-1] < width + 16
    assert torch.equal(crop(padded, size), picture)


def test_padding_reflects_as_far_as_the_picture_reaches_then_repeats() -> None:
    row = torch.tensor([1.0, 2.0, 3.0]).reshape(1, 1, 1, 3)
    padded, _ = pad_to_multiple(row, 8)
    expected = torch.tensor([1.0, 2.0, 3.0, 2.0, 1.0, 1.0, 1.0, 1.0])
    assert torch.equal(padded[0, 0], expected.expand(8, 8))


def test_nothing_is_copied_where_nothing_is_missing() -> None:
    picture = torch.rand(1, 3, 32, 48)
    assert pad_to_multiple(picture, 16)[0] is picture
