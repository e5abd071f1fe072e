"""minnorm: the smallest change that makes a classifier wrong, and models for which it is large.

`minnorm.attack` finds the closest adversarials of a batch, `minnorm.evaluate` measures a model with
attacks, `minnorm.load_model` and `minnorm.load_data` turn words into models and data.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minnorm.acceleration import accelerate
    from minnorm.attacks import Attack, AttackResult, Model, attack, ddn
    from minnorm.data import load_data
    from minnorm.evaluation import Evaluation, evaluate, load_run
    from minnorm.models import load_model

__all__ = [
    "Attack",
    "AttackResult",
    "Evaluation",
    "Model",
    "accelerate",
    "attack",
    "ddn",
    "evaluate",
    "load_data",
    "load_model",
    "load_run",
]

# The command line answers `--help` without PyTorch, so the names are brought in when asked for.
_HOMES = {
    "Attack": "minnorm.attacks",
    "AttackResult": "minnorm.attacks",
    "Evaluation": "minnorm.evaluation",
    "Model": "minnorm.attacks",
    "accelerate": "minnorm.acceleration",
    "attack": "minnorm.attacks",
    "ddn": "minnorm.attacks",
    "evaluate": "minnorm.evaluation",
    "load_data": "minnorm.data",
    "load_model": "minnorm.models",
    "load_run": "minnorm.evaluation",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'minnorm' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
