"""Checks of numbers, counts and choices."""

import math
import re
from typing import Any

import numpy as np
import pytest

from minnorm.checks import check_choice, check_count, check_flag, check_number
from minnorm.errors import InputError


@pytest.mark.parametrize("value", [1, 7, 2**70, np.int64(3)])
def test_whole_numbers_from_1_are_counts(value: Any) -> None:
    check_count("steps", value)


@pytest.mark.parametrize("value", [0, -1, True, 1.0, np.float32(2), "3", None, math.nan])
def test_other_values_are_not_counts(value: Any) -> None:
    message = f"steps={value!r}: expected a whole number of at least 1."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_count("steps", value)


def test_a_count_has_a_smallest_and_a_largest_value() -> None:
    for value in (0, 3):
        check_count("steps", value, least=0, most=3)
    for value in (-1, 4):
        message = f"steps={value}: expected a whole number of at least 0 and at most 3."
        with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
            check_count("steps", value, least=0, most=3)


@pytest.mark.parametrize("value", [1, 0.5, 1e-300, 9.9e29, np.float64(2), np.int32(2)])
def test_positive_numbers_pass(value: Any) -> None:
    check_number("gamma", value, 0)


@pytest.mark.parametrize("value", [0, -1, 1e30, math.inf, math.nan, True, "1", None, 1 + 2j])
def test_other_values_are_not_positive_numbers(value: Any) -> None:
    message = f"gamma={value!r}: expected a number above 0."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_number("gamma", value, 0)


@pytest.mark.parametrize(
    ("value", "inclusive", "message"),
    [
        (0, False, "gamma=0: expected a number above 0 and below 1."),
        (1, False, "gamma=1: expected a number above 0 and below 1."),
        (1, True, "gamma=1: expected a number of at least 0 and below 1."),
        (-0.5, True, "gamma=-0.5: expected a number of at least 0 and below 1."),
    ],
)
def test_the_lower_limit_passes_only_if_inclusive_and_the_upper_never(
    value: float, inclusive: bool, message: str
) -> None:
    check_number("gamma", 0.5, 0, 1, inclusive=inclusive)
    check_number("gamma", 0, 0, 1, inclusive=True)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_number("gamma", value, 0, 1, inclusive=inclusive)


def test_a_choice_is_one_of_the_words() -> None:
    check_choice("norm", "l2", ["l1", "l2"])
    check_choice("norm", "l2", iter(["l1", "l2"]))


@pytest.mark.parametrize("value", ["L2", "", None, 2, ["l2"]])
def test_another_value_is_no_choice(value: Any) -> None:
    message = f"norm={value!r}: expected one of 'l1', 'l2'."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_choice("norm", value, iter(["l1", "l2"]))


def test_truth_values_are_flags() -> None:
    for value in (True, False):
        check_flag("targeted", value)


@pytest.mark.parametrize("value", [0, 1, "yes", None, np.True_])
def test_other_values_are_not_flags(value: Any) -> None:
    with pytest.raises(InputError, match=rf"^targeted={value!r}: expected True or False\.$"):
        check_flag("targeted", value)
