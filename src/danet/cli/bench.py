"""The commands on benchmarks: ``danet evaluate``, ``evaluate-noise`` and ``submit``."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from danet.cli.console import add_network_arguments, at_least, given_path, network_settings
from danet.errors import ConfigError

__all__ = ["add_commands"]

# Those of danet.bench, which is too heavy to be imported for --help.
_HARMLESS = "harmless"
_DATASETS = ("sidd-val", "nam", "nam25", "cc15", "polyu", "sidd", "renoir", "folder")
_BASELINES = ("opencv-nlm", "bm3d", "skimage-wavelet")
# By the form of a submission, what it writes where nothing else is named.
_OUTPUTS = {"sidd-kaggle": "SubmitSrgb.csv", "sidd-mat": "SubmitSrgb.mat", "dnd": "dnd-submission"}


def add_commands(commands: Any) -> None:
    """Add the three commands to the subparsers of ``danet``."""
    evaluate = commands.add_parser("evaluate", help="measure a denoiser on a benchmark")
    _add_dataset_arguments(evaluate, "evaluation", (*_DATASETS, _HARMLESS))
    _add_ensemble_argument(evaluate)
    evaluate.add_argument(
        "--baseline",
        type=_baselines,
        default=[],
        metavar="NAMES",
        help=f"measure these as well, of {','.join(_BASELINES)}",
    )
    evaluate.set_defaults(command=_evaluate)

    noise = commands.add_parser("evaluate-noise", help="measure a generator on a benchmark")
    _add_dataset_arguments(noise, "evaluation-noise", _DATASETS)
    noise.add_argument(
        "-n",
        type=at_least(1),
        default=50,
        metavar="COUNT",
        help="noisy versions of each picture (default: %(default)s, as in the paper)",
    )
    noise.add_argument(
        "--pgap",
        type=given_path,
        metavar="PAIRS",
        help="measure PGap too, by training denoisers on this folder of real pairs of other "
        "scenes, on the train part of its split.json if there is one",
    )
    noise.add_argument(
        "--pgap-cache",
        type=given_path,
        metavar="FOLDER",
        help="keep these denoisers here, for other generators",
    )
    noise.set_defaults(command=_evaluate_noise)

    submit = commands.add_parser("submit", help="denoise a benchmark for its server")
    submit.add_argument(
        "form", choices=_OUTPUTS, metavar="FORM", help=f"one of {', '.join(_OUTPUTS)}"
    )
    submit.add_argument("root", type=given_path, metavar="ROOT", help="the folder of the data set")
    add_network_arguments(submit)
    _add_ensemble_argument(submit)
    submit.add_argument(
        "-o",
        "--output",
        type=given_path,
        metavar="OUT",
        help=f"what to write (default: {', '.join(_OUTPUTS.values())})",
    )
    submit.set_defaults(command=_submit)


def _add_dataset_arguments(
    parser: argparse.ArgumentParser, folder: str, datasets: Sequence[str]
) -> None:
    parser.add_argument(
        "root",
        type=given_path,
        metavar="ROOT",
        nargs="?" if _HARMLESS in datasets else None,
        help="the folder of the data set"
        + ("; harmless has pictures of its own" if _HARMLESS in datasets else ""),
    )
    parser.add_argument(
        "--dataset",
        required=True,
        choices=datasets,
        metavar="NAME",
        help=f"one of {', '.join(datasets)}",
    )
    add_network_arguments(parser)
    parser.add_argument(
        "--seed",
        type=at_least(0),
        default=0,
        help="of all that is drawn at random (default: %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--output",
        type=given_path,
        metavar="FOLDER",
        help=f"folder for report.json, .csv and .md (default: {folder}/NAME)",
    )
    parser.set_defaults(folder=Path(folder))


def _add_ensemble_argument(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--self-ensemble",
        action="store_true",
        help="take the mean over the eight flips and rotations, in eight times the time",
    )


def _baselines(text: str) -> list[str]:
    names = text.split(",")
    for name in names:
        if name not in _BASELINES:
            raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(_BASELINES)}")
    return names


def _evaluate(options: argparse.Namespace) -> int:
    from danet.bench import baseline, benchmark_pairs, evaluate, evaluate_harmless, network
    from danet.pretrained import Denoiser

    harmless = options.dataset == _HARMLESS
    if options.root is None and not harmless:
        raise ConfigError(f"the data set {options.dataset} needs ROOT, the folder of its files")
    baselines = {name: baseline(name) for name in options.baseline}
    denoiser = Denoiser.from_pretrained(options.weights, **network_settings(options))
    facts = _facts(options, denoiser) | {"self-ensemble": "yes" if options.self_ensemble else "no"}
    if baselines:
        import torch

        from danet.devices import hardware

        facts["baselines"] = f"noise level estimated, {hardware(torch.device('cpu'))}"
    methods = {"denoised": network(denoiser, ensemble=options.self_ensemble), **baselines}
    if harmless:
        facts["scores"] = "PSNR and its gains in dB, changes in grey levels of 255, stars as shares"
        report = evaluate_harmless(methods, options.root, seed=options.seed, facts=facts)
        return _finish(report, options)
    facts["scores"] = "PSNR in dB, SSIM per channel (2-D), each of pictures rounded to 8 bits"
    pairs = benchmark_pairs(options.dataset, options.root, seed=options.seed)
    return _finish(evaluate(pairs, methods, facts), options)


def _evaluate_noise(options: argparse.Namespace) -> int:
    from danet.bench import benchmark_pairs, evaluate_noise
    from danet.pretrained import NoiseGenerator

    generator = NoiseGenerator.from_pretrained(options.weights, **network_settings(options))
    pairs = benchmark_pairs(options.dataset, options.root, seed=options.seed)
    facts = _facts(options, generator)
    report = evaluate_noise(
        pairs,
        generator,
        fakes=options.n,
        seed=options.seed,
        facts=facts,
        train_pairs=_train_pairs(options.pgap) if options.pgap else (),
        cache=options.pgap_cache,
    )
    return _finish(report, options)


def _train_pairs(root: Path) -> Any:
    from danet.data import source_pairs

    layout = "polyu" if (root / "crops").is_dir() else "folder"
    return source_pairs(layout, root, part="train", kind="crops")


def _facts(options: argparse.Namespace, model: Any) -> dict[str, str | int]:
    from danet.bench import DATASETS, machine

    return {
        "dataset": f"{options.dataset}: {DATASETS.get(options.dataset, 'what should stay')}",
        "weights": options.weights,
        "seed": options.seed,
        "border": model.engine.border,
        "computed in": str(model.engine.runtime.resolved_dtype(model.device)).split(".")[1],
        **machine(model.device),
    }


def _finish(report: Any, options: argparse.Namespace) -> int:
    report.write(options.output or options.folder / options.dataset)
    print(report.as_markdown(), end="")
    return 0


def _submit(options: argparse.Namespace) -> int:
    from danet.bench import network, submit_dnd, submit_sidd_kaggle, submit_sidd_mat
    from danet.pretrained import Denoiser

    submit = {
        "sidd-kaggle": submit_sidd_kaggle,
        "sidd-mat": submit_sidd_mat,
        "dnd": submit_dnd,
    }[options.form]
    output = options.output or Path(_OUTPUTS[options.form])
    denoiser = Denoiser.from_pretrained(options.weights, **network_settings(options))
    submit(network(denoiser, ensemble=options.self_ensemble), options.root, output)
    print(output)
    return 0
