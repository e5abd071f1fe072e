"""Figure 2: counts, quartiles and differences of the best constants."""

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pytest

from evaluation.record_tables import table
from minnorm.evaluation import Records
from minnorm.paper.claims import Own
from minnorm.paper.figures.constant_axes import draw_constants
from minnorm.paper.figures.constants import (
    Constants,
    check_own,
    constants_of,
    paired,
    spread_difference,
)

VALUES = [0.0, 0.01, 0.5, 0.6, 1.0, 1.99, 2.0, 32.0, math.inf, math.inf]


def records(constants: Sequence[float], indices: Sequence[int] | None = None) -> Records:
    """Return records of C&W with these constants."""
    made = table([1.0] * len(constants), indices=indices)
    place = made.schema.get_field_index("constant")
    column = pa.array(constants, pa.float64())
    return made.set_column(place, made.schema.field(place), column)


def constants(logarithms: Sequence[float], label: str = "n") -> Constants:
    return constants_of(records([2.0**one for one in logarithms]), label)


def claim(name: str) -> Own:
    return Own(kind="own", name=name, text="It holds.", setting="MNIST")


def test_failures_and_misclassified_images_are_counted_and_not_drawn() -> None:
    found = constants_of(records(VALUES), "n")
    assert (found.misclassified, found.failed) == (1, 2)
    assert found.images.tolist() == list(range(1, 8))
    assert found.logarithms == pytest.approx([math.log2(value) for value in VALUES[1:8]])


def test_the_bars_are_the_counts_between_powers_of_two() -> None:
    first, second = VALUES[1:8], [0.3, 0.3, 8.0]
    parts = {"one": np.log2(first), "two": np.log2(second)}
    axes = draw_constants(parts).axes[0]
    expected = [Counter(math.floor(math.log2(value)) for value in one) for one in (first, second)]
    powers = range(-7, 6)
    for bars, counts in zip(axes.containers, expected, strict=True):
        heights = [bar.get_height() for bar in bars]
        assert heights == [counts[power] for power in powers]
        assert sum(heights) == sum(counts.values())
        for bar, power in zip(bars, powers, strict=True):
            assert power <= bar.get_x() < bar.get_x() + bar.get_width() <= power + 1


def test_constants_are_paired_by_image() -> None:
    first = constants_of(records([1.0, 2.0, 4.0, math.inf], [3, 1, 2, 5]), "a")
    second = constants_of(records([8.0, 16.0, 0.0, 2.0], [2, 3, 1, 5]), "b")
    one, other = paired(first, second)
    assert sorted(zip(one.tolist(), other.tolist(), strict=True)) == [(0.0, 4.0), (2.0, 3.0)]


def test_equal_constants_show_nothing() -> None:
    same = constants([float(one) for one in range(10)])
    larger, wider = (check_own(claim(name), (same, same)) for name in ("larger", "wider"))
    assert (larger.verdict, larger.numbers) == ("not measured", "C is the same on all 10 images")
    assert wider.verdict == "not shown"
    assert "+0.00 [-∞, ∞]" in wider.numbers


def test_the_interval_of_the_difference_covers_the_truth() -> None:
    """Over many draws the 95 % interval of the bootstrap covers the difference nearly as often."""
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(60):
        shared = generator.normal(size=200)
        first = shared + generator.normal(size=200)
        second = 1.5 * shared + generator.normal(size=200)
        found = spread_difference(constants(first.tolist()), constants(second.tolist()))
        assert found.value == pytest.approx(second.std(ddof=1) - first.std(ddof=1))
        covered += found.low <= math.sqrt(3.25) - math.sqrt(2.0) <= found.high
    assert covered >= 52


def test_claims_hold_or_not_by_the_interval() -> None:
    generator = np.random.default_rng(0)
    narrow = constants(generator.normal(0, 1, 300).tolist(), "plain")
    wide = constants(generator.normal(2, 3, 300).tolist(), "trained")
    assert check_own(claim("wider"), [narrow, wide]).verdict == "held"
    assert check_own(claim("wider"), [wide, narrow]).verdict == "not held"
    similar = constants(generator.normal(0, 1, 300).tolist(), "trained")
    assert check_own(claim("wider"), [narrow, similar]).verdict == "not shown"
    assert check_own(claim("larger"), [narrow, wide]).verdict == "held"
    assert check_own(claim("larger"), [wide, narrow]).verdict == "not held"
    larger = check_own(claim("larger"), [narrow, wide])
    assert larger.estimate is not None
    assert larger.estimate.value == np.mean(wide.logarithms > narrow.logarithms)
    assert larger.p_value is not None
    assert larger.p_value < 1e-6


def test_too_few_images_decide_nothing() -> None:
    few = constants([0.0, 1.0, 2.0])
    assert check_own(claim("wider"), [few, few]).verdict == "not shown"
    assert check_own(claim("wider"), [few]).verdict == "not measured"
    none = constants_of(records([math.inf, 0.0]), "n")
    assert check_own(claim("larger"), [few, none]).verdict == "not measured"
    assert check_own(claim("other"), [few, few]).verdict == "not measured"
