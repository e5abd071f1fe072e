"""The cosine schedule."""

import itertools
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnorm.errors import InputError
from minnorm.schedules import cosine

VALUES = st.floats(-1e6, 1e6)


@given(VALUES, VALUES, st.integers(2, 200))
def test_cosine_goes_from_the_initial_to_the_final_value(
    initial: float, final: float, steps: int
) -> None:
    values = cosine(initial, final, steps)
    assert len(values) == steps
    assert math.isclose(values[0], initial, rel_tol=1e-9, abs_tol=1e-9)
    assert math.isclose(values[-1], final, rel_tol=1e-9, abs_tol=1e-9)


@given(VALUES, VALUES, st.integers(2, 200))
def test_cosine_never_turns_back(initial: float, final: float, steps: int) -> None:
    values = cosine(min(initial, final), max(initial, final), steps)
    assert all(now <= after + 1e-9 for now, after in itertools.pairwise(values))


@given(VALUES, VALUES, st.integers(2, 50))
def test_cosine_is_symmetric_about_its_middle(initial: float, final: float, steps: int) -> None:
    forth, back = cosine(initial, final, steps), cosine(final, initial, steps)
    assert forth == pytest.approx(back[::-1], rel=1e-9, abs=1e-9)


def test_cosine_follows_half_a_cosine() -> None:
    assert cosine(1.0, 0.0, 4) == pytest.approx([1.0, 0.75, 0.25, 0.0])


def test_a_single_step_takes_the_initial_value() -> None:
    assert cosine(1.0, 0.1, 1) == [1.0]


@pytest.mark.parametrize("steps", [0, -3])
def test_a_schedule_without_steps_is_refused(steps: int) -> None:
    with pytest.raises(InputError, match=f"^steps={steps}: a schedule needs at least 1 step.$"):
        cosine(1.0, 0.1, steps)
