"""Metrics: each equals a naive loop over the rows, and behaves at the ends of its range."""

import inspect
import math
import statistics
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from evaluation.record_tables import table
from minnorm.attacks import attack_name, load_attack
from minnorm.evaluation import (
    SCHEMA,
    WORST_CASE,
    Estimate,
    Records,
    accuracy_at,
    breakdown,
    clean_accuracy,
    closest_target,
    hardest_target,
    mean_distance,
    median_distance,
    norm_of_records,
    of_attack,
    optimality,
    robustness_curve,
    success_rate,
    summarize,
    worst_case,
)
from minnorm.evaluation.selection import distances_of
from minnorm.geometry import Norm

# A coarse grid, so that there are ties and radii that are exactly a distance.
DISTANCE = st.one_of(st.integers(0, 12).map(lambda n: n / 4), st.just(math.inf))
DISTANCES = st.lists(DISTANCE, min_size=1, max_size=30)
INF = math.inf


def _all_nan(estimate: Estimate) -> bool:
    return all(math.isnan(number) for number in estimate)


@given(DISTANCES, st.integers(0, 14).map(lambda n: n / 4))
def test_accuracy_at_is_the_share_of_distances_above(found: list[float], epsilon: float) -> None:
    naive = sum(distance > epsilon for distance in found) / len(found)
    assert accuracy_at(table(found), epsilon).value == pytest.approx(naive)


@given(DISTANCES, st.floats(0, 4))
def test_the_curve_is_accuracy_at_for_every_radius(found: list[float], epsilon: float) -> None:
    records = table(found)
    radii, accuracies = robustness_curve(records)
    assert radii[0] == 0
    assert (np.diff(radii) > 0).all()
    assert (np.diff(accuracies) <= 0).all()
    for radius in (epsilon, *radii):
        step = np.searchsorted(radii, radius, side="right") - 1
        assert accuracies[step] == pytest.approx(accuracy_at(records, radius).value)


@pytest.mark.parametrize(("norm", "scale"), [("l0", 10), ("l1", 4), ("linf", 0.5)])
def test_metrics_take_the_column_of_their_norm(norm: Norm, scale: float) -> None:
    records = table([0.5, 1.0, 2.5, INF])
    assert mean_distance(records, norm).value == pytest.approx(scale * mean_distance(records).value)
    assert median_distance(records, norm).value == pytest.approx(scale * 1.75)
    assert accuracy_at(records, scale * 1.5, norm).value == 0.5
    assert robustness_curve(records, norm)[0] == pytest.approx(
        [0, *(scale * d for d in (0.5, 1, 2.5))]
    )


@pytest.mark.parametrize(
    "metric",
    [
        mean_distance,
        median_distance,
        partial(accuracy_at, epsilon=0.6),
        lambda records, **norm: robustness_curve(records, **norm)[0].tolist(),
        partial(summarize, attack="it"),
        lambda records, **norm: worst_case(records, **norm).to_pylist(),
    ],
)
def test_by_default_distances_are_in_the_norm_of_the_attack(metric: Callable[..., object]) -> None:
    of_linf, of_l2 = table([0.5, 1.0, 2.5], norm="linf"), table([0.5, 1.0, 2.5])
    assert repr(metric(of_linf)) == repr(metric(of_linf, norm="linf"))
    assert repr(metric(of_linf)) != repr(metric(of_linf, norm="l2"))
    assert repr(metric(of_l2)) == repr(metric(of_l2, norm="l2"))


def test_attacks_of_several_norms_have_no_worst_case_unless_a_norm_is_given() -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 1.0], attack="other", norm="linf")])
    with pytest.raises(ValueError, match=r"minimise l2 and linf: .* norm='l2'"):
        worst_case(records)
    worst = worst_case(records, "linf")
    assert worst.column("linf").to_pylist() == [0.5, 0.5]
    assert mean_distance(worst).value == 0.5
    assert list(breakdown(records)) == ["ddn", "other", "worst case in l2", "worst case in linf"]
    assert list(breakdown(records, "l2")) == ["ddn", "other", "worst case"]


@pytest.mark.parametrize(
    "metric",
    [mean_distance, median_distance, robustness_curve, partial(accuracy_at, epsilon=1.0)],
)
def test_distances_in_several_norms_are_never_pooled(metric: Callable[..., object]) -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 1.0], norm="linf")])
    with pytest.raises(ValueError, match="minimise l2 and linf"):
        metric(records)
    metric(records, norm="l2")


