"""Training: recipes, objectives, and the one loop."""

from minnorm.training.loop import accuracy, train
from minnorm.training.objectives import (
    OBJECTIVES,
    Objective,
    clean,
    ddn,
    load_objective,
    madry,
)
from minnorm.training.recipe import Recipe, load_recipe, shipped_recipes

__all__ = [
    "OBJECTIVES",
    "Objective",
    "Recipe",
    "accuracy",
    "clean",
    "ddn",
    "load_objective",
    "load_recipe",
    "madry",
    "shipped_recipes",
    "train",
]
