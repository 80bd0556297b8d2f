"""Measures of denoised pictures and of generated noise, for anyone's pictures and models.

Every picture may be a PIL image, a NumPy array or a torch tensor, as ``danet.Denoiser``
takes it; integers are scaled to [0, 1].  The result for tensors of N pictures is the mean
over the pictures.  No model of danet is loaded, but by `pgap` when it is called, which trains.

``danet.metrics.classes``, imported only when asked for, has the same measures as
``torchmetrics.Metric`` classes that reduce over processes.
"""

from danet.metrics.divergence import AKLD_PRESETS, AkldReport, akld, akld_report
from danet.metrics.gap import PGap, TrainDenoiser, TrainedDenoiser, pgap
from danet.metrics.histograms import KLD_PRESETS, kld
from danet.metrics.level import noise_level
from danet.metrics.plots import compare_noise
from danet.metrics.quality import check_pair, psnr, ssim
from danet.metrics.statistics import NoiseDistances, NoiseStatistics, noise_statistics

__all__ = [
    "AKLD_PRESETS",
    "KLD_PRESETS",
    "AkldReport",
    "NoiseDistances",
    "NoiseStatistics",
    "PGap",
    "TrainDenoiser",
    "TrainedDenoiser",
    "akld",
    "akld_report",
    "check_pair",
    "compare_noise",
    "kld",
    "noise_level",
    "noise_statistics",
    "pgap",
    "psnr",
    "ssim",
]