def test_an_attack_that_is_called_like_a_worst_case_in_a_norm_is_not_lost() -> None:
    named = "worst case in l2"
    records = pa.concat_tables([table([1.0], attack=named), table([2.0], attack="b", norm="linf")])
    parts = breakdown(records)
    assert list(parts) == [named, "b", f"{named} of all", "worst case in linf"]
    assert parts[named].column("attack").to_pylist() == [named]


@pytest.mark.parametrize("function", [norm_of_records, distances_of])
def test_a_norm_that_there_is_not_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="norm='l3': expected one of l0, l1, l2, linf"):
        # The bare function: in these tests its types are checked before.
        inspect.unwrap(function)(table([1.0]), "l3")


def test_the_hardest_target_of_each_attack_is_in_its_own_norm() -> None:
    # The farthest in L2 is the nearest in Linf.
    records = table([1.0, 4.0], indices=[0, 0], targets=[1, 2])
    columns = {name: records.column(name) for name in SCHEMA.names} | {"linf": pa.array([3.0, 2.0])}
    for norm, target in (("l2", 2), ("linf", 1)):
        own = {"norm": pa.array([norm, norm])}
        one = pa.table(columns | own, schema=SCHEMA)
        assert hardest_target(one).column("target").to_pylist() == [target]
        assert closest_target(one).column("target").to_pylist() == [3 - target]


@given(DISTANCES)
def test_rates_and_mean_are_those_of_a_naive_loop(found: list[float]) -> None:
    records = table(found)
    finite = [distance for distance in found if math.isfinite(distance)]
    assert success_rate(records).value == pytest.approx(len(finite) / len(found))
    assert clean_accuracy(records).value == pytest.approx(sum(d > 0 for d in found) / len(found))
    mean = mean_distance(records)
    if not finite:
        assert _all_nan(mean)
    else:
        assert mean.value == pytest.approx(statistics.fmean(finite))
    if len(finite) > 1:
        half = 1.959964 * statistics.stdev(finite) / math.sqrt(len(finite))
        assert mean.high - mean.value == pytest.approx(half, abs=1e-6)
        assert mean.low == pytest.approx(max(mean.value - half, 0.0), abs=1e-6)


def test_the_interval_of_a_mean_of_one_is_not_a_point() -> None:
    value, low, high = mean_distance(table([1.5, INF]))
    assert value == 1.5
    assert low < value < high


