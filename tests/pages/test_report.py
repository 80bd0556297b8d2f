"""The pages on one run."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image

from danet.errors import ConfigError, DanetError, ImageError
from danet.images import Light
from danet.pages import Report, report
from tests.pages.test_comparison import HOSTILE, Page, pair

NAMES = ["b & #1.png", "a.png", HOSTILE]


@pytest.fixture
def pictures(tmp_path: Path) -> tuple[Path, Path]:
    """A picture before and after."""
    paths = tmp_path / "before.png", tmp_path / "after.png"
    for path, pixels in zip(paths, pair(), strict=True):
        Image.fromarray(pixels).save(path)
    return paths


def index(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


def links(folder: Path) -> list[Path]:
    found = [str(at["href"]) for tag, at in index(folder).elements if tag == "a"]
    return [folder / unquote(link) for link in found]


def test_the_index_leads_to_every_page_and_back(
    tmp_path: Path, pictures: tuple[Path, Path]
) -> None:
    written = Report(tmp_path / "out", NAMES[:2])
    for name in reversed(NAMES[:2]):  # as threads may finish them
        with written.on(name, *pictures):
            pass
    written.write()
    pages = links(tmp_path / "out")
    assert [page.name for page in pages] == ["1-b & #1.png.html", "2-a.png.html"]
    before, after = pair()
    for page in pages:
        shown = Page(page.read_text(encoding="utf-8"))
        np.testing.assert_array_equal(shown.picture("after"), after)
        assert ("a", {"href": "index.html"}) in shown.elements
    taken = (before.astype(float) - after).std()
    assert f"; taken {taken:.1f}" in index(tmp_path / "out").text["span"]


def test_floats_are_shown_as_their_light_says(tmp_path: Path) -> None:
    before = np.full((20, 30), 9.0)
    before[3] = 1.0
    np.save(tmp_path / "before.npy", before)
    np.save(tmp_path / "after.npy", before / 9)
    written = Report(tmp_path / "out", NAMES[1:2], lambda _: Light(4.0, linear=True))
    with written.on(NAMES[1], tmp_path / "before.npy", tmp_path / "after.npy"):
        pass
    page = Page((tmp_path / "out" / "1-a.png.html").read_text(encoding="utf-8"))
    assert page.picture("before")[2:4, 0, 0].tolist() == [255, 137]  # the curve at 1 / 4
    assert page.picture("after")[2, 0, 0] == 137


def test_what_fails_is_named_and_raised(tmp_path: Path, pictures: tuple[Path, Path]) -> None:
    written = Report(tmp_path / "out", NAMES)
    with pytest.raises(ImageError), written.on(HOSTILE, *pictures):
        raise ImageError(f"{HOSTILE}: damaged <b>")
    with pytest.raises(ImageError), written.on("a.png", pictures[0], tmp_path / "none.png"):
        pass
    with written.on(NAMES[0], *pictures):
        pass
    written.write()
    page = index(tmp_path / "out")
    assert page.text["h1"] == "1 done, 2 failed"
    assert f"{HOSTILE}: damaged <b>" in page.text["li"]
    assert "none.png: no such file" in page.text["li"]
    assert "b" not in {tag for tag, _ in page.elements}
    assert len(links(tmp_path / "out")) == 1


def test_a_picture_too_large_for_a_page_is_listed(
    tmp_path: Path, pictures: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "_MOST_PIXELS", 1000)
    written = Report(tmp_path / "out", NAMES[:1])
    with written.on(NAMES[0], *pictures):
        pass
    written.write()
    assert links(tmp_path / "out") == []
    assert "too large" in index(tmp_path / "out").text["span"]


def test_an_index_of_something_else_is_not_replaced(tmp_path: Path) -> None:
    Report(tmp_path, NAMES).write()
    Report(tmp_path, NAMES).write()
    (tmp_path / "index.html").write_text("<p>mine</p>")
    with pytest.raises(ConfigError, match=r"index\.html: no report of danet"):
        Report(tmp_path, NAMES)
    assert (tmp_path / "index.html").read_text() == "<p>mine</p>"


def test_a_folder_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(DanetError, match=r"file is no folder"):
        Report(tmp_path / "file", NAMES)
    assert (tmp_path / "file").read_text() == "mine"


def test_the_longest_names_have_pages(tmp_path: Path, pictures: tuple[Path, Path]) -> None:
    written = Report(tmp_path, [name := 83 * "写"])
    with written.on(name, *pictures):
        pass
    written.write()
    (page,) = links(tmp_path)
    assert Page(page.read_text(encoding="utf-8")).text["h1"] == name


def test_the_index_needs_nothing_else(tmp_path: Path, pictures: tuple[Path, Path]) -> None:
    written = Report(tmp_path, NAMES)
    with written.on(NAMES[0], *pictures):
        pass
    written.write()
    for _, attributes in index(tmp_path).elements:
        assert str(attributes.get("src", "data:")).startswith("data:")
    policies = [at["content"] for _, at in index(tmp_path).elements if "http-equiv" in at]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]
