"""A picture before and after, as one page for a browser."""

from __future__ import annotations

import base64
import html
import io
import os
from contextlib import suppress
from pathlib import Path
from string import Template

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms

from danet.errors import ImageError, check_count, one_line
from danet.files import atomic_write
from danet.images import Picture, open_picture, to_tensor
from danet.images.reading import check_size, upright
from danet.metrics.level import noise_level

__all__ = ["compare_files", "comparison_page"]

# The policy keeps a browser from fetching anything, whatever the page says.  100 % is one pixel of
# the screen for each of the picture, so the script divides by the screen's pixels per CSS pixel.
_PAGE = Template("""\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$title</title>
<style>
body { margin: 1rem auto; padding: 0 .75rem; max-width: 90rem; font: 1rem/1.5 sans-serif;
 color: #eee; background: #222; }
h1 { font-size: 1.3rem; overflow-wrap: anywhere; } h2 { font-size: 1.1rem; }
.box { overflow: auto; max-height: 75vh; width: fit-content; max-width: 100%; }
.pair { display: grid; width: max-content; }
.pair img { grid-area: 1 / 1; }
img { display: block; image-rendering: pixelated; }
#after { clip-path: inset(0 0 0 var(--cut, 50%)); }
#cut { display: block; width: 100%; height: 2.5rem; margin: 0 0 .5rem; }
.names { display: flex; justify-content: space-between; gap: 1rem; }
.names > * { overflow-wrap: anywhere; }
label { margin-right: 1.5rem; }
td, th { padding: .1rem .75rem .1rem 0; text-align: right; }
th:first-child { text-align: left; }
</style>
</head>
<body>
<h1>$title</h1>
<p>
<label><input type="radio" name="zoom" value="1" checked> 100 %</label>
<label><input type="radio" name="zoom" value="2"> 200 %</label>
</p>
<div class="names"><span>before: $before_name</span><span>after: $after_name</span></div>
<input type="range" id="cut" min="0" max="100" step="0.5" value="50"
 aria-label="where the picture before ends and the one after begins">
<div class="box" id="view"><div class="pair">
<img id="before" alt="before" width="$width" height="$height" src="$before">
<img id="after" alt="after" width="$width" height="$height" src="$after">
</div></div>
<h2>Noise level</h2>
<table>
<tr><th></th><th>red</th><th>green</th><th>blue</th></tr>
$levels
</table>
<p>Standard deviations where white is 255, as danet.metrics.noise_level estimates them from each
picture alone: low where noise is coarse, as in developed photographs, and high in fine texture.</p>
<h2>What was taken</h2>
<p>Before less after, times $factor, around grey.</p>
<div class="box"><img id="noise" alt="what was taken" width="$width" height="$height"
 src="$noise"></div>
<script>
const cut = document.getElementById("cut"), view = document.getElementById("view");
const after = document.getElementById("after");
function move() {
  const left = view.scrollLeft + view.clientWidth * cut.value / 100;
  after.style.setProperty("--cut", left + "px");
}
function show() {
  const zoom = document.querySelector("[name=zoom]:checked").value / (devicePixelRatio || 1);
  for (const image of document.images) {
    image.style.width = $width * zoom + "px";
    image.style.height = $height * zoom + "px";
  }
  move();
}
cut.addEventListener("input", move);
view.addEventListener("scroll", move);
addEventListener("resize", show);
for (const choice of document.getElementsByName("zoom")) choice.addEventListener("change", show);
show();
</script>
</body>
</html>
""")


