"""minnorm: minimum-norm attacks, robustness evaluation and robust training for PyTorch.

`minnorm.attack` finds the closest adversarials of a batch. `minnorm.evaluate` measures a model with
attacks. `minnorm.load_model` and `minnorm.load_data` load the model and the data that a spec names.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from minnorm import (
        acceleration,
        access,
        attacks,
        data,
        errors,
        evaluation,
        geometry,
        logits,
        models,
        paper,
        report,
        runtime,
        schedules,
        specs,
        training,
    )
    from minnorm.acceleration import accelerate
    from minnorm.attacks import Attack, AttackResult, Model, attack, ddn
    from minnorm.data import load_data
    from minnorm.evaluation import Evaluation, evaluate, load_run
    from minnorm.models import load_model

    __version__: str

__all__ = [
    "Attack",
    "AttackResult",
    "Evaluation",
    "Model",
    "accelerate",
    "acceleration",
    "access",
    "attack",
    "attacks",
    "data",
    "ddn",
    "errors",
    "evaluate",
    "evaluation",
    "geometry",
    "load_data",
    "load_model",
    "load_run",
    "logits",
    "models",
    "paper",
    "report",
    "runtime",
    "schedules",
    "specs",
    "training",
]

_MODULES = {
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
"""The module of each name, imported when the name is first used. `minnorm --help` imports this
package too, and must not wait for the import of PyTorch."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # slow to import

        return version("minnorm")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    if name in __all__:
        return importlib.import_module(f"minnorm.{name}")
    raise AttributeError(f"module 'minnorm' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*sorted(__all__), "__version__"]
