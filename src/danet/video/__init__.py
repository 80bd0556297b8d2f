"""Several pictures of one scene: the frames of a video file, and bursts."""

from typing import TYPE_CHECKING

from danet.lazy import names_of
from danet.video.reading import SUFFIXES
from danet.video.writing import WRITABLE

if TYPE_CHECKING:
    from danet.video.burst import denoise_burst, denoise_burst_files
    from danet.video.denoising import denoise_video
else:
    _PLACES = {
        "denoise_burst": "burst",
        "denoise_burst_files": "burst",
        "denoise_video": "denoising",
    }
    __getattr__ = names_of(__name__, _PLACES)

__all__ = ["SUFFIXES", "WRITABLE", "denoise_burst", "denoise_burst_files", "denoise_video"]
