"""Annotations are checked at run time in the fast tests, and not in the slow ones."""

import pytest
import torch
from jaxtyping import TypeCheckError

from minnorm.geometry import distances

POINTS = torch.zeros(2, 3)


def test_fast_tests_check_shapes() -> None:
    with pytest.raises(TypeCheckError, match="distances"):
        distances(POINTS, torch.zeros(2, 4), "l2")


@pytest.mark.slow
def test_slow_tests_do_not() -> None:
    with pytest.raises(RuntimeError, match="size of tensor"):
        distances(POINTS, torch.zeros(2, 4), "l2")
