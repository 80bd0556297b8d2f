from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest

from danet.data import PackedPairs, PairPatches, PairWriter, Pixels, container
from danet.errors import DanetError, DataError

Crops = list[tuple[Pixels, Pixels]]
NAMES = ["a", "b", "c"]
SETTINGS = {"crop": 8}


def crops(seed: int, *shapes: tuple[int, int], dtype: type[Any] = np.uint8) -> Crops:
    rng = np.random.default_rng(seed)
    largest = np.iinfo(dtype).max
    return [
        (
            rng.integers(0, largest, (*shape, 3), dtype=dtype, endpoint=True),
            rng.integers(0, largest, (*shape, 3), dtype=dtype, endpoint=True),
        )
        for shape in shapes
    ]


# One source of two crops, one of none, one of another shape.
SOURCES = [crops(0, (8, 8), (8, 8)), [], crops(2, (5, 20))]


def pack(
    folder: Path, sources: Iterable[Crops] = SOURCES, dtype: Literal["uint8", "uint16"] = "uint8"
) -> Path:
    """Write what is not written yet of some sources, by a new writer."""
    writer = PairWriter(folder, NAMES, SETTINGS, dtype)
    with writer.writing():
        for source in list(sources)[len(writer.done) :]:
            writer.add(source, left_out=1)
    return folder


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_what_is_written_is_read(tmp_path: Path, dtype: type[Any]) -> None:
    sources = [crops(0, (8, 8), (8, 8), dtype=dtype), [], crops(2, (5, 20), dtype=dtype)]
    name: Literal["uint8", "uint16"] = "uint8" if dtype == np.uint8 else "uint16"
    packed = PackedPairs(pack(tmp_path / "new" / "packed", sources, name))
    expected = [pair for source in sources for pair in source]
    assert len(packed) == len(expected) == 3
    for found, pair in zip(packed, expected, strict=True):
        for side in (0, 1):
            assert found[side].dtype == dtype
            np.testing.assert_array_equal(found[side], pair[side])
            assert not found[side].flags.writeable
    np.testing.assert_array_equal(packed[-1][1], expected[2][1])
    assert [pair[0].shape for pair in packed[1:]] == [(8, 8, 3), (5, 20, 3)]
    with pytest.raises(IndexError):
        packed[3]
    assert [source.name for source in packed.sources] == NAMES
    assert sum(source.left_out for source in packed.sources) == 3
    assert packed.settings == SETTINGS


