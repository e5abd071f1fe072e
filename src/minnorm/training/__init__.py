"""Training: recipes, objectives, and the one loop."""

from minnorm.training.loop import accuracy, train
from minnorm.training.objectives import OBJECTIVES, Objective, clean
from minnorm.training.recipe import Recipe, load_recipe, shipped_recipes

__all__ = [
    "OBJECTIVES",
    "Objective",
    "Recipe",
    "accuracy",
    "clean",
    "load_recipe",
    "shipped_recipes",
    "train",
]
