"""What files say beside their pixels, and the rarer layouts of pixels."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo

from danet.errors import DanetWarning, ImageError
from danet.images import Frame, open_picture, process_file, tiff, write_frame

Pixels = NDArray[Any]
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"/>'
GEO = (1.5, 2.5, 0.0)


def random_pixels(shape: tuple[int, ...], dtype: str = "uint8") -> Pixels:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top, shape, endpoint=True).astype(dtype)


def unchanged(pixels: Pixels) -> Pixels:
    return pixels


def frames_of(path: Path) -> list[Pixels]:
    with open_picture(path) as file:
        return [frame.pixels for frame in file.frames]


@pytest.fixture
def tifffile() -> Any:
    pytest.importorskip("imagecodecs")
    return pytest.importorskip("tifffile")


@pytest.mark.parametrize("limit", [2**32, -1], ids=["classic", "bigtiff"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_tags_of_every_kind_are_kept(
    tmp_path: Path, tifffile: Any, monkeypatch: pytest.MonkeyPatch, dtype: str, limit: int
) -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Artist] = "Jürgen".encode("latin-1")
    exif[ExifTags.Base.Orientation] = 3
    exif[33550] = GEO  # the size of pixels on the ground
    exif[34735] = (1, 1, 0, 0)
    exif[40000] = "private"
    exif[700] = XMP
    exif[51000] = 0.25
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.125
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAltitude] = 250.0
    monkeypatch.setattr(tiff, "_CLASSIC_LIMIT", limit)
    with tiff.TiffWriter(tmp_path / "a.tif", 1) as writer:
        loaded = Image.Exif()
        loaded.load(exif.tobytes())
        options = {"exif": loaded, "compression": "lzw", "dpi": (300, 200)}
        writer.write(random_pixels((5, 7, 3), dtype), options)
        writer.finish()
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.is_bigtiff == (limit < 0)
        (page,) = file.pages
        assert page.tags[33550].value == GEO
        assert page.tags[34735].value == (1, 1, 0, 0)
        assert page.tags[40000].value == "private"
        assert page.tags[700].value == XMP
        assert page.tags[51000].value == 0.25
        assert page.get_resolution("inch") == (300, 200)
    with Image.open(tmp_path / "b.tif") as image:
        kept = image.getexif()
        assert kept[ExifTags.Base.Artist] == "Jürgen"
        if dtype == "uint16":  # Pillow turns those of 8 bits upright
            assert kept[ExifTags.Base.Orientation] == 3
        assert kept.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] == 0.125
        assert kept.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSAltitude] == 250


@pytest.mark.parametrize("target", [".jpg", ".png", ".tif", ".webp"])
@pytest.mark.parametrize("source", [".jpg", ".png", ".tif", ".webp"])
def test_xmp_is_kept(tmp_path: Path, source: str, target: str) -> None:
    Image.fromarray(random_pixels((16, 16, 3))).save(tmp_path / "first.jpg", xmp=XMP)
    process_file(tmp_path / "first.jpg", tmp_path / f"a{source}", unchanged)
    process_file(tmp_path / f"a{source}", tmp_path / f"b{target}", unchanged)
    with Image.open(tmp_path / f"b{target}") as image:
        image.load()
        assert image.info["xmp"] == XMP


HDR = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF
 xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description
 xmlns:Container="http://ns.google.com/photos/1.0/container/"
 xmlns:Item="http://ns.google.com/photos/1.0/container/item/"
 xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"
 xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/" hdrgm:Version="1.0">
 <Container:Directory><rdf:Seq><rdf:li rdf:parseType="Resource"><Container:Item
 Item:Semantic="GainMap" Item:Mime="image/jpeg" Item:Length="900"/></rdf:li></rdf:Seq>
 </Container:Directory></rdf:Description></rdf:RDF></x:xmpmeta>"""
MOTION = b"""<x:xmpmeta xmlns:x="adobe:ns:meta/"><d xmlns:Camera="http://ns.google.com/photos/1.0/camera/"
 Camera:MotionPhoto='1' Camera:Other="2"><Camera:MicroVideoOffset>5</Camera:MicroVideoOffset>
 </d></x:xmpmeta>"""
EXTENDED = XMP.replace(b"/>", b' xmlns:n="http://ns.adobe.com/xmp/note/" n:HasExtendedXMP="F0"/>')


