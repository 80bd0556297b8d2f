"""Model cards: what a repository on the Hub says of its networks."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from danet.networks import Kind

__all__ = ["CardFacts", "model_card"]

_PAPER = "https://arxiv.org/abs/2007.05946"
_USE: dict[Kind, tuple[str, str]] = {
    "denoiser": ("Denoiser", "clean = model(noisy)  # a PIL image, an array or a tensor"),
    "generator": ("NoiseGenerator", "noisy = model.sample(clean, n=4, seed=1)"),
}


@dataclass(frozen=True)
class CardFacts:
    """What a model card says beyond what the networks say of themselves.

    Attributes:
        licence: the Hub's identifier of the licence, such as ``apache-2.0``; ``other`` where the
            Hub knows none, and ``unknown`` where none is stated.
        data: what the networks were trained on.
        figures: for each data set the values of metrics, such as
            ``{"nam25": {"psnr": 41.55, "ssim": 0.98}}``.
        picture: a picture file that shows what they do.
        text: paragraphs of Markdown: limits, whose work it is, the terms of the licence.
    """

    licence: str = "unknown"
    data: Sequence[str] = ()
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    picture: str | os.PathLike[str] | None = None
    text: str = ""


def model_card(repository: str, kinds: Sequence[Kind], facts: CardFacts) -> str:
    """Write the ``README.md`` of a repository.

    Args:
        repository: ``organisation/repository``.
        kinds: the networks in it.
        facts: what else to say; its picture is named ``picture`` in the repository.

    Returns:
        Markdown with the metadata that the Hub reads: task, tags, library, licence, and the
        figures in its form ``model-index``.
    """
    from huggingface_hub import EvalResult, ModelCardData

    results = [
        EvalResult(
            task_type="image-to-image",
            dataset_type=dataset.lower().replace(" ", "-"),
            dataset_name=dataset,
            metric_type=metric,
            metric_name=metric.upper(),
            metric_value=value,
        )
        for dataset, metrics in facts.figures.items()
        for metric, value in metrics.items()
    ]
    tags = {"denoiser": "image-denoising", "generator": "noise-generation"}
    title = repository.rsplit("/", maxsplit=1)[-1]
    header = ModelCardData(
        model_name=title,
        library_name="danet",
        pipeline_tag="image-to-image",
        license=facts.licence,
        tags=[*(tags[kind] for kind in kinds), "pytorch"],
        eval_results=results or None,
    )
    parts = [f"---\n{header.to_yaml()}\n---", f"# {title}", _introduction(kinds)]
    if facts.picture is not None:
        parts.append(f"![Before and after](picture{Path(facts.picture).suffix})")
    parts += [facts.text] if facts.text else []
    for kind in kinds:
        name, call = _USE[kind]
        load = f'model = {name}.from_pretrained("{repository}")'
        parts.append(f"```python\nfrom danet import {name}\n\n{load}\n{call}\n```")
    parts.append(f"## Licence\n\n{_licence(facts.licence)}")
    data = "\n".join(f"- {entry}" for entry in facts.data)
    parts.append(f"## Trained on\n\n{data or 'Not recorded.'}")
    parts.append(f"## Measured\n\n{_table(facts.figures)}")
    return "\n\n".join(parts) + "\n"


def _introduction(kinds: Sequence[Kind]) -> str:
    what = " and a ".join("noise generator" if kind == "generator" else kind for kind in kinds)
    return (
        f"A {what} for pictures, for the library danet, after "
        f"[Dual Adversarial Network]({_PAPER}) (ECCV 2020)."
    )


def _licence(licence: str) -> str:
    return "None is stated." if licence == "unknown" else f"`{licence}`"


def _table(figures: Mapping[str, Mapping[str, float]]) -> str:
    rows = [
        f"| {dataset} | {metric.upper()} | {value:g} |"
        for dataset, metrics in figures.items()
        for metric, value in metrics.items()
    ]
    return "\n".join(["| data | metric | value |", "|---|---|---|", *rows]) if rows else "Nothing."
