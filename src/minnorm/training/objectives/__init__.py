"""Training objectives: `(model, inputs, labels) -> scalar loss`, one a file."""

from minnorm.training.objectives._clean import clean
from minnorm.training.objectives._ddn import ddn
from minnorm.training.objectives._madry import madry
from minnorm.training.objectives.contract import Objective
from minnorm.training.objectives.registry import OBJECTIVES, load_objective

__all__ = ["OBJECTIVES", "Objective", "clean", "ddn", "load_objective", "madry"]
