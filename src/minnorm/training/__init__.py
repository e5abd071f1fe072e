"""Training: recipes, objectives, and the one loop."""

from minnorm.training.objectives.clean import clean
from minnorm.training.objectives.closest import closest
from minnorm.training.objectives.contract import Adversarial, Objective
from minnorm.training.objectives.ddn import ddn
from minnorm.training.objectives.ensemble import ensemble
from minnorm.training.objectives.fgsm import fgsm
from minnorm.training.objectives.madry import madry
from minnorm.training.objectives.randomness import noise
from minnorm.training.objectives.registry import OBJECTIVES, load_objective
from minnorm.training.objectives.trades import trades
from minnorm.training.recipe import Recipe, RobustValidation
from minnorm.training.recipe_files import load_recipe, shipped_recipes
from minnorm.training.training import train
from minnorm.training.validation import accuracy, robust_accuracy

__all__ = [
    "OBJECTIVES",
    "Adversarial",
    "Objective",
    "Recipe",
    "RobustValidation",
    "accuracy",
    "clean",
    "closest",
    "ddn",
    "ensemble",
    "fgsm",
    "load_objective",
    "load_recipe",
    "madry",
    "noise",
    "robust_accuracy",
    "shipped_recipes",
    "trades",
    "train",
]


def __dir__() -> list[str]:
    return __all__
