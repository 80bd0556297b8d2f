"""Pictures of every kind to tensors and back, and picture files."""

from danet.images.conversion import (
    ImageForm,
    Picture,
    difference_from_tensor,
    from_tensor,
    stack,
    to_tensor,
)
from danet.images.light import Light
from danet.images.raw import SUFFIXES as RAW
from danet.images.reading import READABLE, Frame, PictureFile, open_picture, read_image, read_pixels
from danet.images.writing import format_of, process_file, write_frame, write_image

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
