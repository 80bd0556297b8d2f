"""Teach a small denoiser what a large one gives, as photo-fast learned at last.

    DANET_DATA=... python docs/recipes/distill.py docs/recipes/photo-9-fast.toml

The run is that of the configuration, with its pairs, rates and average; but what is learned is
``share`` of the teacher's result and the rest of the truth.  The teacher says the same of the same
picture, whereas the truth differs from what can be known of it: so its lessons are less noisy.
"""

from __future__ import annotations

import argparse
import json
import math
import time
from pathlib import Path

import torch
from photo_6_gpu import Learner, error, rate_factor

from danet import weights
from danet.train import TrainConfig, read_config
from danet.train.batches import Sources, batches
from danet.train.distribution import join_team
from danet.train.record import describe


def distil(
    student: Learner, teacher_name: str, share: float, config: TrainConfig, log: Path
) -> None:
    """All updates of a run."""
    teacher = weights.load_network(weights.find(teacher_name, "denoiser"), "denoiser")
    teacher = teacher.to(memory_format=torch.channels_last).requires_grad_(False)
    team, device = join_team(torch.device("cpu"))
    sources = Sources(config)
    about = sources.record() | {"learns": f"R, {share:g} from {teacher_name}'s"}
    log.with_name("config.json").write_text(describe(config, data=about, device=device))
    drawn = batches(config, sources, team, start=0)
    started, factor = time.monotonic(), torch.zeros(())
    with log.open("w") as lines:
        for number in range(config.updates):
            (real,), extra = next(drawn)
            pairs = [real] if extra is None else [real, extra]
            clean, noisy = (
                torch.cat(parts).contiguous(memory_format=torch.channels_last)
                for parts in zip(*pairs, strict=True)
            )
            with torch.autocast(device.type, torch.bfloat16):
                with torch.no_grad():
                    target = clean.lerp(teacher(noisy).float(), share)
                denoised = student.network(noisy).float()
            loss = error(denoised, target)
            loss.backward()
            student.step(factor.fill_(rate_factor(number, number / config.updates, config)))
            if (number + 1) % config.log_every == 0:
                seconds = round(time.monotonic() - started, 1)
                found = error(denoised.detach(), clean).item()
                assert math.isfinite(found)
                line = {"update": number + 1, "seconds": seconds, "denoiser/error": found}
                print(json.dumps(line), file=lines, flush=True)
    drawn.close()


def main() -> None:
    """Distil, and save the student."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("config", type=Path)
    parser.add_argument("--teacher", default="photo")
    parser.add_argument("--share", type=float, default=0.8)
    options = parser.parse_args()
    config = read_config(options.config, [])
    assert config.init_from is not None
    student = weights.load_network(weights.find(config.init_from, "denoiser"), "denoiser")
    config.output.mkdir(parents=True, exist_ok=True)
    learner = Learner(student, torch.device("cpu"), config)
    distil(learner, options.teacher, options.share, config, config.output / "log.jsonl")
    learner.save(config.output / "model" / "denoiser")


if __name__ == "__main__":
    main()