def test_a_container_is_pickled_as_its_name(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    folder = pack(Path("packed"), [crops(0, (400, 400)), crops(1, (300, 300)), []])
    patches = PairPatches(PackedPairs(folder), 16, seed=0)
    carried = pickle.dumps(patches)
    assert len(carried) < 2000
    monkeypatch.chdir("/")  # a worker may start elsewhere
    received = pickle.loads(carried)
    assert all((received[0][side] == patches[0][side]).all() for side in (0, 1))


def test_pieces_are_views_of_one_map(tmp_path: Path) -> None:
    packed = PackedPairs(pack(tmp_path))
    (clean, noisy), (again, _) = packed[0], packed[0]
    assert np.shares_memory(clean, again)
    assert type(clean) is np.ndarray
    assert not np.shares_memory(clean, noisy)


@pytest.mark.parametrize("whole", [0, 1, 2, 3])
@pytest.mark.parametrize("half", ["nothing", "pixels", "line", "index"])
def test_a_killed_writer_is_continued_to_the_same_bytes(
    tmp_path: Path, whole: int, half: str
) -> None:
    expected = content(pack(tmp_path / "expected"))
    folder = tmp_path / "killed"

    def die() -> None:
        writer = PairWriter(folder, NAMES, SETTINGS, "uint8")
        with writer.writing():
            for source in SOURCES[:whole]:
                writer.add(source, left_out=1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        die()
    # What a kill leaves in the middle of each step.
    if half == "pixels":
        with (folder / "pixels.raw").open("ab") as file:
            file.write(b"half of a pair")
    if half == "line":
        with (folder / "unfinished.jsonl").open("ab") as file:
            file.write(b'{"name": "b", "sha')
    if half == "index":
        (folder / ".danet-0.json").write_text('{"format"')
    with pytest.raises(DataError, match="unfinished"):
        PackedPairs(folder)
    assert len(PairWriter(folder, NAMES, SETTINGS, "uint8").done) == whole
    pack(folder)
    (folder / ".danet-0.json").unlink(missing_ok=True)
    assert content(folder) == expected


@pytest.mark.parametrize("left", ["", '{"format": "danet'])
def test_a_writer_killed_at_its_very_start(tmp_path: Path, left: str) -> None:
    expected = content(pack(tmp_path / "expected"))
    folder = tmp_path / "killed"
    folder.mkdir()
    (folder / "unfinished.jsonl").write_text(left)
    assert content(pack(folder)) == expected


def test_a_kill_after_the_index_leaves_a_finished_container(tmp_path: Path) -> None:
    folder = pack(tmp_path)
    before = content(folder)
    (folder / "unfinished.jsonl").write_text("left over")
    assert len(PackedPairs(folder)) == 3
    assert content(pack(folder)) == before


def test_a_full_disk_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = content(pack(tmp_path / "expected"))
    folder, room = tmp_path / "packed", 700  # bytes: the first source needs 768
    write = container._write

    def limited(file: Any, data: Any) -> None:
        nonlocal room
        part = memoryview(data)[:room]
        room -= len(part)
        write(file, part)
        if len(part) < len(memoryview(data)):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(container, "_write", limited)
    for more in (700, 100, 500, 100):  # in the pixels of a, then in its line, then in c
        with pytest.raises(DanetError, match=r"pixels\.raw: cannot be written: No space left"):
            pack(folder)
        with pytest.raises(DataError, match="unfinished"):
            PackedPairs(folder)
        room = more
    monkeypatch.undo()
    assert content(pack(folder)) == expected


def test_another_process_in_the_same_folder_is_noticed(tmp_path: Path) -> None:
    writer = PairWriter(tmp_path, NAMES, SETTINGS, "uint8")
    with writer.writing():
        writer.add(SOURCES[0])
        with (tmp_path / "pixels.raw").open("ab") as other:
            other.write(b"its pixels")
        with pytest.raises(DanetError, match="another process"):
            writer.add(SOURCES[1])


@pytest.mark.parametrize("finished", [True, False])
def test_a_container_of_other_settings_or_pairs_is_not_continued(
    tmp_path: Path, finished: bool
) -> None:
    if finished:
        pack(tmp_path)
    else:
        PairWriter(tmp_path, NAMES, SETTINGS, "uint8")
    before = content(tmp_path)
    with pytest.raises(DataError, match=r"settings \{'crop': 8\}, not \{'crop': 9\}"):
        PairWriter(tmp_path, NAMES, {"crop": 9}, "uint8")
    with pytest.raises(DataError, match="dtype uint8, not uint16"):
        PairWriter(tmp_path, NAMES, SETTINGS, "uint16")
    with pytest.raises(DataError, match="other pairs"):
        PairWriter(tmp_path, ["a", "c", "b"], SETTINGS, "uint8")
    assert content(tmp_path) == before


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "pixels.raw").write_text("mine")
    with pytest.raises(DataError, match="something else"):
        PairWriter(tmp_path, NAMES, SETTINGS, "uint8")
    assert content(tmp_path) == {"pixels.raw": b"mine"}
    with pytest.raises(DanetError, match=r"pixels\.raw: cannot be written"):
        PairWriter(tmp_path / "pixels.raw", NAMES, SETTINGS, "uint8")


def test_damage_is_noticed(tmp_path: Path) -> None:
    folder = pack(tmp_path)
    with pytest.raises(DataError, match=r"index\.json is missing"):
        PackedPairs(tmp_path / "elsewhere")
    with (folder / "pixels.raw").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="100 bytes, and should have 1368"):
        PackedPairs(folder)
    index = json.loads((folder / "index.json").read_text())
    for broken in (
        "{",
        "[]",
        json.dumps({**index, "dtype": "float"}),
        '{"format": "danet pairs 1"}',
        "[" * 100_000,
        *(
            json.dumps({**index, "sources": [{**index["sources"][0], "shapes": [shape]}]})
            for shape in ([-8, -8], [0, 10**30], [float("inf"), 8])
        ),
    ):
        (folder / "index.json").write_text(broken)
        with pytest.raises(DataError, match=r"index\.json"):
            PackedPairs(folder)


@pytest.mark.parametrize("line", ["[" * 100_000, '{"name": "a", "shapes": [[1e999, 1]]}'])
def test_a_damaged_journal_is_noticed(tmp_path: Path, line: str) -> None:
    writer = PairWriter(tmp_path, NAMES, SETTINGS, "uint8")
    with writer.writing():
        writer.add(SOURCES[0])
    journal = tmp_path / "unfinished.jsonl"
    journal.write_text(journal.read_text() + line + "\n")
    with pytest.raises(DataError, match=r"unfinished\.jsonl: damaged"):
        PairWriter(tmp_path, NAMES, SETTINGS, "uint8")


def test_pixels_lost_before_the_end_are_noticed(tmp_path: Path) -> None:
    writer = PairWriter(tmp_path, NAMES, SETTINGS, "uint8")
    with writer.writing():
        writer.add(SOURCES[0])
    with (tmp_path / "pixels.raw").open("r+b") as file:
        file.truncate(100)
    with pytest.raises(DataError, match="pixels are missing"):
        PairWriter(tmp_path, NAMES, SETTINGS, "uint8")


def test_crops_of_another_type_or_shape_are_refused(tmp_path: Path) -> None:
    ((clean, noisy),) = crops(0, (8, 9))
    writer = PairWriter(tmp_path, NAMES, SETTINGS, "uint8")
    with writer.writing():
        for pair in [
            (clean, noisy[:4]),
            (clean, noisy.astype(np.uint16)),
            (clean[..., :1], noisy[..., :1]),
        ]:
            with pytest.raises(DataError, match="a: a crop is"):
                writer.add([pair])
    assert writer.done == []


def test_nothing_to_pack(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="every crop was left out"):
        pack(tmp_path, [[], [], []])
    assert not (tmp_path / "index.json").exists()
