"""Round numbers."""

import pytest

from minnorm.report.facts.round_numbers import round_down, round_numbers, round_up


def test_round_numbers_are_exact_decimals_in_order() -> None:
    assert round_numbers(0.1, 30) == [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0]
    assert round_numbers(0.1, 0.5, (1.0, 3.0)) == [0.1, 0.3]


@pytest.mark.parametrize(
    ("value", "below", "above"),
    [(1.0, 1.0, 1.0), (1.1, 1.0, 2.0), (0.03, 0.02, 0.05), (999.0, 500.0, 1000.0), (5.0, 5.0, 5.0)],
)
def test_a_value_is_between_its_neighbors(value: float, below: float, above: float) -> None:
    assert round_down(value) == below
    assert round_up(value) == above
