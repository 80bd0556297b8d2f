"""Networks applied to pictures of any size."""

from danet.inference.automatic import FoundNoise
from danet.inference.engine import Engine, EngineSettings
from danet.inference.ensemble import self_ensemble
from danet.inference.runtimes import Runtime
from danet.inference.treatment import Treatment

__all__ = ["Engine", "EngineSettings", "FoundNoise", "Runtime", "Treatment", "self_ensemble"]
