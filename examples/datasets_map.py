"""Denoise a data set of Hugging Face: ``python examples/datasets_map.py FOLDER OUTPUT``.

FOLDER has picture files, OUTPUT gets the data set with a column ``denoised``.
"""

import sys
from typing import Any

from datasets import load_dataset

from danet import Denoiser

denoiser = Denoiser()


def denoise(batch: dict[str, list[Any]]) -> dict[str, list[Any]]:
    """Pictures of one size are computed together."""
    return {"denoised": list(denoiser.map(batch["image"]))}


pictures = load_dataset("imagefolder", data_dir=sys.argv[1], split="train")
pictures.map(denoise, batched=True, batch_size=16).save_to_disk(sys.argv[2])