@given(DISTANCES)
def test_the_median_counts_failures_at_infinity(found: list[float]) -> None:
    ordered = sorted(found)
    lower, upper = ordered[(len(found) - 1) // 2], ordered[len(found) // 2]
    value, low, high = median_distance(table(found))
    assert value == (lower if lower == upper else (lower + upper) / 2)
    assert ordered[0] <= low <= value <= high <= ordered[-1]


@given(DISTANCES, st.integers(0, 12).map(lambda n: n / 3))
def test_the_median_counts_failures_at_the_gray_image(found: list[float], gray: float) -> None:
    replaced = [distance if math.isfinite(distance) else gray for distance in found]
    estimate = median_distance(table(found, gray=gray), failures="gray")
    assert estimate.value == pytest.approx(statistics.median(replaced))


def test_the_gray_image_is_refused_in_other_norms_than_l2() -> None:
    with pytest.raises(ValueError, match="failures='gray' is defined for norm='l2', not 'linf'"):
        median_distance(table([1.0]), "linf", "gray")


@pytest.mark.parametrize("count", [*range(6, 60), 100, 333, 1000])
def test_the_interval_of_a_median_covers_it_in_95_of_100_draws(count: int) -> None:
    _, low, high = median_distance(table(list(range(1, count + 1))))
    # Order statistics low and high hold the median when it has from low to high - 1 draws below.
    below = range(round(low), round(high))
    coverage = sum(math.comb(count, number) for number in below) / 2**count
    assert coverage >= 0.95
    assert coverage < 0.999 or count < 15


@given(st.integers(0, 60), st.integers(1, 60))
def test_wilsons_interval_holds_the_share_and_stays_in_0_to_1(hits: int, count: int) -> None:
    assume(hits <= count)
    value, low, high = success_rate(table([1.0] * hits + [INF] * (count - hits)))
    assert value == pytest.approx(hits / count)
    assert 0 <= low <= value + 1e-12
    assert value - 1e-12 <= high <= 1
    assert high - low > 0.01  # never a point, not even at 0 and 1
    # Wilson's ends are where the share is 1.96 of *their* standard deviations away.
    for end in (low, high):
        if 1e-9 < end < 1 - 1e-9:
            assert (value - end) ** 2 == pytest.approx(1.959964**2 * end * (1 - end) / count)


def test_the_closest_target_is_what_an_untargeted_attack_looks_for() -> None:
    records = table([3.0, 1.0, INF, 2.0], indices=[4, 4, 5, 5], targets=[1, 2, 1, 2])
    found = closest_target(records)
    assert found.column("l2").to_pylist() == [1.0, 2.0]
    assert found.column("target").to_pylist() == [2, 2]


def test_of_attack_knows_a_combinator_as_it_was_typed() -> None:
    typed = "worst_case(attacks=['ddn', 'fmn'])"
    records = table([1.0], attack=attack_name(load_attack(typed)))
    assert records.column("attack").to_pylist() != [typed]
    assert of_attack(records, typed) == records
    both = pa.concat_tables([records, table([2.0], attack=typed)])
    assert of_attack(both, typed).column("l2").to_pylist() == [2.0]


def test_of_attack_knows_an_attack_by_any_writing_of_its_spec() -> None:
    name = "ddn(steps=20, gamma=0.2)"
    records = pa.concat_tables([table([1.0], attack=name), table([2.0], attack="my attack (")])
    for writing in (name, "ddn(steps=20,gamma=0.2)", " ddn( gamma=.2, steps=20)"):
        assert of_attack(records, writing).column("l2").to_pylist() == [1.0]
    assert of_attack(records, "my attack (").column("l2").to_pylist() == [2.0]
    with pytest.raises(
        ValueError, match=r"no attack in these records called 'ddn'.* There is: ddn"
    ):
        of_attack(records, "ddn")


@pytest.mark.parametrize(
    "metric",
    [
        success_rate,
        mean_distance,
        median_distance,
        robustness_curve,
        lambda records: accuracy_at(records, 1.0),
        lambda records: summarize(records, "all"),
        lambda records: optimality(records, records),
    ],
)
def test_attacks_are_never_pooled(metric: Callable[[Records], object]) -> None:
    records = pa.concat_tables([table([1.0]), table([2.0], attack="other")])
    with pytest.raises(ValueError, match=r"of 2 attacks \(ddn, other\).*of_attack.*worst_case"):
        metric(records)


@pytest.mark.parametrize("epsilon", [-1.0, math.nan, [1.0, 2.0], True])
def test_a_radius_is_one_number_of_at_least_0(epsilon: Any) -> None:
    with pytest.raises(ValueError, match="expected one radius of at least 0"):
        inspect.unwrap(accuracy_at)(table([1.0]), epsilon)


def _repeated(found: list[float], times: int) -> Records:
    """Gives each sample as many targets, all at the same distance: they tell nothing new."""
    samples = [index for index in range(len(found)) for _ in range(times)]
    targets = [1 + target for _ in found for target in range(times)]
    return table([found[index] for index in samples], indices=samples, targets=targets)


@given(st.lists(DISTANCE, min_size=4, max_size=30), st.integers(2, 5))
def test_targets_of_a_sample_count_as_one_draw(found: list[float], times: int) -> None:
    once, often = table(found), _repeated(found, times)
    same_mean, mean = mean_distance(once), mean_distance(often)
    assert mean == pytest.approx(same_mean, nan_ok=True)
    narrow, wide = success_rate(once), success_rate(often)
    assert wide.value == pytest.approx(narrow.value)
    # The variance is estimated from the draws, hence larger by Bessel's correction; Wilson's
    # interval grows as its root where the share is a half, and in proportion where it is near 0.
    widening = len(found) / (len(found) - 1)
    assert 0.999 < (wide.high - wide.low) / (narrow.high - narrow.low) < widening + 1e-9
    if math.isfinite(median_distance(once).high):
        assert median_distance(often).low <= median_distance(once).value
        assert median_distance(often).high >= median_distance(once).value


def test_independent_targets_count_as_draws_of_their_own() -> None:
    rng = np.random.default_rng(0)
    found = rng.uniform(1, 2, 2000).tolist()
    samples = [index // 5 for index in range(2000)]
    pairs = table(found, indices=samples, targets=[1 + n % 5 for n in range(2000)])
    single = table(found)
    for alone, grouped in (
        (mean_distance(single), mean_distance(pairs)),
        (accuracy_at(single, 1.5), accuracy_at(pairs, 1.5)),
    ):
        assert grouped.high - grouped.low == pytest.approx(alone.high - alone.low, rel=0.1)


def test_clean_accuracy_counts_each_sample_once() -> None:
    towards = [
        table([0.0, 1.0], targets=[1, 1]),
        table([0.0, 1.0], targets=[2, 2]),
        table([1.0], indices=[7], targets=[1]),
    ]
    assert clean_accuracy(pa.concat_tables(towards)).value == pytest.approx(2 / 3)


@given(st.lists(st.tuples(DISTANCE, DISTANCE, DISTANCE), min_size=1, max_size=10), st.randoms())
def test_the_worst_case_is_the_minimum_of_each_sample(
    rows: list[tuple[float, float, float]], random: Random
) -> None:
    parts = [
        table([row[number] for row in rows], attack=f"attack {number}", backwards=10**number)
        for number in range(3)
    ]
    records = pa.concat_tables(parts)
    order = list(range(len(records)))
    random.shuffle(order)
    worst = worst_case(records.take(order)).sort_by("index")
    assert worst.schema.equals(SCHEMA)
    assert worst.column("l2").to_pylist() == [min(row) for row in rows]
    assert worst.column("index").to_pylist() == list(range(len(rows)))
    assert set(worst.column("attack").to_pylist()) == {WORST_CASE}
    assert worst.column("success").to_pylist() == [math.isfinite(min(row)) for row in rows]
    assert worst.column("backwards").to_pylist() == [111.0] * len(rows)
    assert worst.column("forwards").to_pylist() == [114.0] * len(rows)
    assert worst.column("seconds").to_pylist() == [0.75] * len(rows)


def test_the_worst_case_keeps_targets_apart() -> None:
    parts = [
        table([3.0, 1.0], attack="a", indices=[5, 5], targets=[1, 2]),
        table([2.0, INF], attack="b", indices=[5, 5], targets=[1, 2]),
    ]
    worst = worst_case(pa.concat_tables(parts)).sort_by("target")
    assert worst.column("target").to_pylist() == [1, 2]
    assert worst.column("l2").to_pylist() == [2.0, 1.0]


@pytest.mark.parametrize(
    "indices_of_b", [[0], [0, 1, 2], [2, 3]], ids=["one less", "one more", "all others"]
)
def test_a_worst_case_over_part_of_the_records_is_refused(indices_of_b: list[int]) -> None:
    parts = [
        table([1.0, 2.0], attack="a"),
        table([1.0] * len(indices_of_b), attack="b", indices=indices_of_b),
    ]
    with pytest.raises(ValueError, match="not every attack has a record of every sample"):
        worst_case(pa.concat_tables(parts))


def test_the_hardest_target_is_the_farthest_and_a_failure_before_all() -> None:
    records = pa.concat_tables(
        [
            table([1.0, 5.0, 2.0], attack="b", indices=[3, 3, 3], targets=[1, 2, 4]),
            table([1.0, INF, 2.0], attack="b", indices=[1, 1, 1], targets=[1, 2, 4]),
            table([0.5, 0.25], attack="a", indices=[3, 3], targets=[1, 2]),
        ]
    )
    hardest = hardest_target(records).sort_by([("attack", "ascending"), ("index", "ascending")])
    rows = [(r["attack"], r["index"], r["target"], r["l2"]) for r in hardest.to_pylist()]
    assert rows == [("a", 3, 1, 0.5), ("b", 1, 2, INF), ("b", 3, 2, 5.0)]


@given(st.lists(st.tuples(DISTANCE, DISTANCE), min_size=1, max_size=12))
def test_optimality_is_attackbenchs_formula(rows: list[tuple[float, float]]) -> None:
    # An attack leaves what is misclassified to begin with at 0, as the envelope does.
    best = [min(row) for row in rows]
    found = [0.0 if minimum == 0 else row[0] for row, minimum in zip(rows, best, strict=True)]
    limit = max((d for d in best if math.isfinite(d)), default=0.0)
    assume(limit > 0)
    grid = (np.arange(1000) + 0.5) * limit / 1000

    def area(distances: list[float]) -> float:
        return float((np.array(distances) > grid[:, None]).mean()) * limit

    clean = sum(d > 0 for d in best) / len(best) * limit
    assume(clean - area(best) > 1e-6)
    expected = 1 - (area(found) - area(best)) / (clean - area(best))
    assert optimality(table(found), table(best)) == pytest.approx(expected, abs=2e-2)


@given(DISTANCES)
def test_the_envelope_itself_has_optimality_1_and_what_finds_nothing_0(found: list[float]) -> None:
    records = table(found)
    limit = max((d for d in found if math.isfinite(d)), default=0.0)
    if limit == 0:
        assert math.isnan(optimality(records, records))
        return
    assert optimality(records, records) == pytest.approx(1)
    nothing = table([0.0 if distance == 0 else INF for distance in found])
    # Where the only adversarials lie at the limit itself, nothing and all have the same area.
    if any(0 < distance < limit for distance in found):
        assert optimality(nothing, records) == pytest.approx(0)


def test_optimality_needs_an_envelope_in_its_norm() -> None:
    records, other = table([1.0, 2.0], norm="linf"), table([1.0, 2.0])
    envelope = worst_case(pa.concat_tables([records, table([1.0, 2.0], attack="fmn")]), "l2")
    for best in (other, envelope):
        with pytest.raises(ValueError, match=r"smallest in l2, .* in linf: take worst_case"):
            optimality(records, best)
    assert optimality(records, other, "l2") == pytest.approx(1)


def test_optimality_needs_the_same_samples() -> None:
    with pytest.raises(ValueError, match="not of the same samples"):
        optimality(table([1.0, 2.0]), table([1.0, 2.0], indices=[1, 2]))
    with pytest.raises(ValueError, match="not of the same samples and targets"):
        optimality(table([1.0], targets=[3]), table([1.0], targets=[4]))


def test_the_parts_of_a_table_are_in_the_order_of_the_records() -> None:
    one = table([1.0, INF], attack="zebra")
    assert list(breakdown(one)) == ["zebra"]
    several = pa.concat_tables([one, table([0.5, 2.0], attack="ant")])
    parts = breakdown(several)
    assert list(parts) == ["zebra", "ant", WORST_CASE]
    assert parts["ant"].column("l2").to_pylist() == [0.5, 2.0]
    assert parts[WORST_CASE].column("l2").to_pylist() == [0.5, 2.0]


def test_several_targets_give_parts_for_the_hardest_and_the_closest_of_each() -> None:
    towards = [
        table([1.0, 2.0], attack=name, indices=[0, 0], targets=[1, 2]) for name in ("b", "a")
    ]
    parts = breakdown(pa.concat_tables(towards))
    names = ["b", "a", WORST_CASE]
    of_one = [f"{name}, {which} target" for name in names for which in ("hardest", "closest")]
    assert list(parts) == [*names, *of_one]
    for name in names:
        assert parts[f"{name}, hardest target"].column("l2").to_pylist() == [2.0]
        assert parts[f"{name}, closest target"].column("l2").to_pylist() == [1.0]


def test_an_attack_that_is_called_worst_case_is_not_lost() -> None:
    named = [table([float(n + 1)], attack=name) for n, name in enumerate(("a", WORST_CASE))]
    distances = [
        part.column("l2").to_pylist() for part in breakdown(pa.concat_tables(named)).values()
    ]
    assert [2.0] in distances


def test_a_summary_holds_what_the_single_metrics_give() -> None:
    records = pa.concat_tables([table([1.0, INF, 0.0]), table([9.0], attack="other")])
    part = of_attack(records, "ddn")
    summary = summarize(part, "a name")
    assert (summary.attack, summary.samples) == ("a name", 3)
    assert summary.success == success_rate(part)
    assert summary.mean == mean_distance(part)
    assert summary.median == median_distance(part)
    assert summary.median_gray == median_distance(part, failures="gray")
    assert (summary.forwards, summary.backwards, summary.seconds) == (6.0, 5.0, 0.75)
    assert _all_nan(summarize(part, "a name", "linf").median_gray)


def test_no_records_give_nan_and_no_error() -> None:
    empty = SCHEMA.empty_table()
    for estimate in (success_rate, clean_accuracy, mean_distance, median_distance):
        assert _all_nan(estimate(empty))
    assert _all_nan(accuracy_at(empty, 1.0))
    assert np.isnan(robustness_curve(empty)[1]).all()
    assert len(worst_case(empty)) == len(hardest_target(empty)) == len(closest_target(empty)) == 0
    assert breakdown(empty) == {}
    assert math.isnan(optimality(empty, empty))


def test_failures_alone_are_robust_at_every_radius() -> None:
    records = table([INF, INF, INF])
    assert success_rate(records).value == 0
    assert _all_nan(mean_distance(records))
    assert median_distance(records) == (INF, INF, INF)
    assert accuracy_at(records, 1e30).value == 1
    radii, accuracies = robustness_curve(records)
    assert (list(radii), list(accuracies)) == ([0.0], [1.0])
