"""Measure the steadiness of denoised frames, and what a burst gains.

    python benchmarks/video.py frames
    python benchmarks/video.py burst --pictures FOLDER --level 0.035

Frames are 256 x 320 crops of clean pictures, each with fresh noise: of a still scene, of one that
is panned, and of one before which a disc of another picture moves.  Flicker is the standard
deviation over time, of the still scene alone, as a share of that of the noisy frames.  The edge is
a ring of 30 pixels along the disc's rim, where things are covered and uncovered.  The pictures of
a burst are shifted by up to 8 pixels and turned by up to half a degree.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from skimage import data

from danet import Denoiser, NoiseGenerator
from danet.images import read_image
from danet.noise import CorrelatedGaussian, PoissonGaussian
from danet.video.alignment import Shot, steadied
from danet.video.burst import denoise_burst

Array = NDArray[np.float32]
Sample = Callable[..., Any]

SIZE = 256, 320
FRAMES = 9
RADIUS = 45
BEYOND = 3  # of the frames, at each end, that are not measured

STRENGTHS = (0.5, 0.75, 1.0)


def place(picture: Array, turn: float, down: float, right: float) -> Array:
    """A crop of a picture, turned by some degrees, at any place, by bicubic interpolation."""
    height, width = picture.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), turn, 1)
    matrix[:, 2] -= (right, down)
    moved = cv2.warpAffine(picture, matrix, SIZE[::-1], flags=cv2.INTER_CUBIC)
    return np.clip(moved, 0, 1)


def rim(time: int) -> Array:
    """The distance of every pixel from the centre of the disc."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    return np.hypot(columns - 60 - 9 * time, rows - 128 - 3 * time)


def scene(kind: str, picture: Array, other: Array) -> list[Array]:
    """The clean frames of a scene."""
    if kind == "still":
        return [place(picture, 0, 20, 40)] * FRAMES
    if kind == "panned":
        return [place(picture, 0, 10 + 1.3 * time, 30 + 3.7 * time) for time in range(FRAMES)]
    frames = []
    for time in range(FRAMES):
        share = np.clip(RADIUS - rim(time), 0, 1)[..., None]
        disc = place(other, 0, 128 - 3 * time, 200 - 9 * time)
        frames.append(share * disc + (1 - share) * place(picture, 0, 20, 40))
    return frames


def psnr(clean: Array, picture: Array, where: Any = ...) -> float:
    """In dB, of some pixels."""
    return float(-10 * np.log10(np.mean(np.square(clean - picture)[where])))


def camera(deviation: float, grain: float) -> CorrelatedGaussian:
    """Noise of a standard deviation, blurred by a Gaussian window."""
    kernel = np.zeros((3, 3, 7, 7))
    window = cv2.getGaussianKernel(7, max(grain, 0.01))
    for channel in range(3):
        kernel[channel, channel] = window @ window.T / np.linalg.norm(window @ window.T)
    return CorrelatedGaussian(PoissonGaussian((0, 0, 0), 3 * (deviation,), srgb=False), kernel)


def measure_frames(denoiser: Denoiser, pictures: list[Array], noise: Sample) -> None:
    """Print PSNR and flicker of scenes, for several reaches."""
    reaches = (0, 1, 2, 3)
    for kind in ("still", "panned", "moving"):
        scores: dict[int, list[list[float]]] = {reach: [] for reach in reaches}
        for picture, other in zip(pictures, pictures[1:] + pictures[:1], strict=True):
            clean = scene(kind, picture, other)
            noisy = [noise(frame, n=1, seed=seed)[0] for seed, frame in enumerate(clean)]
            shots = [Shot(frame, denoiser(frame)) for frame in noisy]
            times = range(BEYOND, FRAMES - BEYOND)
            for reach in reaches:
                frames = list(steadied(shots, reach))
                row = [np.mean([psnr(clean[time], frames[time]) for time in times])]
                if kind == "still":
                    row.append(np.std(frames, axis=0).mean() / np.std(noisy, axis=0).mean())
                if kind == "moving":
                    edges = [abs(rim(time) - RADIUS) < 15 for time in times]
                    edge = zip(times, edges, strict=True)
                    row.append(np.mean([psnr(clean[t], frames[t], where) for t, where in edge]))
                scores[reach].append(row)
        for reach, rows in scores.items():
            means = np.mean(rows, axis=0)
            word = {"still": "flicker {:.3f}", "moving": "at the edge {:.2f} dB"}.get(kind, "")
            more = word.format(*means[1:])
            print(f"{kind}, temporal {reach}: {means[0]:.2f} dB {more}", flush=True)


def measure_burst(denoiser: Denoiser, pictures: list[Array], noise: Sample) -> None:
    """Print PSNR of one picture denoised, of the mean, and of the mean denoised."""
    for count in (2, 4, 8):
        rows = []
        for number, picture in enumerate(pictures):
            rng = np.random.default_rng(number)
            moves = np.vstack([(0, 0, 0), rng.uniform(-1, 1, (count - 1, 3)) * (0.5, 8, 8)])
            clean = [place(picture, *(move + np.array([0, 40, 60]))) for move in moves]
            noisy = [noise(frame, n=1, seed=seed)[0] for seed, frame in enumerate(clean)]
            results = [denoiser(noisy[0])]
            results += [denoise_burst(denoiser, noisy, strength=share) for share in (0, *STRENGTHS)]
            rows.append([psnr(clean[0], result) for result in results])
        names = ("one, denoised", "mean", *(f"mean, denoised by {share}" for share in STRENGTHS))
        means = zip(names, np.mean(rows, axis=0), strict=True)
        worst = np.min(np.subtract(rows, np.array(rows)[:, :1])[:, -1])
        print(f"{count} pictures:", ", ".join(f"{name} {mean:.2f} dB" for name, mean in means))
        print(f"    the least gain of the last over the first: {worst:.2f} dB", flush=True)


def given(folder: Path | None) -> Iterator[Array]:
    """The pictures of a folder, or four that scikit-image has."""
    if folder is None:
        found = [data.astronaut(), data.coffee(), data.chelsea(), data.rocket()]
    else:
        found = [np.asarray(read_image(path)) for path in sorted(folder.iterdir())]
    for picture in found:
        yield picture[..., :3].astype(np.float32) / 255


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("what", choices=("frames", "burst"))
    parser.add_argument("--pictures", type=Path, metavar="FOLDER", help="clean, from 300 x 400")
    parser.add_argument("--count", type=int, default=4, help="of the folder")
    parser.add_argument("--weights", default="photo")
    parser.add_argument("--deviation", type=float, default=16 / 255)
    parser.add_argument("--grain", type=float, default=0.7, help="of the noise, in pixels")
    parser.add_argument("--level", type=float, help="of noise of danet's generator instead")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pictures = list(islice(given(options.pictures), options.count))
    measure = measure_frames if options.what == "frames" else measure_burst
    noise = camera(options.deviation, options.grain).sample
    if options.level is not None:
        noise = partial(NoiseGenerator().sample, level=options.level)
    measure(Denoiser(options.weights), pictures, noise)


if __name__ == "__main__":
    main()
