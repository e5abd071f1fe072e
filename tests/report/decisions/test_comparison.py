"""Comparisons of two runs: the numbers, and which samples changed."""

import math

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from evaluation.record_tables import is_nan, table
from minnorm.errors import InputError
from minnorm.report import compare
from report.made_runs import made_run

INF = math.inf

A = [0.0, 1.0, 2.0, 3.0, 4.0, INF, INF, 2.0]
B = [1.0, 0.0, 1.0, 4.0, INF, 5.0, INF, 2.0]


def test_accuracies_are_compared_pair_by_pair() -> None:
    comparison = compare(made_run(A), made_run(B), epsilons=[2.5])
    clean, accuracy = comparison.differences[:2]
    assert (clean.metric, clean.a, clean.b, clean.change.value) == (
        "clean accuracy",
        7 / 8,
        7 / 8,
        0,
    )
    assert (clean.only_a, clean.only_b, clean.p_value) == (1, 1, 1.0)
    assert (accuracy.metric, accuracy.a, accuracy.b) == ("accuracy at 2.5", 0.5, 0.5)
    assert (accuracy.only_a, accuracy.only_b, accuracy.pairs) == (0, 0, 8)
    assert accuracy.change.low < 0 < accuracy.change.high


def test_the_runs_have_the_labels_that_are_given() -> None:
    a, b = made_run(A), made_run(B)
    assert compare(a, b).labels == ("it, 1", "it, 2")
    assert compare(a, b, labels=["plain", "defended"]).labels == ("plain", "defended")
    with pytest.raises(InputError, match="1 label for 2 runs"):
        compare(a, b, labels=["plain"])


def test_distances_are_over_what_both_classify_correctly() -> None:
    comparison = compare(made_run(A), made_run(B), epsilons=[1.0])
    median, mean = comparison.differences[2:]
    # Without the first two: A has 2, 3, 4, inf, inf, 2 and B has 1, 4, inf, 5, inf, 2.
    assert (median.metric, median.pairs, median.a, median.b) == ("median l2", 6, 3.5, 4.5)
    assert median.change.value == 1.0
    assert median.p_value is None
    # Both found: A has 2, 3, 2 and B has 1, 4, 2.
    assert (mean.metric, mean.pairs, mean.a, mean.b) == ("mean l2", 3, 7 / 3, 7 / 3)
    assert comparison.remarks == (
        "Medians: over the 6 pairs whose sample both models classify correctly; a failure of an "
        "attack counts as infinitely far. Means: over the 3 of them where the attacks on both "
        "succeeded.",
    )


def test_the_samples_that_changed_most_come_first() -> None:
    comparison = compare(made_run(A, classes=["zero"]), made_run(B))
    assert comparison.counts == (3, 3)
    less = [(one.index, one.a, one.b) for one in comparison.less_robust]
    assert less == [(5, INF, 5.0), (1, 1.0, 0.0), (2, 2.0, 1.0)]
    more = [(one.index, one.a, one.b) for one in comparison.more_robust]
    assert more == [(4, 4.0, INF), (0, 0.0, 1.0), (3, 3.0, 4.0)]
    assert {(one.label, one.name, one.target) for one in comparison.less_robust} == {
        (0, "zero", None)
    }
    assert len(compare(made_run(A), made_run(B), top=1).less_robust) == 1


def test_pairs_are_named_with_their_target() -> None:
    a = table([1.0, 2.0], indices=[0, 0], targets=[1, 2])
    b = table([1.0, 1.5], indices=[0, 0], targets=[1, 2])
    comparison = compare(made_run(a), made_run(b))
    assert (comparison.samples, comparison.pairs) == (1, 2)
    assert [(one.index, one.target) for one in comparison.less_robust] == [(0, 2)]


