"""Bounds and masks as users give them: what is refused, and what becomes of the rest."""

import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from minnorm import box_arguments
from minnorm.errors import InputError


@pytest.mark.parametrize(
    ("bounds", "message"),
    [
        ((torch.ones(2), torch.zeros(2)), r"the bounds at \[0\] are 1 and 0: expected low <= high"),
        ((torch.tensor([0.0, math.nan]), 1.0), r"the bounds at \[1\] are nan and 1"),
        ((torch.tensor([math.inf]), math.inf), r"the bounds at \[0\] are inf and inf"),
        ((torch.zeros(2), torch.ones(3)), r"the low bounds have shape \[2\], the high ones \[3\]"),
        ((torch.zeros(2, dtype=torch.bool), 1.0), r"a Tensor of shape \[2\] and dtype torch.bool"),
        ((np.array(["a"]), 1.0), r"a ndarray of shape \[1\] and dtype <U1"),
        ((0, 10**400), "expected .low, high., two numbers"),
        ((0.0, 1.0, torch.ones(2)), "expected .low, high., two numbers .* or tensors"),
    ],
)
def test_bad_bounds_are_refused(bounds: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        box_arguments.bounds_of(bounds)


def test_equal_bounds_arrays_and_whole_numbers_are_bounds() -> None:
    low, high = box_arguments.bounds_of([np.zeros(2), np.array([0, 1])])
    assert isinstance(low, Tensor)
    assert isinstance(high, Tensor)
    assert high.tolist() == [0, 1]
    numbers = box_arguments.bounds_of((np.float64(0), Fraction(1, 2)))
    assert [type(number) for number in numbers] == [float, float]
    assert numbers == (0, 0.5)


@pytest.mark.parametrize("mask", [[0, 1], np.ones(2), torch.ones(2), "yes", object(), [[True], []]])
def test_a_mask_is_boolean(mask: Any) -> None:
    with pytest.raises(InputError, match="expected a boolean"):
        box_arguments.mask_of(mask)


def test_masks_are_tensors_arrays_lists_and_flags() -> None:
    for mask in (torch.tensor([True, False]), np.array([True, False]), [True, False]):
        found = box_arguments.mask_of(mask)
        assert found is not None
        assert found.tolist() == [True, False]
    flag = box_arguments.mask_of(mask=True)
    assert flag is not None
    assert (flag.shape, bool(flag)) == ((), True)
    assert box_arguments.mask_of(None) is None


@pytest.mark.parametrize(
    ("shape", "fits"),
    [((3,), True), ((1, 3), True), ((2, 3), True), ((2, 1), True), ((), True), ((4,), False),
     ((3, 3), False), ((1, 2, 3), False), ((2,), False)],
)  # fmt: skip
def test_a_mask_broadcasts_to_the_batch(shape: tuple[int, ...], fits: bool) -> None:
    mask = torch.ones(shape, dtype=torch.bool)
    if fits:
        box_arguments.check_mask(mask, (2, 3))
        return
    with pytest.raises(InputError, match=r"the mask has shape .* broadcasts to the inputs, of"):
        box_arguments.check_mask(mask, (2, 3))


def test_masks_and_bounds_of_data_broadcast_to_a_sample() -> None:
    assert box_arguments.sample_mask(None, (3,)) is None
    assert box_arguments.sample_bounds((0.0, np.ones(3)), (3,))[0] == 0
    with pytest.raises(InputError, match=r"the mask has shape \[2, 3\]; .* a sample, of shape"):
        box_arguments.sample_mask(np.ones((2, 3), bool), (3,))
    with pytest.raises(InputError, match=r"the bounds have shape \[2\]; .* to a sample"):
        box_arguments.sample_bounds((np.zeros(2), 1.0), (3,))
    with pytest.raises(InputError, match=r"false for all features, .* true means fixed"):
        box_arguments.sample_mask(np.zeros(3, bool), (3,))
