"""Measure weights on PolyU's val crops, nam25, blocks of SIDD's validation set and clean pictures.

    DANET_DATA=... python tools/shipped_weights.py --weights photo -o photo.json

PSNR and SSIM of noisy and denoised pictures, PSNR of Kodak's clean pictures after denoising, and
AKLD of generated noise beside that of Gaussian noise with the pair's own standard deviation.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tqdm import tqdm

import danet
from danet import data, metrics
from danet.devices import hardware
from danet.weights import find_if_there

Pictures = Sequence[tuple[NDArray[np.uint8], NDArray[np.uint8]]]


def denoising(denoiser: danet.Denoiser, pairs: Pictures, name: str) -> dict[str, Any]:
    """Mean PSNR and SSIM before and after, the smallest gain, and the time."""
    rows, seconds, pixels = [], 0.0, 0
    for clean, noisy in tqdm(pairs, desc=name):
        started = time.perf_counter()
        denoised = denoiser(noisy)
        seconds += time.perf_counter() - started
        pixels += clean.shape[0] * clean.shape[1]
        rows.append([measure(clean, y) for y in (noisy, denoised) for measure in MEASURES])
    table = np.array(rows)
    means = table.mean(axis=0)
    return {
        "pictures": len(rows),
        "noisy": {"psnr": means[0], "ssim": means[1]},
        "denoised": {"psnr": means[2], "ssim": means[3]},
        "smallest_gain_db": (table[:, 2] - table[:, 0]).min(),
        "pictures_made_worse": int((table[:, 2] < table[:, 0]).sum()),
        "seconds_per_megapixel": seconds / pixels * 1e6,
    }


MEASURES = (metrics.psnr, metrics.ssim)


def fidelity(denoiser: danet.Denoiser, pictures: Sequence[NDArray[np.uint8]]) -> dict[str, Any]:
    """PSNR of clean pictures that were denoised, against themselves."""
    scores = [metrics.psnr(picture, denoiser(picture)) for picture in tqdm(pictures, desc="clean")]
    return {"pictures": len(scores), "psnr": float(np.mean(scores)), "worst": min(scores)}


def generation(generator: danet.NoiseGenerator, pairs: Pictures, fakes: int) -> dict[str, Any]:
    """Mean AKLD of generated and of Gaussian noise, both as strong as the real one."""

    def gaussian(clean: NDArray[np.float32], noisy: NDArray[np.float32]) -> Iterator[Any]:
        rng, deviation = np.random.default_rng(0), (noisy - clean).std()
        for _ in range(fakes):
            yield clean + rng.normal(0, deviation, clean.shape).astype(np.float32)

    generated, white = [], []
    for pair in tqdm(pairs, desc="AKLD"):
        clean, noisy = (picture.astype(np.float32) / 255 for picture in pair)
        level = float(metrics.noise_level(noisy, noisy - clean).channels.mean())
        versions = generator.stream(clean, fakes, seed=0, level=level)
        generated.append(metrics.akld(clean, noisy, versions))
        white.append(metrics.akld(clean, noisy, gaussian(clean, noisy)))
    return {
        "pictures": len(pairs),
        "fakes": fakes,
        "akld": float(np.mean(generated)),
        "akld_gaussian": float(np.mean(white)),
    }


def measure_all(weights: str, root: Path, fakes: int = 10) -> dict[str, Any]:
    """Everything, with what it depends on."""
    polyu = [data.read_pair(pair) for pair in data.polyu_pairs(root / "polyu", "val")]
    nam = [data.read_pair(pair) for pair in data.folder_pairs(root / "nam25")]
    sidd = [data.read_pair(pair) for pair in data.folder_pairs(root / "sidd_val")]
    clean = [data.read_picture(path) for path in data.picture_files(root / "kodak")]
    denoiser = danet.Denoiser.from_pretrained(weights)
    result = {
        "weights": weights,
        "polyu_val_crops": denoising(denoiser, polyu, "PolyU val"),
        "nam25": denoising(denoiser, nam, "nam25"),
        "sidd_val": denoising(denoiser, sidd, "SIDD val"),
        "clean": fidelity(denoiser, clean),
        "dtype": str(denoiser.engine.runtime.resolved_dtype(denoiser.device)).split(".")[1],
        "hardware": hardware(denoiser.device),
        "versions": {"danet": danet.__version__, "torch": torch.__version__},
    }
    if find_if_there(weights, "generator"):
        generator = danet.NoiseGenerator.from_pretrained(weights)
        result["generation"] = generation(generator, polyu, fakes)
    return result


def add_data_argument(parser: argparse.ArgumentParser) -> None:
    """The folder that holds polyu/, nam25/, sidd_val/ and kodak/."""
    root = os.environ.get("DANET_DATA")
    parser.add_argument("--data", type=Path, default=root, required=root is None)


def main() -> None:
    """Measure, and write or print JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--weights", default="photo")
    add_data_argument(parser)
    parser.add_argument("--fakes", type=int, default=10)
    parser.add_argument("-o", "--output", type=Path)
    options = parser.parse_args()
    result = json.dumps(measure_all(options.weights, options.data, options.fakes), indent=1)
    if options.output:
        options.output.write_text(result + "\n")
    else:
        print(result)


if __name__ == "__main__":
    main()
