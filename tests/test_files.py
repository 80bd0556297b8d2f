import os
from pathlib import Path

import pytest

from danet.errors import DanetError
from danet.files import atomic_write, drop_unfinished, locked


def test_file_is_moved_into_a_new_folder(tmp_path: Path) -> None:
    target = tmp_path / "a" / "b" / "note.txt"
    with atomic_write(target) as temporary:
        assert temporary.parent == target.parent
        assert temporary.suffix == ".txt"
        temporary.write_text("whole")
        assert not target.exists()
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_nothing_changes_when_the_block_fails(tmp_path: Path, error: type[BaseException]) -> None:
    target = tmp_path / "note.txt"
    target.write_text("before")

    def write_half() -> None:
        with atomic_write(target) as temporary:
            temporary.write_text("half")
            raise error

    with pytest.raises(error):
        write_half()
    assert target.read_text() == "before"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="permissions are those of POSIX")
def test_permissions_are_handed_on(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("before")
    target.chmod(0o640)
    with atomic_write(target) as temporary:
        temporary.write_text("after")
    assert target.stat().st_mode & 0o777 == 0o640


def test_path_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    target = tmp_path / "file" / "note.txt"
    with (
        pytest.raises(DanetError, match=r"note\.txt: cannot be .*file is no folder"),
        atomic_write(target),
    ):
        pass


@pytest.mark.parametrize("path", [".", "/"])
def test_path_without_a_name_is_an_error(path: str) -> None:
    with pytest.raises(DanetError, match="not the name of a file"), atomic_write(path):
        pass


def test_only_unfinished_files_are_dropped(tmp_path: Path) -> None:
    drop_unfinished(tmp_path / "none")
    kept = {"a.png", ".danet", ".danet-notes", ".danet-0123456789abcdeg.png"}
    for name in kept:
        (tmp_path / name).touch()
    with atomic_write(tmp_path / "b.png") as temporary:
        temporary.touch()
    temporary.touch()
    drop_unfinished(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "b.png"}


def test_a_lock_has_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.lock"
    with locked(path) as first, locked(path, wait=False) as second:
        assert (first, second) == (True, False)
    with pytest.raises(ZeroDivisionError), locked(path, wait=False):
        raise ZeroDivisionError
    with locked(path, wait=False) as again:
        assert again
    (tmp_path / "file").touch()
    with pytest.raises(DanetError, match=r"a\.lock: cannot be written: "):
        locked(tmp_path / "file" / "a.lock").__enter__()
