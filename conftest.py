"""What tests and doctests need, most of it before anything is imported."""

import os
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

# On import, Albumentations asks PyPI for a newer version of itself.
os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"

collect_ignore = [
    f"src/danet/augment/{library}.py"
    for library in ("albumentations", "torchvision")
    if find_spec(library) is None
]


@pytest.fixture(scope="session", autouse=True)
def automatic_is_float32() -> Iterator[None]:
    """The type "auto" is float32 on every processor, as most tests compare exactly.

    A test of another type asks for it by name, and so runs on every processor too.  Programs
    that a test starts see the processor as it is, and have to ask for float32.
    """
    from danet import devices

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(devices, "_has_bfloat16", lambda: False)
        yield
