"""Pictures by the million, on many processes and machines."""

from danet.scale.denoising import Summary, denoise_all

__all__ = ["Summary", "denoise_all"]
