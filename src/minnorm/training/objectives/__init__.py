"""Training objectives: `(model, inputs, labels) -> scalar loss`, one a file."""

from minnorm.training.objectives._clean import clean
from minnorm.training.objectives._closest import closest
from minnorm.training.objectives._ddn import ddn
from minnorm.training.objectives._ensemble import ensemble
from minnorm.training.objectives._fgsm import fgsm
from minnorm.training.objectives._madry import madry
from minnorm.training.objectives._trades import trades
from minnorm.training.objectives.contract import Adversarial, Objective, noise
from minnorm.training.objectives.registry import OBJECTIVES, load_objective

__all__ = [
    "OBJECTIVES",
    "Adversarial",
    "Objective",
    "clean",
    "closest",
    "ddn",
    "ensemble",
    "fgsm",
    "load_objective",
    "madry",
    "noise",
    "trades",
]
