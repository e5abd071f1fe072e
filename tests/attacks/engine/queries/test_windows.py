"""The windows and patterns of Square."""

import itertools
from collections import Counter

import pytest
import torch

from minnorm.attacks.engine.queries.windows import (
    bumps,
    draws_of_tiles,
    picture,
    place,
    place_on,
    share_at,
    sides,
    tiles,
)


def test_the_last_two_dimensions_are_the_image() -> None:
    assert picture(()) == (1, 1, 1)
    assert picture((7,)) == (1, 1, 7)
    assert picture((4, 5)) == (1, 4, 5)
    assert picture((3, 4, 5)) == (3, 4, 5)
    assert picture((2, 3, 4, 5)) == (6, 4, 5)


def test_the_share_halves_seven_times() -> None:
    assert share_at(0, 10_000, 0.8) == share_at(200, 10_000, 0.8) == 0.8
    changes = [n for n in range(1, 10_000) if share_at(n, 10_000, 1) < share_at(n - 1, 10_000, 1)]
    assert changes == [201, 501, 1001, 2001, 4001, 6001, 8001]
    assert share_at(9999, 10_000, 0.8) == pytest.approx(0.8 / 128)
    assert share_at(101, 1000, 0.8) == share_at(1010, 10_000, 0.8) == 0.1


@pytest.mark.parametrize(
    ("share", "image", "odd", "expected"),
    [
        (0.8, (28, 28), False, (25, 25)),  # sqrt(0.8) * 28 = 25.04
        (0.1, (32, 32), False, (10, 10)),
        (0.1, (32, 32), True, (11, 11)),
        (1e-6, (32, 32), False, (1, 1)),
        (1e-6, (32, 32), True, (3, 3)),
        (1.0, (4, 4), True, (4, 4)),
        (1e-6, (4, 4), True, (1, 1)),
        (0.5, (1, 40), False, (1, 20)),
        (0.5, (40, 1), True, (21, 1)),
        (0.5, (2, 100), False, (2, 50)),
        (0.01, (2, 100), False, (1, 1)),
        (0.5, (1, 1), True, (1, 1)),
    ],
)
def test_windows_are_squares_where_the_image_allows(
    share: float, image: tuple[int, int], odd: bool, expected: tuple[int, int]
) -> None:
    assert sides(share, *image, odd=odd) == expected


def test_windows_hold_a_pixel_that_can_change() -> None:
    generator = torch.Generator().manual_seed(0)
    free = torch.rand(6, 5, 9, generator=generator) < 0.05
    free[0] = True
    for _ in range(200):
        high, wide, *draws = torch.rand(4, generator=generator).tolist()
        size = (1 + int(5 * high), 1 + int(9 * wide))
        placed = place_on(size, free, draws)
        usual = place(size, (5, 9), draws)
        assert [int(placed.tops[0]), int(placed.lefts[0])] == [usual.top, usual.left]
        inside = placed.cut(free.unsqueeze(1).double())
        assert (inside.sum((1, 2, 3)) > 0).equal(free.any(2).any(1))
        filled = placed.filled(free.unsqueeze(1).double(), inside + 1)
        assert (filled - free.unsqueeze(1).double()).sum((1, 2, 3)).eq(size[0] * size[1]).all()
        assert placed.cut(filled).equal(inside + 1)


def test_every_place_with_a_pixel_that_can_change_is_as_likely_as_another() -> None:
    free = torch.zeros(1, 4, 8, dtype=torch.bool)
    free[0, 1, 3] = free[0, 3, 7] = True
    numbers = [(index + 0.5) / 64 for index in range(64)]
    seen = [place_on((2, 2), free, (one, other)) for one in numbers for other in numbers]
    counts = Counter((int(window.tops), int(window.lefts)) for window in seen)
    # Four places hold the one pixel, one holds the other: those of row 2 share a fifth.
    assert sorted(counts) == [(0, 2), (0, 3), (1, 2), (1, 3), (2, 6)]
    assert max(counts.values()) - min(counts.values()) <= 64


def test_every_place_is_as_likely_as_another() -> None:
    numbers = [(index + 0.5) / 60 for index in range(60)]
    seen = [place((2, 3), (4, 8), (one, other)) for one in numbers for other in numbers]
    counts = {(window.top, window.left): 0 for window in seen}
    for window in seen:
        counts[window.top, window.left] += 1
    assert set(counts) == set(itertools.product(range(3), range(6)))
    assert set(counts.values()) == {200}
    assert place((2, 3), (4, 8), (0.9999999, 1.0)).area == (..., slice(2, 4), slice(5, 8))


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 1), (3, 3), (5, 5), (1, 9), (4, 7)], ids=str)
@pytest.mark.parametrize("draw", [0.2, 0.7])
def test_bumps_have_norm_one_and_two_signs(size: tuple[int, int], draw: float) -> None:
    pattern = bumps(*size, draw)
    assert pattern.shape == size
    assert float(pattern.norm()) == pytest.approx(1)
    if size == (1, 1):
        return
    # Both bumps have the same norm, and opposite signs.
    assert float(pattern[pattern > 0].norm()) == pytest.approx(0.5**0.5)
    assert float(pattern[pattern < 0].norm()) == pytest.approx(0.5**0.5)
    beside = bool((pattern.sign() == pattern.sign()[:1]).all())
    assert beside == (size[0] == 1 or (draw > 0.5 and size[1] > 1))


@pytest.mark.parametrize("image", [(1, 10, 10), (3, 28, 28), (1, 3, 4), (2, 1, 11)], ids=str)
def test_tiles_cover_the_image_without_its_edge(image: tuple[int, int, int]) -> None:
    numbers = torch.rand(draws_of_tiles(*image), generator=torch.Generator().manual_seed(0))
    pattern = tiles(*image, numbers.tolist())
    assert pattern.shape == image
    assert (pattern != 0).float().mean() > 0.7
    assert torch.equal(pattern.abs()[:1].expand(image), pattern.abs())
