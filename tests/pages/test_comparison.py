"""The page of a picture before and after."""

from __future__ import annotations

import base64
import io
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image, ImageCms

import danet
from danet.errors import ConfigError, DanetError, ImageError
from danet.metrics import noise_level
from danet.pages import compare, compare_files

HOSTILE = "\"><script>alert(1)</script> & $width '.png"
VOID = {"meta", "input", "img"}


class Page(HTMLParser):
    """The elements of a page, which must be closed in order, and the text in them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: dict[str, str] = {}
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.text[self.open[-1]] = self.text.get(self.open[-1], "") + data

    def picture(self, name: str) -> NDArray[np.uint8]:
        (source,) = (
            str(at["src"]) for tag, at in self.elements if tag == "img" and at["id"] == name
        )
        kind, _, data = source.partition(",")
        assert kind in ("data:image/webp;base64", "data:image/png;base64")
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data, validate=True))))


def pair(height: int = 37, width: int = 50) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Two pictures, one noisier than the other."""
    rng = np.random.default_rng(0)
    first, second = (rng.normal(120, level, (height, width, 3)) for level in (9, 2))
    return np.rint(first).astype(np.uint8), np.rint(second).astype(np.uint8)


def page_of(before: Any, after: Any, **settings: Any) -> str:
    return compare(before, after, **settings).page()


def test_the_page_holds_both_pictures_and_what_was_taken_bit_for_bit() -> None:
    before, after = pair()
    page = Page(page_of(before, after, factor=4))
    np.testing.assert_array_equal(page.picture("before"), before)
    np.testing.assert_array_equal(page.picture("after"), after)
    taken = 128 + 4 * (before.astype(int) - after.astype(int))
    np.testing.assert_array_equal(page.picture("noise"), taken.clip(0, 255))
    assert "times 4, around grey" in page.text["p"]


def test_every_value_of_a_byte_is_kept() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    page = Page(page_of(ramp, ramp))
    np.testing.assert_array_equal(page.picture("before"), np.stack([ramp] * 3, axis=-1))
    assert (page.picture("noise") == 128).all()


def test_the_page_needs_nothing_else() -> None:
    text = page_of(*pair())
    page = Page(text)
    for _, attributes in page.elements:
        for name in ("src", "href", "srcset", "data", "action", "poster"):
            assert str(attributes.get(name, "data:")).startswith("data:")
    assert not re.search(r"//|url\(|@import|fetch\(|import\(", re.sub(r'"data:[^"]*"', "", text))
    (policy,) = (at["content"] for _, at in page.elements if "http-equiv" in at)
    assert str(policy).startswith("default-src 'none'; img-src data:;")


def test_the_page_has_a_slider_two_sizes_and_fits_a_phone() -> None:
    text = page_of(*pair())
    inputs = [attributes for tag, attributes in Page(text).elements if tag == "input"]
    assert [at["type"] for at in inputs] == ["radio", "radio", "range"]
    assert [at.get("value") for at in inputs] == ["1", "2", "50"]
    assert "image-rendering: pixelated" in text
    assert 'name="viewport" content="width=device-width' in text


def test_the_page_has_the_noise_levels_of_each_picture() -> None:
    pictures = pair()
    expected = [f"{255 * level:.2f}" for p in pictures for level in noise_level(p).channels]
    taken = pictures[0].astype(float) - pictures[1]
    expected += [f"{deviation:.2f}" for deviation in taken.std(axis=(0, 1))]
    assert re.findall(r"<td>([\d.]+)</td>", page_of(*pictures)) == expected
    assert float(expected[0]) > 3 * float(expected[3])


def test_a_picture_that_webp_cannot_hold_is_png() -> None:
    long = np.arange(2 * 16384, dtype=np.uint16).reshape(2, 16384).astype(np.uint8)
    text = page_of(long, long)
    assert "data:image/png" in text and "data:image/webp" not in text
    np.testing.assert_array_equal(Page(text).picture("after")[..., 1], long)