@pytest.mark.parametrize(
    ("xmp", "lost", "promises", "kept"),
    [
        (HDR, "the HDR gain map", [b"hdrgm:Version", b"GainMap"], b'xmp:Rating="4"'),
        (HDR.replace(b" hdrgm:V", b"\nhdrgm:V"), "the HDR gain map", [b"hdrgm:V"], b"xmp:Rating"),
        (MOTION, "the video", [b"Motion", b"Micro", b"5"], b'Camera:Other="2"'),
        (EXTENDED, "the further XMP", [b"HasExtendedXMP"], b"adobe:ns:meta/"),
    ],
)
@pytest.mark.parametrize("target", [".jpg", ".png", ".tif"])
def test_what_is_left_out_is_named_and_no_more_promised(
    tmp_path: Path, xmp: bytes, lost: str, promises: list[bytes], kept: bytes, target: str
) -> None:
    """Files of phones, which hold a second picture or a video behind the first."""
    pixels = random_pixels((16, 24, 3))
    second = [Image.new("L", (12, 8))]
    Image.fromarray(pixels).save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=second, xmp=xmp
    )
    with pytest.warns(DanetWarning, match=rf"b{target}: written without {lost} of .*a.jpg$"):
        process_file(tmp_path / "a.jpg", tmp_path / f"b{target}", unchanged)
    with Image.open(tmp_path / f"b{target}") as image:
        image.load()
        result = image.info["xmp"]
        assert image.size == (24, 16)
        assert lost != "the HDR gain map" or getattr(image, "n_frames", 1) == 1
    ElementTree.fromstring(result)
    assert kept in result
    assert not any(promise in result for promise in promises)
    with warnings.catch_warnings():  # the second time there is nothing to name
        warnings.simplefilter("error")
        process_file(tmp_path / f"b{target}", tmp_path / f"c{target}", unchanged)


def test_gain_maps_of_iso_are_named_too(tmp_path: Path) -> None:
    Image.fromarray(random_pixels((16, 24, 3))).save(
        tmp_path / "a.jpg", "MPO", save_all=True, append_images=[Image.new("L", (12, 8))]
    )
    segment = b"urn:iso:std:iso:ts:21496:-1\0\0\0\0\0"
    data = (tmp_path / "a.jpg").read_bytes()
    head = data[:2] + b"\xff\xe2" + (len(segment) + 2).to_bytes(2, "big") + segment
    (tmp_path / "a.jpg").write_bytes(head + data[2:])
    with pytest.warns(DanetWarning, match="without the HDR gain map of"):
        process_file(tmp_path / "a.jpg", tmp_path / "b.jpg", unchanged)
    assert len(frames_of(tmp_path / "b.jpg")) == 1


CHUNKS = {
    b"cICP": bytes([9, 16, 0, 1]),
    b"cHRM": bytes(range(32)),
    b"gAMA": bytes([0, 1, 0, 0]),
    b"sBIT": bytes([5, 6, 5]),
    b"sRGB": bytes([1]),
}


def save_with_chunks(path: Path, pixels: Pixels, chunks: dict[bytes, bytes]) -> None:
    write_frame(Frame(pixels, {"chunks": chunks}), path)
    data = path.read_bytes()
    assert all(name in data[33:] for name in chunks)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_chunks_of_colour_are_kept_in_png(tmp_path: Path, tifffile: Any, dtype: str) -> None:
    pixels = random_pixels((16, 24, 3), dtype)
    save_with_chunks(tmp_path / "a.png", pixels, CHUNKS)
    process_file(tmp_path / "a.png", tmp_path / "b.png", unchanged)
    with open_picture(tmp_path / "b.png") as file:
        (frame,) = file.frames
    assert frame.info["chunks"] == CHUNKS
    np.testing.assert_array_equal(frame.pixels, pixels)


def test_significant_bits_of_other_channels_are_left_out(tmp_path: Path) -> None:
    info = PngInfo()
    info.add(b"sBIT", bytes([5, 6, 5]))
    Image.fromarray(random_pixels((16, 24, 3))).save(
        tmp_path / "a.png", transparency=(1, 2, 3), pnginfo=info
    )
    process_file(tmp_path / "a.png", tmp_path / "b.png", unchanged)
    with open_picture(tmp_path / "b.png") as file:
        (frame,) = file.frames
    assert frame.pixels.shape == (16, 24, 4)
    assert frame.info["chunks"] == {}


