"""Open danet's weights with spandrel: ``python examples/spandrel_danet.py WEIGHTS NOISY CLEAN``.

WEIGHTS is the ``model.safetensors`` of a denoiser with the backbone unet or half-unet.  spandrel
has no architecture for it, and `DANet` is one.  A program that loads models by spandrel takes the
file once ``MAIN_REGISTRY.add`` has run in its process; for ComfyUI put this file in
``custom_nodes``.
"""

import sys
from typing import Any

import torch
from spandrel import MAIN_REGISTRY, Architecture, ArchSupport, ImageModelDescriptor, ModelLoader
from spandrel import SizeRequirements as Sizes
from spandrel.util import get_seq_len

from danet.images import from_tensor, read_image, to_tensor, write_image
from danet.networks import DenoiserNetwork, build


class DANet(Architecture[DenoiserNetwork]):
    """The denoiser with the paper's UNet, on whole or on half as many rows and columns."""

    def __init__(self) -> None:
        super().__init__(id="DANet", detect=lambda weights: _prefix(weights) is not None)

    def load(self, state_dict: dict[str, Any]) -> ImageModelDescriptor[DenoiserNetwork]:
        """The network of the weights' width and depth, for pictures in [0, 1]."""
        prefix = _prefix(state_dict)
        network = build(
            "denoiser",
            "half-unet" if prefix else "unet",
            width=len(state_dict[f"{prefix}down_path.0.block.0.weight"]),
            depth=get_seq_len(state_dict, f"{prefix}down_path"),
        )
        return ImageModelDescriptor(
            network,
            {f"backbone.{name}": tensor for name, tensor in state_dict.items()},
            architecture=self,
            purpose="Restoration",
            tags=[],
            supports_half=False,
            supports_bfloat16=False,
            scale=1,
            input_channels=3,
            output_channels=3,
            size_requirements=Sizes(multiple_of=network.size_multiple),
        )


def _prefix(weights: dict[str, Any]) -> str | None:
    for prefix, channels in (("", 3), ("unet.", 12)):
        first, last = f"{prefix}down_path.0.block.0.weight", f"{prefix}last.weight"
        if first in weights and last in weights and weights[first].shape[1] == channels:
            return prefix
    return None


MAIN_REGISTRY.add(ArchSupport.from_architecture(DANet()))
NODE_CLASS_MAPPINGS: dict[str, type] = {}  # ComfyUI asks custom nodes for it

if __name__ == "__main__":
    model = ModelLoader().load_from_file(sys.argv[1]).eval()
    noisy, form = to_tensor(read_image(sys.argv[2]))
    with torch.inference_mode():
        write_image(from_tensor(model(noisy), form), sys.argv[3])
    print(f"{model.architecture.name}, sizes in multiples of {model.size_requirements.multiple_of}")
