"""Files of bounds and masks: what they may hold."""

from pathlib import Path

import numpy as np
import pytest

from minnorm.data.array_files import read_bounds_file
from minnorm.errors import InputError


def test_bounds_are_read_as_they_were_written(tmp_path: Path) -> None:
    low, high = np.zeros(3), np.array([0.1, 1.0, 2.0])
    np.savez(tmp_path / "box.npz", low=low, high=high)
    found = read_bounds_file(tmp_path / "box.npz")
    assert np.array_equal(found[0], low)
    assert np.array_equal(found[1], high)


def test_a_single_array_is_no_pair_of_bounds(tmp_path: Path) -> None:
    path = tmp_path / "box.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(
        InputError, match=r"box\.npz holds no named arrays; expected arrays named 'low'"
    ):
        read_bounds_file(path)