@pytest.mark.parametrize(
    ("names", "profile", "lost"),
    [
        (["cICP", "sRGB"], True, "the chunk cICP"),
        (["cHRM", "gAMA"], False, "the chunk cHRM and the chunk gAMA"),
        (["cHRM", "gAMA"], True, ""),
        (["cHRM", "gAMA", "sRGB", "sBIT"], False, ""),
        ([], False, ""),
    ],
)
def test_colours_that_another_format_has_no_place_for_are_named(
    tmp_path: Path, names: list[str], profile: bool, lost: str
) -> None:
    chunks = {name.encode(): CHUNKS[name.encode()] for name in names}
    info: dict[str, Any] = {"chunks": chunks} | ({"icc_profile": b"profile"} if profile else {})
    write_frame(Frame(random_pixels((16, 24, 3)), info), tmp_path / "a.png")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        process_file(tmp_path / "a.png", tmp_path / "b.jpg", unchanged)
    messages = [str(warning.message) for warning in caught]
    source, target = tmp_path / "a.png", tmp_path / "b.jpg"
    assert messages == ([f"{target}: written without {lost} of {source}"] if lost else [])


def test_the_chunks_of_srgb_are_not_missed(tmp_path: Path) -> None:
    chunks = {
        b"gAMA": (45455).to_bytes(4, "big"),
        b"cHRM": struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
    }
    save_with_chunks(tmp_path / "a.png", random_pixels((16, 24, 3)), chunks)
    process_file(tmp_path / "a.png", tmp_path / "b.jpg", unchanged)  # warnings are errors


def test_the_comment_of_jpeg_is_kept(tmp_path: Path) -> None:
    Image.fromarray(random_pixels((16, 16, 3))).save(tmp_path / "a.jpg", comment=b"hello")
    process_file(tmp_path / "a.jpg", tmp_path / "b.jpg", unchanged)
    with Image.open(tmp_path / "b.jpg") as image:
        assert image.info["comment"] == b"hello"


def test_a_resolution_that_a_tiff_does_not_have_is_not_made_up(tmp_path: Path) -> None:
    Image.fromarray(random_pixels((5, 7, 3))).save(tmp_path / "a.tif")
    process_file(tmp_path / "a.tif", tmp_path / "b.png", unchanged)
    with Image.open(tmp_path / "b.png") as image:
        assert "dpi" not in image.info


@pytest.mark.parametrize("frames", [1, 3])
@pytest.mark.parametrize("lossless", [True, False])
def test_webp_without_loss_stays_so(tmp_path: Path, frames: int, lossless: bool) -> None:
    images = [Image.fromarray(random_pixels((16, 24, 4)) + np.uint8(n)) for n in range(frames)]
    images[0].save(
        tmp_path / "a.webp",
        save_all=True,
        append_images=images[1:],
        lossless=lossless,
        exact=True,
        icc_profile=b"profile",
    )
    process_file(tmp_path / "a.webp", tmp_path / "b.webp", unchanged)
    before, after = frames_of(tmp_path / "a.webp"), frames_of(tmp_path / "b.webp")
    assert len(before) == len(after) == frames
    assert np.array_equal(np.stack(before), np.stack(after)) == lossless
    process_file(tmp_path / "a.webp", tmp_path / "c.webp", unchanged, quality=50)
    assert not np.array_equal(np.stack(before), np.stack(frames_of(tmp_path / "c.webp")))


@pytest.mark.parametrize("target", [".png", ".webp"])
def test_the_default_image_is_no_frame_of_the_animation(tmp_path: Path, target: str) -> None:
    images = [Image.new("RGB", (16, 12), colour) for colour in ("red", "green", "blue")]
    images[0].save(
        tmp_path / "a.png",
        save_all=True,
        append_images=images[1:],
        duration=[100, 200],
        default_image=True,
    )
    process_file(tmp_path / "a.png", tmp_path / f"b{target}", unchanged)
    with open_picture(tmp_path / f"b{target}") as file:
        frames = list(file.frames)
    if target == ".png":
        default = frames.pop(0)
        assert default.info["default_image"]
        np.testing.assert_array_equal(default.pixels, np.asarray(images[0]))
    assert [frame.info["duration"] for frame in frames] == [100, 200]


