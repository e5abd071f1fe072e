"""The search inside a ball that Madry, FGSM and TRADES share."""

from typing import Any

import pytest
import torch

from minnorm.errors import InputError
from minnorm.training.objectives.ball import checked_step_size, search_in_balls
from training.objectives.cases import problem

ARGUMENTS: dict[str, Any] = {"epsilon": 0.4, "norm": "linf", "steps": 5, "step_size": None}


def test_a_step_has_the_length_that_is_given_or_a_share_of_the_radius() -> None:
    assert checked_step_size(**ARGUMENTS) == pytest.approx(2.5 * 0.4 / 5)
    assert checked_step_size(**{**ARGUMENTS, "step_size": 0.03}) == 0.03


@pytest.mark.parametrize(
    "change",
    [
        {"epsilon": 0},
        {"epsilon": "0.4"},
        {"steps": 0},
        {"steps": 2.5},
        {"step_size": 0},
        {"step_size": -0.1},
        {"norm": "l0"},
        {"norm": "l1"},
    ],
)
def test_arguments_of_an_ascent_are_checked(change: dict[str, Any]) -> None:
    ((name, value),) = change.items()
    with pytest.raises(InputError, match=f"{value!r}|{value}") as caught:
        checked_step_size(**{**ARGUMENTS, **change})
    assert name in str(caught.value)


def test_a_search_is_untargeted_inside_the_unit_box_with_equal_radii() -> None:
    model, inputs, labels = problem()
    generator = torch.Generator().manual_seed(0)
    state = generator.get_state()
    opened = search_in_balls(model.eval(), inputs, labels, generator, epsilon=0.4, norm="linf")
    with opened as (search, radii):
        assert not generator.get_state().equal(state)  # the search is seeded from it
        assert radii.equal(torch.full((12,), 0.4))
        assert search.problem.norm == "linf"
        assert search.problem.bounds == (0.0, 1.0)
        assert not search.problem.goal.targeted
        assert search.problem.origins.equal(inputs)
