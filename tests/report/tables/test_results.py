"""Results: the rows of runs, of their classes and of their targets, as numbers."""

import math
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from evaluation.record_tables import INF, table
from minnorm.errors import InputError
from minnorm.evaluation import (
    Records,
    accuracy_at,
    breakdown,
    clean_accuracy,
    summarize,
)
from minnorm.report import LabeledRun, ResultRow, label_runs, results
from minnorm.report.tables.results import results_of_records
from report.made_runs import made_run

TWO_ATTACKS = pa.concat_tables(
    [table([0.0, 1.0, 2.0, INF]), table([0.0, 2.0, 0.5, 3.0], attack="other")]
)

TWO_TARGETS = table([1.0, 4.0, 0.5, INF, 2.0, 3.0], indices=[0, 0, 1, 1, 2, 2], targets=[1, 2] * 3)


def with_labels(records: Records, labels: list[int]) -> Records:
    """Return records of other true classes, whose predictions are as right as they were."""
    shift = pa.array(labels)
    for name in ("label", "clean_prediction", "adversarial_prediction"):
        place = records.schema.get_field_index(name)
        records = records.set_column(
            place, records.schema.field(name), pc.add(records.column(name), shift)
        )
    return records


def one_run(records: Records, **changes: object) -> list[LabeledRun]:
    """Return one labeled run with these records."""
    return label_runs([made_run(records, **changes)])  # type: ignore[arg-type]


def same(row: ResultRow, records: Records, epsilons: tuple[float, ...]) -> bool:
    """Return whether a row holds the metrics of these records."""
    accuracies = tuple(accuracy_at(records, epsilon, row.summary.norm) for epsilon in epsilons)
    expected = (
        len(set(records.column("index").to_pylist())),
        clean_accuracy(records),
        summarize(records, row.attack, row.summary.norm),
        accuracies,
    )
    return repr((row.samples, row.clean, row.summary, row.accuracies)) == repr(expected)


@pytest.mark.parametrize("norm", [None, "linf"])
@pytest.mark.parametrize("records", [TWO_ATTACKS, TWO_TARGETS])
def test_a_run_has_the_rows_of_its_breakdown(records: Records, norm: str | None) -> None:
    found = results(one_run(records), norm=norm, epsilons=(0.5, 1.0))  # type: ignore[arg-type]
    parts = breakdown(records, norm)  # type: ignore[arg-type]
    assert [row.attack for row in found.rows] == list(parts)
    assert all(same(row, parts[row.attack], (0.5, 1.0)) for row in found.rows)
    assert {(row.run, row.model, row.data) for row in found.rows} == {("it", "it", "mnist")}
    assert found.epsilons == (0.5, 1.0)
    assert found.norms == (norm or "l2",)


def test_records_without_a_run_have_the_same_rows_without_its_names() -> None:
    found = results_of_records(TWO_ATTACKS, epsilons=(1.0,))
    expected = results(one_run(TWO_ATTACKS), epsilons=(1.0,))
    without: dict[str, Any] = {"run": "", "model": "", "data": "", "needs_gradients": False}
    one, other = (
        replace(made, rows=tuple(replace(row, **without) for row in made.rows))
        for made in (found, expected)
    )
    assert one == other


def test_several_runs_follow_one_another_and_have_no_common_heading() -> None:
    runs = label_runs([made_run(TWO_ATTACKS), made_run(table([1.0, 2.0]), data="cifar10")])
    found = results(runs)
    assert [(row.run, row.attack) for row in found.rows] == [
        ("it, mnist", "ddn"), ("it, mnist", "other"), ("it, mnist", "worst case"),
        ("it, cifar10", "ddn"),
    ]  # fmt: skip
    assert found.heading == ""
    assert results(runs[1:]).heading == "2 samples, clean accuracy 100.00 %, clean errors: 0 of 2"


def test_runs_over_other_samples_are_noted() -> None:
    note = (
        "The runs are over different samples, or have other labels of the same ones: compare their "
    )
    note += "numbers with care."
    runs = [made_run(), made_run(model="zoo:other"), made_run(indices=(0, 24, 2))]
    assert note not in results(label_runs(runs[:2])).notes
    assert note in results(label_runs(runs[1:])).notes


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [2, 0, 3, 1]])
def test_each_class_has_a_row_for_each_attack(order: list[int]) -> None:
    records = with_labels(TWO_ATTACKS, [0, 7, 7, 0] * 2)
    shuffled = records.take(pa.array([*order, *(4 + place for place in order)]))
    found = results(one_run(shuffled), epsilons=(1.0,), per_class=True).rows
    assert [(row.attack, row.label, row.target) for row in found[3:]] == [
        (attack, label, None) for attack in ("ddn", "other", "worst case") for label in (0, 7)
    ]
    assert all(row.label is None for row in found[:3])
    parts = breakdown(records)
    for row in found[3:]:
        part = parts[row.attack]
        assert same(row, part.filter(pc.equal(part.column("label"), row.label)), (1.0,))


def test_classes_have_their_names_or_their_numbers() -> None:
    records = with_labels(table([1.0, 2.0]), [0, 2])
    named = results(one_run(records, classes=["cat", "dog", "owl"]), per_class=True)
    assert [row.class_name for row in named.rows] == ["", "cat", "owl"]
    numbered = results(one_run(records), per_class=True)
    assert [row.class_name for row in numbered.rows] == ["", "0", "2"]


def test_each_target_has_a_row_for_each_attack() -> None:
    found = results(one_run(TWO_TARGETS, classes=["a", "b"]), per_target=True).rows[3:]
    assert [(row.attack, row.label, row.target, row.class_name) for row in found] == [
        ("ddn", None, 1, "b"),
        ("ddn", None, 2, "2"),
    ]
    for row in found:
        part = TWO_TARGETS.filter(pc.equal(TWO_TARGETS.column("target"), row.target))
        assert same(row, part, ())


def test_rows_for_targets_need_targets() -> None:
    with pytest.raises(InputError, match="need a run with targets"):
        results(one_run(TWO_ATTACKS), per_target=True)
    both = label_runs([made_run(TWO_ATTACKS), made_run(TWO_TARGETS, data="other")])
    assert {row.run for row in results(both, per_target=True).rows if row.target} == {"it, other"}


def test_clean_errors_count_samples_and_not_pairs() -> None:
    records = table([0.0, 0.0, 1.0, 2.0], indices=[0, 0, 1, 1], targets=[1, 2, 1, 2])
    (row, *_) = results(one_run(records)).rows
    assert (row.samples, row.clean_errors) == (2, 1)
    assert (row.summary.samples, row.summary.clean_errors) == (4, 2)


def test_no_records_have_no_rows() -> None:
    found = results(one_run(table([])), norm="l1", epsilons=(1.0,), per_class=True)
    assert (found.rows, found.norms, found.heading) == ((), ("l1",), "0 samples")


def test_nothing_is_known_beyond_the_radius_of_an_attack() -> None:
    (row,) = results(one_run(table([0.2, INF], radius_limit=0.3)), epsilons=(0.3, 1.0)).rows
    assert row.summary.radius_limit == 0.3
    assert row.accuracies[0].value == 0.5
    assert math.isnan(row.accuracies[1].value)


def test_a_norm_that_does_not_exist_is_refused() -> None:
    with pytest.raises(InputError, match="l3"):
        results(one_run(TWO_ATTACKS), norm="l3")  # type: ignore[arg-type]
