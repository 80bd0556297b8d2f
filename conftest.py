"""What tests and doctests need before anything is imported."""

import os
from importlib.util import find_spec

# On import, Albumentations asks PyPI for a newer version of itself.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

collect_ignore = [
    f"src/danet/augment/{library}.py"
    for library in ("albumentations", "torchvision")
    if find_spec(library) is None
]
