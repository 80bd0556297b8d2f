"""Measure an update of a training by one process, and by several that share its batch.

    python benchmarks/distributed.py --processes 2

The same training of the denoiser, of `photo`'s size, is started alone and by torchrun, with one
thread for each process, on made pairs.  Printed are seconds an update, the median; how often
that goes into one process's; and the bytes that pass the loopback device for an update (Linux).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch
from PIL import Image

from danet.devices import hardware

CONFIG = """
output = "run"
mode = "denoiser"
updates = {updates}
batch_size = {batch}
patch_size = {patch}
workers = 0
log_every = 1
checkpoint_every = 1000000
device = "cpu"
[data]
root = "pairs"
"""


def passed() -> int:
    """Bytes that the loopback device has sent."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    (line,) = (line for line in lines if line.strip().startswith("lo:"))
    return int(line.split(":")[1].split()[8])


def measure(
    folder: Path, processes: int, updates: int, batch: int, patch: int
) -> tuple[float, float]:
    """Seconds and bytes of an update."""
    root = folder / f"{processes}-{updates}"
    for side in ("clean", "noisy"):
        (root / "pairs" / side).mkdir(parents=True)
        rng = np.random.default_rng(len(side))
        Image.fromarray(rng.integers(0, 256, (256, 256, 3), np.uint8)).save(
            root / "pairs" / side / "0.png"
        )
    (root / "config.toml").write_text(CONFIG.format(updates=updates, batch=batch, patch=patch))
    starter = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)]
    command = [sys.executable, *(starter if processes > 1 else []), "-m", "danet", "train"]
    before = passed()
    subprocess.run(
        [*command, "config.toml"],
        cwd=root,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        capture_output=True,
    )
    sent = passed() - before
    lines = (root / "run" / "log.jsonl").read_text().splitlines()
    seconds = [json.loads(line)["seconds"] for line in lines]
    return median(np.diff(seconds).tolist()), sent


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--updates", type=int, default=24)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--patch", type=int, default=96)
    options = parser.parse_args()
    torch.set_num_threads(1)
    size = options.batch, options.patch
    few = options.updates // 2
    print(f"{hardware(torch.device('cpu'))} each; {size[0]} patches of {size[1]} px an update")
    print("| processes | s an update | times one process | MB an update |")
    print("| --- | --- | --- | --- |")
    with TemporaryDirectory() as name:
        alone, _ = measure(Path(name), 1, options.updates, *size)
        print(f"| 1 | {alone:.2f} | 1 | 0 |")
        _, less = measure(Path(name), options.processes, few, *size)
        shared, more = measure(Path(name), options.processes, options.updates, *size)
        sent = (more - less) / (options.updates - few) / 1e6
        print(f"| {options.processes} | {shared:.2f} | {alone / shared:.2f} | {sent:.0f} |")


if __name__ == "__main__":
    main()