def comparison_page(
    before: Picture,
    after: Picture,
    *,
    names: tuple[str, str] = ("before", "after"),
    title: str | None = None,
    factor: int = 8,
) -> str:
    """Show a picture before and after in one HTML page that needs no other file.

    It has a slider between the two at 100 and 200 %, what was taken, and the noise level of each
    by `danet.metrics.noise_level`.  The pictures are in it as lossless PNG of 8 bits, without
    transparency; what is deeper is rounded.  All numbers are taken for those of sRGB.

    Args:
        before: one picture as for `danet.images.to_tensor`.
        after: another, of the same size.
        names: of the two, as the page gives them.
        title: of the page; by default the two names.
        factor: how often the difference is enlarged.

    Returns:
        The text of the page.

    Raises:
        ImageError: a picture cannot be taken, or is more than one, or the sizes differ.
        ConfigError: ``factor`` is not a positive whole number.

    Example:
        >>> page = comparison_page(np.full((8, 9), 0.6), np.full((8, 9), 0.5), title="a < b")
        >>> "<title>a &lt; b</title>" in page
        True
    """
    check_count("factor", factor, 1)
    pictures = [_bytes(picture) for picture in (before, after)]
    (height, width), other = (pixels.shape[:2] for pixels in pictures)
    shown = [html.escape(one_line(name)) for name in names]
    if other != (height, width):
        raise ImageError(
            f"{names[0]} has {width} x {height} pixels and {names[1]} {other[1]} x {other[0]}; "
            "only pictures of one size can be compared"
        )
    taken = pictures[0].astype(np.int32) - pictures[1]
    noise = (128 + factor * taken).clip(0, 255).astype(np.uint8)
    return _PAGE.substitute(
        title=" and ".join(shown) if title is None else html.escape(one_line(title)),
        before_name=shown[0],
        after_name=shown[1],
        width=width,
        height=height,
        factor=factor,
        levels="\n".join(map(_row, ("before", "after"), pictures)),
        before=_data(pictures[0]),
        after=_data(pictures[1]),
        noise=_data(noise),
    )


def compare_files(
    before: str | os.PathLike[str],
    after: str | os.PathLike[str],
    page: str | os.PathLike[str],
    *,
    title: str | None = None,
    factor: int = 8,
) -> None:
    """Write the page of `comparison_page` for the first pictures of two files.

    They are turned upright, and brought to sRGB by their colour profiles.

    Args:
        before: a file that `danet.images.open_picture` takes.
        after: another, of the same size.
        page: the file to write, whole or not at all.
        title: of the page; by default the names of the two files.
        factor: how often the difference is enlarged.

    Raises:
        ImageError: a file cannot be read, or the sizes differ.
        ConfigError: ``factor`` is not a positive whole number.
        DanetError: the page cannot be written.
    """
    names = Path(before).name, Path(after).name
    text = comparison_page(_read(before), _read(after), names=names, title=title, factor=factor)
    with atomic_write(page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _read(path: str | os.PathLike[str]) -> Image.Image:
    with open_picture(path) as file:
        frame = next(file.frames)
        pixels = upright(frame)
        try:
            if pixels.ndim > 1:  # else it is no picture; of .npy files nobody has looked yet
                check_size(pixels.shape[1], pixels.shape[0])
            image = Image.fromarray(_bytes(pixels))
        except ImageError as error:
            raise ImageError(f"{path}: {error}") from error
    profile = io.BytesIO(frame.info.get("icc_profile") or b"")
    with suppress(ImageCms.PyCMSError, OSError):  # no profile, or one of other colours
        ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), inPlace=True)
    return image


def _bytes(picture: Picture) -> NDArray[np.uint8]:
    """H x W x 3 of one picture."""
    tensor, _ = to_tensor(picture)
    if len(tensor) != 1:
        raise ImageError(f"{len(tensor)} pictures in one tensor; give them one by one")
    pixels = np.rint(tensor[0].detach().cpu().permute(1, 2, 0).numpy() * 255)
    return np.ascontiguousarray(pixels, np.uint8)


def _row(name: str, pixels: NDArray[np.uint8]) -> str:
    levels = 255 * noise_level(pixels).channels
    return f"<tr><th>{name}</th>" + "".join(f"<td>{level:.2f}</td>" for level in levels) + "</tr>"


def _data(pixels: NDArray[np.uint8]) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
