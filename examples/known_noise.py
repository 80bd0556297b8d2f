"""Teach a generator a noise that is known, by the discriminator alone, and see how near it comes.

``python examples/known_noise.py CLEAN FOLDER [UPDATES]``: clean pictures get noise of a law that is
written down here, blurred, mixed between the colours and growing with the light.  A generator
learns it from the pairs in the game of G and D of Algorithm 1.  As any number of true draws can be
made, what a perfect generator would score is known too.  A recipe that fails here will not
learn a camera.
"""

import sys
from pathlib import Path

import numpy as np

from danet import NoiseGenerator
from danet.bench import evaluate_noise
from danet.data import picture_files, source_pairs
from danet.images import read_image, write_image
from danet.noise import CorrelatedGaussian, PoissonGaussian, WhiteGaussian
from danet.train import make_config, train

DRAWS = 4  # of each picture to learn from
SHOWN = {
    "akld": "AKLD",
    "variance_distance": "variance",
    "channel_correlation_distance": "channels",
    "autocorrelation_distance": "lags",
    "power_spectrum_distance": "spectrum",
}


def known_law() -> CorrelatedGaussian:
    """Noise over some pixels and all colours, of deviation about .006 at black and .04 at white."""
    row = np.array([0.25, 0.7, 1, 0.7, 0.25])
    mixing = np.array([[1, 0.5, 0.3], [0.5, 1, 0.5], [0.3, 0.5, 1]])
    kernel = mixing[:, :, None, None] * np.outer(row, row)
    kernel /= np.sqrt(np.square(kernel).sum(axis=(1, 2, 3), keepdims=True))
    strength = PoissonGaussian((1.6e-3, 1e-3, 2e-3), (0.006, 0.005, 0.008), srgb=False)
    return CorrelatedGaussian(strength, kernel)


def write_pairs(clean: Path, folder: Path, law: CorrelatedGaussian) -> None:
    """Pairs in ``train`` and, of every eighth picture, ``val``."""
    for number, path in enumerate(picture_files(clean)):
        picture = read_image(path)
        part, draws = ("train", DRAWS) if number % 8 else ("val", 1)
        for draw, noisy in enumerate(law.stream(picture, draws, number)):
            name = f"{number}_{draw}.png"
            write_image(picture, folder / part / "clean" / name)
            write_image(noisy, folder / part / "noisy" / name)


def main(clean: Path, folder: Path, updates: int = 1000) -> None:
    """Make the pairs, train, and print how far each noise is from the true one."""
    law = known_law()
    write_pairs(clean, folder, law)
    pairs = [pair.read() for pair in source_pairs("folder", folder / "train")]
    fitted = PoissonGaussian.fit(pairs, srgb=False)
    greys = np.linspace(0, 1, 9, dtype=np.float32)[:, None, None].repeat(3, axis=2)
    config = make_config(
        "base-g",
        output=folder / "run",
        data={"root": folder / "train"},
        updates=updates,
        batch_size=32,
        patch_size=32,
        critic_width=32,
        critic_deviation=fitted.deviation(greys).mean(axis=(1, 2)).tolist(),
        generator={"backbone": "modulated", "latent_channels": 3},
        loss={"tau_generator": 0},
        optimizer={
            "generator": 5e-4,
            "discriminator": 4e-4,
            "schedule": "cosine",
            "warmup": 20,
            "average": 0.99,
        },
        checkpoint_every=100,
    )
    model = train(config)
    held = source_pairs("folder", folder / "val")
    noises = {
        "true draws": law,
        "white Gaussian, fitted": WhiteGaussian.fit(pairs),
        "generator": NoiseGenerator(model),
    }
    print("|".join(f"{head:>22}" for head in ["", *SHOWN.values()]))
    for name, noise in noises.items():
        means = evaluate_noise(held, noise, fakes=4, seed=1_000_000).means["generated"]
        print("|".join([f"{name:>22}", *(f"{means[key]:22.3f}" for key in SHOWN)]))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]), *map(int, sys.argv[3:]))
