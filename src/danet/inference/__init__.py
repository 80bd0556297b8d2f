"""Networks applied to pictures of any size."""

from typing import TYPE_CHECKING

from danet.inference.automatic import FoundNoise
from danet.inference.ensemble import self_ensemble
from danet.inference.settings import EngineSettings
from danet.inference.treatment import Treatment
from danet.lazy import names_of

if TYPE_CHECKING:
    from danet.inference.engine import Engine
    from danet.inference.runtimes import Runtime
else:
    _PLACES = {"Engine": "engine", "Runtime": "runtimes"}
    __getattr__ = names_of(__name__, _PLACES)

__all__ = ["Engine", "EngineSettings", "FoundNoise", "Runtime", "Treatment", "self_ensemble"]