def test_a_notebook_shows_the_page_in_a_frame() -> None:
    before, after = pair()
    tensor = torch.from_numpy(after / 255).permute(2, 0, 1)
    shown = danet.show(Image.fromarray(before), tensor, names=(HOSTILE, "after"))
    (tag, attributes), *others = Page(shown._repr_html_()).elements
    assert tag == "iframe" and others == []
    page = Page(str(attributes["srcdoc"]))
    np.testing.assert_array_equal(page.picture("before"), before)
    np.testing.assert_array_equal(page.picture("after"), after)
    assert page.text["title"] == f"{HOSTILE} and after"


def test_names_and_title_are_escaped() -> None:
    plain = Page(page_of(*pair()))
    page = Page(page_of(*pair(), names=(HOSTILE, "b\n\udcff\x1b")))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert page.text["title"] == rf"{HOSTILE} and b \udcff\x1b"
    assert HOSTILE in page.text["span"]
    assert Page(compare(*pair()).page(HOSTILE)).text["h1"] == HOSTILE


def test_pictures_of_every_kind_are_taken() -> None:
    before, after = pair()
    tensor = torch.from_numpy(after / 255).permute(2, 0, 1)
    page = Page(page_of(before.astype(np.uint16) * 257 - 100, tensor))
    np.testing.assert_array_equal(page.picture("before"), before)
    np.testing.assert_array_equal(page.picture("after"), after)


def test_pictures_that_cannot_be_compared_are_refused() -> None:
    before, after = pair()
    with pytest.raises(ImageError, match="a has 50 x 37 pixels and b 50 x 36; only"):
        page_of(before, after[1:], names=("a", "b"))
    with pytest.raises(ImageError, match="2 pictures in one tensor"):
        page_of(before, torch.zeros(2, 3, 37, 50))
    with pytest.raises(ConfigError, match="factor is 0"):
        page_of(before, after, factor=0)


def test_files_are_compared_upright_and_in_srgb(tmp_path: Path) -> None:
    before, _ = pair()
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(np.rot90(before).copy()).save(tmp_path / "turned.png", exif=exif)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    Image.fromarray(before).save(tmp_path / "srgb.png", icc_profile=srgb)
    compare_files(tmp_path / "turned.png", tmp_path / "srgb.png", tmp_path / "new" / "page.html")
    page = Page((tmp_path / "new" / "page.html").read_text(encoding="utf-8"))
    np.testing.assert_array_equal(page.picture("before"), before)
    np.testing.assert_array_equal(page.picture("after"), before)
    assert page.text["title"] == "turned.png and srgb.png"


def test_another_colour_profile_is_applied(tmp_path: Path) -> None:
    flat = Image.new("RGB", (9, 8), (200, 100, 50))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"tXYZ").replace(b"bXYZ", b"rXYZ").replace(b"tXYZ", b"bXYZ")
    flat.save(tmp_path / "a.png", icc_profile=bytes(8))  # no profile at all
    flat.save(tmp_path / "b.png", icc_profile=swapped)  # whose red is sRGB's blue
    compare_files(tmp_path / "a.png", tmp_path / "b.png", tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.picture("before")[0, 0].tolist() == [200, 100, 50]
    np.testing.assert_allclose(page.picture("after")[0, 0], [50, 100, 200], atol=1)


def test_openexr_files_are_shown_by_the_curve_of_srgb(tmp_path: Path) -> None:
    exr = pytest.importorskip("OpenEXR")
    values = np.full((8, 9, 3), 0.214, np.float32)
    values[2] = 7
    with exr.File({"type": exr.scanlineimage}, {"RGB": values}) as file:
        file.write(str(tmp_path / "a.exr"))
    compare_files(tmp_path / "a.exr", tmp_path / "a.exr", tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert page.picture("after")[1:3, 0, 0].tolist() == [127, 255]


def test_files_that_cannot_be_read_or_written_leave_the_page_as_it_was(tmp_path: Path) -> None:
    good, bad, page = (tmp_path / name for name in ("good.png", "bad.png", "page.html"))
    Image.fromarray(pair()[0]).save(good)
    bad.write_bytes(good.read_bytes()[:60])
    page.write_text("before")
    with pytest.raises(ImageError, match=r"bad\.png: "):
        compare_files(good, bad, page)
    with pytest.raises(ImageError, match=r"none\.png: no such file"):
        compare_files(tmp_path / "none.png", good, page)
    with pytest.raises(DanetError, match="cannot be written"):
        compare_files(good, good, page / "below.html")
    assert page.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bad.png", "good.png", "page.html"]