def test_pages_of_several_depths(tmp_path: Path, tifffile: Any) -> None:
    pages = [random_pixels((5, 7, 3)), random_pixels((5, 7, 3), "uint16"), random_pixels((4, 4))]
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        for page in pages:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack")
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    for result, page in zip(frames_of(tmp_path / "b.tif"), pages, strict=True):
        np.testing.assert_array_equal(result, page, strict=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_bigtiff_of_the_other_byte_order(tmp_path: Path, tifffile: Any, dtype: str) -> None:
    pixels = random_pixels((32, 48, 3), dtype)
    tifffile.imwrite(
        tmp_path / "a.tif", pixels, bigtiff=True, byteorder=">", photometric="rgb", iccprofile=b"p"
    )
    with pytest.warns(DanetWarning, match=r"b.tif: written without the tags of "):
        process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    with open_picture(tmp_path / "b.tif") as file:
        (frame,) = file.frames
    np.testing.assert_array_equal(frame.pixels, pixels)
    assert frame.info["icc_profile"] == b"p"


@pytest.mark.parametrize("codec", ["webp", "jpegxl", "jpeg2000", "zstd"])
def test_codecs_inside_tiff(tmp_path: Path, tifffile: Any, codec: str) -> None:
    pixels = np.full((32, 48, 3), 100, np.uint8)
    pixels[:, 24:] = 200
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", compression=codec)
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    (result,) = frames_of(tmp_path / "b.tif")
    assert np.abs(result.astype(int) - pixels).max() < 10


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_smaller_copies_are_named(tmp_path: Path, tifffile: Any, dtype: str) -> None:
    pixels = random_pixels((32, 48, 3), dtype)
    with tifffile.TiffWriter(tmp_path / "a.tif") as writer:
        writer.write(pixels, subifds=1, photometric="rgb", metadata=None)
        writer.write(pixels[::2, ::2], subfiletype=1, photometric="rgb", metadata=None)
    with pytest.warns(DanetWarning, match=r"b.tif: written without the pictures in SubIFDs of "):
        process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    (result,) = frames_of(tmp_path / "b.tif")
    np.testing.assert_array_equal(result, pixels)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_no_description_of_a_layout_that_is_no_more(
    tmp_path: Path, tifffile: Any, dtype: str
) -> None:
    pixels = random_pixels((3, 32, 48), dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", planarconfig="separate")
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert file.pages[0].description == ""
        np.testing.assert_array_equal(file.asarray(), np.moveaxis(pixels, 0, -1))


@pytest.mark.parametrize("planes", ["contig", "separate"])
def test_planes_are_put_together(tmp_path: Path, tifffile: Any, planes: str) -> None:
    pixels = random_pixels((16, 32, 3), "uint16")
    stored = np.moveaxis(pixels, 2, 0) if planes == "separate" else pixels
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planes)
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    np.testing.assert_array_equal(frames_of(tmp_path / "b.tif")[0], pixels)


@pytest.mark.parametrize("kind", ["unspecified", "assocalpha", "unassalpha"])
def test_a_fourth_channel_stays_what_it_is(tmp_path: Path, tifffile: Any, kind: str) -> None:
    pixels = random_pixels((5, 7, 4), "uint16")
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=[kind])
    process_file(tmp_path / "a.tif", tmp_path / "b.tif", unchanged)
    with tifffile.TiffFile(tmp_path / "b.tif") as file:
        assert [sample.name.lower() for sample in file.pages[0].extrasamples] == [kind]
        np.testing.assert_array_equal(file.asarray(), pixels)
    if kind == "unassalpha":
        process_file(tmp_path / "a.tif", tmp_path / "b.png", unchanged)
    else:
        with pytest.raises(ImageError, match=r"b\.png: PNG has no place for .*take \.tif"):
            process_file(tmp_path / "a.tif", tmp_path / "b.png", unchanged)


def test_values_of_12_bits_are_refused(tmp_path: Path, tifffile: Any) -> None:
    tifffile.imwrite(tmp_path / "a.tif", random_pixels((5, 8), "uint16"), photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.tif", mode="r+b") as file:
        file.pages[0].tags["BitsPerSample"].overwrite(12)
    with pytest.raises(ImageError, match=r"a\.tif: values of 12 bits are not supported"):
        frames_of(tmp_path / "a.tif")
