"""Pictures of every kind, read and put together part by part."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from danet.errors import ImageError
from danet.images.parts import Area, Canvas, check_picture, raster

VALUES = np.random.default_rng(0).integers(0, 256, (21, 34, 3), np.uint8)
KINDS: dict[str, Any] = {
    "pil": Image.fromarray(VALUES),
    "grey": VALUES[..., 0],
    "array": VALUES,
    "tensor": torch.from_numpy(VALUES.transpose(2, 0, 1) / 255),
}
AREAS: list[Area] = [
    (rows, columns)
    for rows in (slice(0, 8), slice(8, 21))
    for columns in (slice(0, 30), slice(30, 34))
]


def values(picture: Any) -> np.ndarray[Any, Any]:
    return np.asarray(picture)


@pytest.mark.parametrize("kind", KINDS)
def test_parts_make_the_picture(kind: str) -> None:
    given = raster(KINDS[kind])
    assert (given.size, given.count) == ((21, 34), 1)
    canvas = Canvas(given.size, given.count)
    for area in AREAS:
        part = given.part(area)
        inner = tuple(slice(0, span.stop - span.start) for span in area)
        canvas.put(part, range(1), area, inner)  # type: ignore[arg-type]
    assert type(canvas.picture) is type(KINDS[kind])
    np.testing.assert_array_equal(values(canvas.picture), values(KINDS[kind]))


def test_a_whole_picture_is_taken_as_it_is() -> None:
    whole = (slice(0, 21), slice(0, 34))
    for picture in KINDS.values():
        canvas = Canvas((21, 34), 1)
        canvas.put(picture, range(1), whole, whole)
        assert canvas.picture is picture


def test_groups_of_a_batch_go_to_their_places() -> None:
    batch = torch.rand(5, 3, 21, 34)
    given, whole = raster(batch), (slice(0, 21), slice(0, 34))
    canvas = Canvas(given.size, given.count)
    for group in (range(3), range(3, 5)):
        some = given.some(group)
        assert some.count == len(group)
        canvas.put(some.picture, group, whole, whole)
    assert torch.equal(canvas.picture, batch)  # type: ignore[arg-type]


def test_an_array_is_written_to() -> None:
    out = np.zeros_like(VALUES)
    canvas = Canvas((21, 34), 1, out)
    whole = (slice(0, 21), slice(0, 34))
    canvas.put(VALUES, range(1), whole, whole)
    assert canvas.picture is out
    assert np.array_equal(out, VALUES)


def test_a_blank_is_of_the_same_kind() -> None:
    picture = Image.fromarray(VALUES).convert("LA")
    picture.info["dpi"] = (300, 300)
    blank = raster(picture).blank((5, 7), 1).picture
    assert (blank.mode, blank.size, blank.info["dpi"]) == ("LA", (7, 5), (300, 300))
    assert raster(torch.zeros(2, 1, 3, 3)).blank((5, 7), 4).picture.shape == (4, 1, 5, 7)
    grey = raster(VALUES[..., 0]).blank((5, 7), 1).picture
    assert (grey.shape, grey.dtype) == ((5, 7), np.uint8)


@pytest.mark.parametrize("nothing", [np.zeros((0, 4, 3), np.uint8), torch.zeros(3, 0, 4), "text"])
def test_what_has_no_pixels_is_refused(nothing: Any) -> None:
    with pytest.raises(ImageError):
        raster(nothing)


def test_a_picture_is_checked_strip_by_strip(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("danet.images.parts._STRIP", 4 * 34)
    picture = VALUES / 255
    check_picture(picture)
    picture[20, 33, 2] = np.nan
    with pytest.raises(ImageError):
        check_picture(picture)