def test_intervals_and_p_values_show_a_large_difference() -> None:
    generator = np.random.default_rng(0)
    a = generator.uniform(1, 3, 100)
    comparison = compare(made_run(a.tolist()), made_run((0.5 * a).tolist()), epsilons=[1.0])
    _, accuracy, median, mean = comparison.differences
    only_a = int((0.5 * a <= 1).sum())
    assert accuracy.p_value == pytest.approx(stats.binomtest(0, only_a).pvalue)
    for one in (accuracy, median, mean):
        assert one.change.low < one.change.value < one.change.high < 0
    narrow = compare(made_run(a.tolist()), made_run((0.5 * a).tolist()), confidence=0.5)
    assert narrow.differences[-1].change.low > mean.change.low


def test_other_attacks_are_pointed_out() -> None:
    a = made_run([1.0, 2.0])
    b = made_run(pa.concat_tables([table([1.0, 3.0]), table([0.5, 4.0], attack="fmn")]))
    comparison = compare(a, b)
    assert comparison.attacks == ("ddn", "ddn, fmn")
    assert "a stronger set of attacks makes a model look less robust" in comparison.remarks[0]
    assert comparison.less_robust[0].b == 0.5
    one = compare(a, b, attack="ddn")
    assert one.attacks == ("ddn", "ddn")
    assert len(one.remarks) == 1
    assert one.counts == (0, 1)


def test_least_likely_classes_of_each_model_are_pointed_out() -> None:
    a, b = (made_run(table([1.0, 2.0], targets=targets)) for targets in ([1, 2], [1, 3]))
    assert "The targets of 1 pairs differ" in compare(a, b).remarks[0]


def test_an_accuracy_beyond_the_radius_of_an_attack_is_unknown() -> None:
    limited = made_run(table([0.1, INF], radius_limit=0.25))
    comparison = compare(limited, made_run([0.1, 0.2]), epsilons=[0.2, 1.0])
    known, unknown = comparison.differences[1:3]
    assert known.change.value == -0.5
    assert math.isnan(unknown.a)
    assert unknown.b == 0.0
    assert is_nan(unknown.change)


def test_without_common_samples_there_are_no_distances() -> None:
    comparison = compare(made_run([0.0, 1.0]), made_run([1.0, 0.0]))
    assert all(is_nan(one.change) for one in comparison.differences[-2:])
    never = compare(made_run([INF, INF]), made_run([1.0, INF]))
    assert math.isinf(never.differences[-2].a)
    assert is_nan(never.differences[-1].change)


def test_a_run_compared_with_itself_has_no_changes() -> None:
    comparison = compare(made_run(A), made_run(A))
    assert comparison.counts == (0, 0)
    assert comparison.labels == ("it, 1", "it, 2")
    assert all(one.change.value == 0 for one in comparison.differences)


@pytest.mark.parametrize("options", [{"confidence": 0.0}, {"confidence": 1.0}, {"top": -1}])
def test_bad_arguments_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(options))):
        compare(made_run(A), made_run(B), **options)  # type: ignore[arg-type] # they are wrong


def test_below_the_radius_of_an_attack_nothing_is_compared() -> None:
    a, b = (
        made_run(table(distances, radius_limit=0.3, fixed_radii="0.3"))
        for distances in ([0.3, 0.2, INF, 0.3, 0.0], [0.2, 0.3, 0.3, INF, 0.0])
    )
    comparison = compare(a, b, epsilons=[0.1, 0.3])
    _, inside, at_radius, median, mean = comparison.differences
    for unknown in (inside, median, mean):
        assert math.isnan(unknown.a)
        assert math.isnan(unknown.b)
        assert is_nan(unknown.change)
    assert (at_radius.a, at_radius.b, at_radius.change.value) == (0.2, 0.2, 0.0)
    assert "any adversarial within 0.3, not for the closest" in comparison.remarks[-1]
    # Two adversarials within the radius say nothing about which sample is more robust.
    assert [one.index for one in comparison.less_robust] == [2]
    assert [one.index for one in comparison.more_robust] == [3]


def test_an_adversarial_below_the_closest_one_of_another_run_is_a_change() -> None:
    fixed = made_run(table([0.3, 0.3], radius_limit=0.3, fixed_radii="0.3"))
    closest = made_run([1.0, 0.1])
    assert compare(closest, fixed).counts == (1, 0)
    assert compare(fixed, closest).counts == (0, 1)
