"""Training: recipes, objectives, and the one loop."""

from minnorm.training._train import train
from minnorm.training.objectives import (
    OBJECTIVES,
    Adversarial,
    Objective,
    clean,
    closest,
    ddn,
    ensemble,
    fgsm,
    load_objective,
    madry,
    noise,
    trades,
)
from minnorm.training.recipe import Recipe, RobustValidation, load_recipe, shipped_recipes
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
