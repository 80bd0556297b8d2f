"""Several pictures of one scene: the frames of a video file, and bursts."""

from danet.video.burst import denoise_burst, denoise_burst_files
from danet.video.denoising import denoise_video
from danet.video.reading import SUFFIXES
from danet.video.writing import WRITABLE

__all__ = ["SUFFIXES", "WRITABLE", "denoise_burst", "denoise_burst_files", "denoise_video"]
