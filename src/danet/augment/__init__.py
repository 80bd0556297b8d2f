"""Noise as a transform of data augmentation.

`danet.augment.torchvision` and `danet.augment.albumentations` have an ``AddNoise`` each, for the
pipelines of these libraries, which they need; here is what the two share, for any other pipeline.
"""

from danet.augment.adding import Noise, add_noise, check_settings, noise_source

__all__ = ["Noise", "add_noise", "check_settings", "noise_source"]
