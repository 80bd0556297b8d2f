"""Pictures of every kind to tensors and back, and picture files."""

from typing import TYPE_CHECKING

from danet.images.conversion import ImageForm, Picture
from danet.images.light import Light
from danet.images.raw import SUFFIXES as RAW
from danet.images.reading import READABLE, Frame, PictureFile, open_picture, read_image, read_pixels
from danet.images.writing import format_of, process_file, write_frame, write_image
from danet.lazy import names_of

if TYPE_CHECKING:
    from danet.images.tensors import difference_from_tensor, from_tensor, stack, to_tensor
else:
    _TENSORS = ("difference_from_tensor", "from_tensor", "stack", "to_tensor")
    __getattr__ = names_of(__name__, dict.fromkeys(_TENSORS, "tensors"))

__all__ = [
    "RAW",
    "READABLE",
    "Frame",
    "ImageForm",
    "Light",
    "Picture",
    "PictureFile",
    "difference_from_tensor",
    "format_of",
    "from_tensor",
    "open_picture",
    "process_file",
    "read_image",
    "read_pixels",
    "stack",
    "to_tensor",
    "write_frame",
    "write_image",
]
