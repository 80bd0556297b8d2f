"""The protocols of the field's benchmarks: measuring denoisers and generators, and submissions."""

from danet.bench.datasets import DATASETS, benchmark_pairs
from danet.bench.evaluate import evaluate, evaluate_noise, machine
from danet.bench.harmless import bundled_pictures, evaluate_harmless
from danet.bench.methods import BASELINES, Denoise, baseline, network
from danet.bench.report import Report
from danet.bench.submit import submit_dnd, submit_sidd_kaggle, submit_sidd_mat

__all__ = [
    "BASELINES",
    "DATASETS",
    "Denoise",
    "Report",
    "baseline",
    "benchmark_pairs",
    "bundled_pictures",
    "evaluate",
    "evaluate_harmless",
    "evaluate_noise",
    "machine",
    "network",
    "submit_dnd",
    "submit_sidd_kaggle",
    "submit_sidd_mat",
]
