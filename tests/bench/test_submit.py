"""Submissions, read by other means than those that check them."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from scipy.io import loadmat, savemat, whosmat

from danet.bench import submit_dnd, submit_sidd_kaggle, submit_sidd_mat
from danet.bench.methods import Floats
from danet.bench.submit import read_dnd, read_sidd_kaggle, read_sidd_mat
from danet.data import Pixels
from danet.errors import ConfigError, DataError, ImageError

SHAPE = (2, 3, 16, 12, 3)
BOXES = [[1, 1, 16, 12], [5, 3, 20, 14], [9, 13, 24, 24]]  # of dnd_root
CROPS = [(16, 12, 3), (8, 6, 3)]


def random_blocks(seed: int, shape: Sequence[int] = (2, 3, 16, 12, 3)) -> Pixels:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def brighten(noisy: Floats) -> Floats:
    brighter: Floats = 1.3 * noisy + 0.07
    return brighter


def brightened(pixels: Any) -> Any:
    return np.rint((pixels / 255 * 1.3 + 0.07).clip(0, 1) * 255).astype(np.uint8)


def test_sidd_for_kaggle(sidd_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "new" / "SubmitSrgb.csv"
    submit_sidd_kaggle(brighten, sidd_root, output)
    text = output.read_bytes().decode("ascii")
    head, *lines = text.removesuffix("\n").split("\n")
    assert head == "ID,BLOCK" and len(lines) == 6
    expected = brightened(random_blocks(2))
    for image in range(2):
        for block in range(3):
            number, _, code = lines[3 * image + block].partition(",")
            assert number == str(3 * image + block)
            pixels = np.frombuffer(base64.b64decode(code), np.uint8).reshape(16, 12, 3)
            np.testing.assert_array_equal(pixels, expected[image, block])
    assert [path.name for path in output.parent.iterdir()] == ["SubmitSrgb.csv"]


def test_sidd_for_its_own_server(sidd_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "SubmitSrgb.mat"
    submit_sidd_mat(brighten, sidd_root, output)
    assert whosmat(output) == [("DenoisedBlocksSrgb", SHAPE, "uint8")]
    expected = brightened(random_blocks(2))
    np.testing.assert_array_equal(loadmat(output)["DenoisedBlocksSrgb"], expected)


def test_dnd(dnd_root: Path, dnd_pictures: list[Any], tmp_path: Path) -> None:
    output = tmp_path / "submission"
    output.mkdir()
    submit_dnd(brighten, dnd_root, output)
    assert sorted(path.name for path in output.iterdir()) == ["0001.mat", "0002.mat"]
    for number, picture in enumerate(dnd_pictures, start=1):
        path = output / f"{number:04d}.mat"
        kinds = {name: kind for name, _, kind in whosmat(path)}
        assert kinds == {"Idenoised": "cell", "israw": "logical", "eval_version": "char"}
        content = loadmat(path, squeeze_me=True)
        assert content["israw"] == 0 and content["eval_version"] == "1.0"
        cells = loadmat(path)["Idenoised"]
        assert cells.shape == (1, 3)
        expected = brighten(picture.astype(np.float32)).clip(0, 1)
        for cell, (top, left, bottom, right) in zip(cells[0], BOXES, strict=True):
            assert cell.dtype == np.float32
            np.testing.assert_array_equal(cell, expected[top - 1 : bottom, left - 1 : right])


def test_dnd_needs_a_folder_of_its_own(dnd_root: Path, tmp_path: Path) -> None:
    output = tmp_path / "used"
    output.mkdir()
    (output / "0050.mat").touch()
    with pytest.raises(ConfigError, match="used: is not empty"):
        submit_dnd(brighten, dnd_root, output)


def transposed(noisy: Floats) -> Floats:
    return np.swapaxes(noisy, 0, 1)


def broken(noisy: Floats) -> Floats:
    return np.full_like(noisy, np.nan)


@pytest.mark.parametrize("method", [transposed, broken])
@pytest.mark.parametrize("submit", [submit_sidd_kaggle, submit_sidd_mat, submit_dnd])
def test_a_result_that_is_no_picture_is_refused(
    method: Any, submit: Any, sidd_root: Path, dnd_root: Path, tmp_path: Path
) -> None:
    root = dnd_root if submit is submit_dnd else sidd_root
    output = tmp_path / "out"
    with pytest.raises(ImageError, match="the method made a picture of shape"):
        submit(method, root, output)
    assert not output.exists() or not list(output.iterdir())


def test_a_file_that_reads_back_otherwise_gets_no_name(
    sidd_root: Path, dnd_root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encode, save = base64.b64encode, savemat

    def reverse(value: Any) -> Any:
        return value[::-1] if isinstance(value, np.ndarray) else value

    def save_reversed(path: Path, content: dict[str, Any], **options: Any) -> None:
        save(path, {key: reverse(value) for key, value in content.items()}, **options)

    monkeypatch.setattr(base64, "b64encode", lambda data: encode(data[::-1]))
    monkeypatch.setattr(scipy.io, "savemat", save_reversed)
    for submit, root in (
        (submit_sidd_kaggle, sidd_root),
        (submit_sidd_mat, sidd_root),
        (submit_dnd, dnd_root),
    ):
        output = tmp_path / submit.__name__
        with pytest.raises(DataError, match="read back is not what was written"):
            submit(brighten, root, output)
        assert not output.exists() or not list(output.iterdir())


def kaggle_lines() -> list[str]:
    blocks = random_blocks(0).reshape(6, -1)
    codes = [base64.b64encode(block.tobytes()).decode() for block in blocks]
    return ["ID,BLOCK", *(f"{number},{code}" for number, code in enumerate(codes))]


def change(line: int, text: str) -> Callable[[list[str]], list[str]]:
    return lambda lines: [*lines[:line], text, *lines[line + 1 :]]


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (change(0, "ID;BLOCK"), "must be 'ID,BLOCK'"),
        (lambda lines: lines[:-1], "there are 5 blocks, and must be 6"),
        (lambda lines: [*lines, "6," + lines[1][2:]], "there are 7 blocks"),
        (lambda lines: [lines[0], lines[2], lines[1], *lines[3:]], "ID '1' stands at the place"),
        (change(3, "2,AAAA"), "BLOCK 2 has 3 bytes, not 576"),
        (change(3, "2,???"), "BLOCK 2 is not base64"),
        (lambda lines: lines[:1], "there are 0 blocks"),
    ],
)
def test_a_wrong_file_for_kaggle_is_found(tmp_path: Path, fault: Any, message: str) -> None:
    path = tmp_path / "x.csv"
    path.write_text("\n".join(kaggle_lines()) + "\n")
    blocks = np.array(list(read_sidd_kaggle(path, SHAPE)))
    np.testing.assert_array_equal(blocks.reshape(SHAPE), random_blocks(0))
    path.write_text("\n".join(fault(kaggle_lines())) + "\n")
    with pytest.raises(DataError, match=message):
        list(read_sidd_kaggle(path, SHAPE))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"Denoised": random_blocks(0)}, "no key 'DenoisedBlocksSrgb'"),
        ({"DenoisedBlocksSrgb": random_blocks(0)[:1]}, r"uint8 of shape \(1, 3, 16, 12, 3\)"),
        ({"DenoisedBlocksSrgb": random_blocks(0) / 255}, "is float64"),
    ],
)
def test_a_wrong_file_for_sidd_is_found(tmp_path: Path, content: Any, message: str) -> None:
    savemat(tmp_path / "x.mat", content)
    with pytest.raises(DataError, match=message):
        read_sidd_mat(tmp_path / "x.mat", SHAPE)


def dnd_content(shapes: Any = CROPS, dtype: Any = np.float32) -> dict[str, Any]:
    cells = np.empty(len(shapes), dtype=object)
    for index, shape in enumerate(shapes):
        cells[index] = np.full(shape, 0.5, dtype)
    return {"Idenoised": cells, "israw": False, "eval_version": "1.0"}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (dnd_content() | {"israw": True}, "israw is"),
        (dnd_content() | {"israw": 0.0}, "'israw': 'double'"),
        (dnd_content() | {"eval_version": "2.0"}, "eval_version"),
        (dnd_content() | {"extra": 1}, "'extra'"),
        (dnd_content() | {"Idenoised": np.zeros((2, 16, 12, 3), np.float32)}, "'single'"),
        (dnd_content(CROPS[:1]), r"Idenoised has \(1, 1\) cells, not \(1, 2\)"),
        (dnd_content() | {"Idenoised": dnd_content()["Idenoised"][:, None]}, r"\(2, 1\) cells"),
        (dnd_content(CROPS[::-1]), r"crop 1 is float32 of shape \(8, 6, 3\)"),
        (dnd_content(dtype=np.float64), "crop 1 is float64"),
        (dnd_content() | {"Idenoised": dnd_content()["Idenoised"] * 255}, r"in \[0, 1\]"),
    ],
)
def test_a_wrong_file_for_dnd_is_found(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = tmp_path / "0001.mat"
    savemat(path, dnd_content())
    assert [crop.shape for crop in read_dnd(path, CROPS)] == CROPS
    savemat(path, content)
    with pytest.raises(DataError, match=message):
        read_dnd(path, CROPS)
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(ImageError, match="cannot be read"):
        read_dnd(path, CROPS)
