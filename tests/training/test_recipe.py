"""The model of a recipe: its defaults, and the values that it refuses."""

from typing import Any

import pytest
from pydantic import ValidationError

from minnorm.models import zoo_cards
from minnorm.training import Recipe, RobustValidation, load_recipe
from minnorm.training.recipe import Optimizer, Schedule
from training.recipes import CONTENT


def a_recipe(**changes: Any) -> Recipe:
    return Recipe.model_validate({**CONTENT, **changes})


def test_a_recipe_has_defaults() -> None:
    recipe = a_recipe()
    assert (recipe.objective, recipe.precision, recipe.seed) == ("clean", "32-true", 0)
    assert (recipe.optimizer.name, recipe.optimizer.momentum) == ("sgd", 0.9)
    assert (recipe.optimizer.nesterov, recipe.optimizer.weight_decay) == (False, 0)
    assert recipe.schedule == Schedule(name="constant", milestones=(), factor=0.1, warmup=0)
    assert (recipe.augmentation, recipe.compile) == ((), False)
    optional = (recipe.initial, recipe.largest_gradient, recipe.ema, recipe.robust_validation)
    assert optional == (None,) * 4
    validation = RobustValidation(epsilon=1.0)
    assert (validation.attack, validation.images) == ("normal_pursuit(budget=30)", 500)


def test_a_recipe_written_as_json_is_the_same_when_read() -> None:
    validation = {"epsilon": 0.5, "attack": "ddn(steps=5)"}
    recipe = a_recipe(augmentation=["RandomCrop(size=28)"], robust_validation=validation)
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe


@pytest.mark.parametrize("name", sorted(zoo_cards()))
def test_the_recipe_of_every_network_of_the_zoo_is_shipped(name: str) -> None:
    assert Recipe.model_validate(zoo_cards()[name].recipe) == load_recipe(name)


def test_a_recipe_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        a_recipe().epochs = 4  # type: ignore[misc]  # what is tested


def test_adamw_has_no_momentum() -> None:
    assert Optimizer(name="adamw", learning_rate=0.1).momentum == 0
    for settings in ({"momentum": 0.9}, {"nesterov": True}):
        with pytest.raises(ValidationError, match=f"adamw takes no {next(iter(settings))}"):
            Optimizer(name="adamw", learning_rate=0.1, **settings)
    with pytest.raises(ValidationError, match="nesterov needs a momentum above 0"):
        Optimizer(learning_rate=0.1, momentum=0, nesterov=True)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"milestones": (2,)}, "constant takes no milestones; use name: milestones"),
        ({"name": "cosine", "milestones": (2,)}, "cosine takes no milestones"),
        ({"name": "milestones"}, "milestones are missing; set them, for example"),
        ({"name": "milestones", "milestones": (3, 2)}, r"\[3, 2\]: expected ascending order"),
        ({"name": "milestones", "milestones": (2, 2)}, r"\[2, 2\]: expected ascending order"),
        ({"name": "milestones", "milestones": (2,), "factor": 0}, "greater than 0"),
        ({"name": "milestones", "milestones": (2,), "factor": 1.1}, "less than or equal to 1"),
        ({"warmup": -1}, "greater than or equal to 0"),
    ],
)
def test_the_parts_of_a_schedule_fit_together(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Schedule(**settings)


@pytest.mark.parametrize(
    ("attack", "fits"),
    [
        ("pgd(epsilon=0.5)", True),
        ("ddn(steps=5)", True),
        ("pgd(epsilon=0.25)", False),
        ("worst_case(attacks=['pgd(epsilon=0.5)', 'ddn'])", True),
        ("worst_case(attacks=['ddn', 'pgd(epsilon=1)'])", False),
        ("bounded(attack='ddn', epsilon=1)", False),
    ],
)
def test_the_attack_of_the_validation_has_its_radius(attack: str, *, fits: bool) -> None:
    if fits:
        assert RobustValidation(attack=attack, epsilon=0.5).epsilon == 0.5
        return
    with pytest.raises(ValidationError, match=r"searches within another radius than epsilon=0\.5"):
        RobustValidation(attack=attack, epsilon=0.5)


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ({2: "clean"}, r"start at the epochs \[2\]; expected the first at 1 and the last at epoch"),
        ({1: "clean", 4: "clean"}, r"epochs \[1, 4\]; expected .* at epochs=3 or earlier"),
        ({0: "clean", 1: "clean"}, r"epochs \[0, 1\]; expected the first at 1"),
        ({}, r"epochs \[\]; expected the first"),
        ({1: "clan"}, "Did you mean 'clean'"),
        ({"one": "clean"}, "objective"),
    ],
)
def test_objectives_start_at_epochs_from_the_first_to_the_last(
    objective: dict[int, str], message: str
) -> None:
    with pytest.raises(ValidationError, match=message):
        a_recipe(objective=objective)


def test_objectives_by_epoch_are_sorted_and_the_same_when_read_again() -> None:
    recipe = a_recipe(objective={3: "madry(epsilon=0.3)", 1: "madry(epsilon=0.1)"})
    assert list(recipe.objectives.items()) == [(1, "madry(epsilon=0.1)"), (3, "madry(epsilon=0.3)")]
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert a_recipe(objective="clean").objectives == {1: "clean"}


@pytest.mark.parametrize("warmup", [2.5, 3])
def test_the_warmup_ends_before_the_last_epoch(warmup: float) -> None:
    if warmup < 3:
        assert a_recipe(schedule={"warmup": warmup}).schedule.warmup == warmup
        return
    with pytest.raises(ValidationError, match=r"schedule.warmup=3: expected less than epochs=3"):
        a_recipe(schedule={"warmup": warmup})


def test_numbers_may_be_fractions() -> None:
    validation = a_recipe(robust_validation={"epsilon": "8/255"}).robust_validation
    assert validation is not None
    assert validation.epsilon == 8 / 255
    assert a_recipe(optimizer={"learning_rate": "1/4"}).optimizer.learning_rate == 0.25
    with pytest.raises(ValidationError, match="valid number"):
        a_recipe(optimizer={"learning_rate": "1/0/2"})
    with pytest.raises(ValidationError, match="is not a number"):
        a_recipe(optimizer={"learning_rate": "1/0"})
