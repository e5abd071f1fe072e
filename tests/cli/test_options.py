"""Options that typer does not read: bounds, norms, radii and batch sizes, in all their forms."""

from pathlib import Path

import numpy as np
import pytest

from minnorm.cli.options import (
    read_batch_size,
    read_bounds,
    read_mask,
    read_norm,
    read_radii,
    separated,
)
from minnorm.errors import InputError


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--bounds", "0", "1"], ["--bounds", "0", "1"]),
        (["--bounds", "0,1"], ["--bounds", "0", "1"]),
        (["--bounds=0,1"], ["--bounds", "0", "1"]),
        (["--bounds=0", "1"], ["--bounds", "0", "1"]),
        (["--bounds", "-1", "1", "m", "d"], ["--bounds", "-1", "1", "m", "d"]),
        (["--bounds", "0,1", "d", "--seed", "3"], ["--bounds", "0", "1", "d", "--seed", "3"]),
        (["--bounds", "own.npz", "d"], ["--bounds", "own.npz", "", "d"]),
        (["--bounds=a b.NPZ", "1"], ["--bounds", "a b.NPZ", "", "1"]),
        (["m", "d"], ["m", "d"]),
        (["--", "--bounds"], ["--", "--bounds"]),
    ],
)  # fmt: skip
def test_bounds_are_two_words_or_a_file(words: list[str], found: list[str]) -> None:
    assert separated(words) == found


@pytest.mark.parametrize(
    "words",
    [
        ["--bounds"],
        ["--bounds", "0"],
        ["--bounds", "0", "--out", "run"],
        ["--bounds", "0,1,2"],
        ["--bounds=0"],
        ["--bounds", "None", "--seed", "3"],
    ],
)
def test_bounds_that_are_not_two_words_are_refused(words: list[str]) -> None:
    with pytest.raises(InputError, match=r"^--bounds.*: expected two numbers.*--bounds 0 1"):
        separated(words)


def test_bounds_are_numbers_or_fractions() -> None:
    assert read_bounds(("-1", "2.5")) == (-1, 2.5)
    assert read_bounds(("0/255", "16/255")) == (0, 16 / 255)
    with pytest.raises(InputError, match=r"^--bounds a 1: expected two numbers"):
        read_bounds(("a", "1"))


def test_bounds_and_masks_are_read_from_files(tmp_path: Path) -> None:
    assert (read_bounds(None), read_mask(None)) == (None, None)
    file = tmp_path / "own.npz"
    np.savez(file, low=np.zeros(3), high=np.ones(3))
    found = read_bounds((str(file), ""))
    assert found is not None
    assert np.array_equal(found, [np.zeros(3), np.ones(3)])
    np.savez(file, low=np.zeros(3))
    with pytest.raises(InputError, match=r"own.npz holds low; expected arrays named 'low' and"):
        read_bounds((str(file), ""))
    with pytest.raises(InputError, match=r"there is no file .*none.npz"):
        read_bounds((str(tmp_path / "none.npz"), ""))
    mask = tmp_path / "mask.npy"
    np.save(mask, np.array([True, False]))
    read = read_mask(mask)
    assert read is not None
    assert read.tolist() == [True, False]
    np.save(mask, np.ones(2))
    with pytest.raises(InputError, match=r"mask.npy is of dtype float64; expected one boolean"):
        read_mask(mask)
    with pytest.raises(InputError, match=r"own.npz has several arrays; expected one boolean"):
        read_mask(file)
    mask.write_bytes(b"no array")
    with pytest.raises(InputError, match=r"mask.npy cannot be read"):
        read_mask(mask)


def test_radii_are_numbers_or_fractions_with_or_without_commas() -> None:
    assert read_radii(["8/255", "0.1,1e-3"]) == [8 / 255, 0.1, 1e-3]
    assert read_radii([]) == []


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("-1", "--epsilon -1: expected a radius of at least 0"),
        ("nan", "--epsilon nan: expected a radius of at least 0"),
        ("x", "--epsilon: 'x' is not a number: write it like 0.5, 1e-3 or 8/255"),
        ("1,", "--epsilon: '' is not a number"),
    ],
)
def test_what_is_no_radius_is_refused(word: str, message: str) -> None:
    with pytest.raises(InputError, match=f"^{message}"):
        read_radii([word])


def test_a_batch_size_is_a_whole_number_or_auto() -> None:
    assert read_batch_size("auto") == "auto"
    assert read_batch_size("32") == 32
    with pytest.raises(InputError, match="--batch-size all: expected a whole number or auto"):
        read_batch_size("all")


def test_norms_are_read_in_all_usual_ways() -> None:
    assert read_norm(None) is None
    assert [read_norm(word) for word in ("l2", "Linf", "L∞")] == ["l2", "linf", "linf"]
    with pytest.raises(InputError, match="expected one of"):
        read_norm("l3")
