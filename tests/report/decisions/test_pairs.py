"""Pairs of records: which runs can be compared, and what is said about the others."""

from typing import Any

import pyarrow as pa
import pytest

from evaluation.record_tables import table
from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation.store.configuration import AttackEntry
from minnorm.report.decisions.pairs import (
    attacks_differ,
    check_comparable,
    check_complete,
    other_differences,
    pair_records,
)
from report.made_runs import made_run

ONE_RUN = [1.0, 2.0, 3.0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"data": "cifar10", "data_fingerprint": "b" * 64},
            "the samples: mnist (fingerprint aaaaaaaa) and cifar10 (fingerprint bbbbbbbb)",
        ),
        ({"indices": (0, 6, 2)}, "the part of the data set: [0:3:1] and [0:6:2]"),
        ({"targets": "all"}, "the targets: none and all"),
        ({"bounds": (-1.0, 1.0)}, "the bounds: [0.0, 1.0] and [-1.0, 1.0]"),
    ],
)
def test_runs_on_other_samples_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        check_comparable(made_run(ONE_RUN), made_run(ONE_RUN, **changes))
    assert message in str(error.value)
    assert len(error.value.args) == 3


def test_runs_whose_fingerprint_does_not_cover_what_differs_are_refused() -> None:
    records = table(ONE_RUN)
    labels = records.schema.get_field_index("label")
    relabeled = records.set_column(labels, records.schema.field("label"), pa.array([0, 0, 2]))
    for other, message in (
        (relabeled, "  the samples: 1 of 3 samples have another label, for example sample 2"),
        (table(ONE_RUN, gray=8.0), "  the samples: 3 of 3 samples have other inputs, for example"),
    ):
        for pair in ((records, other), (other, records)):
            with pytest.raises(InputError, match=message):
                check_comparable(*map(made_run, pair))
    check_comparable(made_run(records), made_run(table(ONE_RUN, gray=8.0), dtype="torch.float16"))


def test_all_that_differs_is_named_at_once() -> None:
    with pytest.raises(InputError) as error:
        check_comparable(
            made_run(ONE_RUN), made_run(ONE_RUN, targets="all", bounds=(-1.0, 1.0), model="zoo:b")
        )
    assert len(error.value.args) == 4


def test_equal_parts_of_the_data_written_differently_are_the_same() -> None:
    check_comparable(made_run(ONE_RUN), made_run(ONE_RUN, indices=(0, 3, 1), data="mnist again"))
    check_comparable(made_run(ONE_RUN, indices=(0, 3, 2)), made_run(ONE_RUN, indices=(0, 4, 2)))


def test_an_incomplete_or_empty_run_is_refused() -> None:
    doubt = Doubt("incomplete", "The run lacks 2 batches. Repeat the command.")
    with pytest.raises(InputError, match="The run lacks 2 batches"):
        check_complete(made_run(ONE_RUN, doubts=(doubt,)))
    check_complete(made_run(ONE_RUN, doubts=(Doubt("nan", "The model returns NaN."),)))
    with pytest.raises(InputError, match=r"the run zoo:it has no records"):
        check_complete(made_run([]))


def test_what_else_differs_is_listed() -> None:
    versions = ({"versions": {"torch": "2.6", "numpy": "2.0"}}, {"versions": {"torch": "2.7"}})
    a = made_run(ONE_RUN, sessions=versions[:1])
    b = made_run(
        table(ONE_RUN, attack="fmn"), model="zoo:b", seed=1, batch_size=7, sessions=versions[1:]
    )
    assert attacks_differ(a, b)
    assert other_differences(a, b) == (
        "model: zoo:it and zoo:b",
        "batch size: 5 and 7",
        "seed: 0 and 1",
        "attacks: ddn and fmn",
        "version of numpy: 2.0 and none",
        "version of torch: 2.6 and 2.7",
    )
    assert other_differences(a, a) == ()


def test_other_weights_of_a_model_and_other_code_of_an_attack_are_noticed() -> None:
    mine = AttackEntry(name="ddn", spec="ddn", norm="l2", code="1")
    a, b = made_run(ONE_RUN), made_run(ONE_RUN, model_fingerprint="g" * 64, attacks=(mine,))
    assert other_differences(a, b) == (
        "model: both are zoo:it, with other weights or code",
        "attacks: ddn and ddn",
    )


def test_pairs_are_in_the_order_of_the_samples() -> None:
    a = made_run(table([3.0, 1.0, 2.0], indices=[2, 0, 1]))
    b = made_run(table([20.0, 30.0, 10.0], indices=[1, 2, 0]))
    pairs = pair_records(a, b)
    assert pairs.samples.tolist() == [0, 1, 2]
    assert pairs.a.column("l2").to_pylist() == [1.0, 2.0, 3.0]
    assert pairs.b.column("l2").to_pylist() == [10.0, 20.0, 30.0]


def test_pairs_are_of_the_closest_adversarials_or_of_one_attack() -> None:
    a = made_run(pa.concat_tables([table([1.0, 5.0]), table([2.0, 3.0], attack="fmn")]))
    b = made_run([4.0, 6.0])
    assert pair_records(a, b).a.column("l2").to_pylist() == [1.0, 3.0]
    assert pair_records(a, b, "ddn").a.column("l2").to_pylist() == [1.0, 5.0]
    assert pair_records(a, b, "ddn", "linf").distances.a.tolist() == [0.5, 2.5]
    with pytest.raises(InputError, match="unknown attack 'fmn' in these records"):
        pair_records(a, b, "fmn")


def test_several_norms_need_a_choice() -> None:
    l2, linf = table([1.0, 5.0]), table([2.0, 3.0], attack="fmn", norm="linf")
    both = made_run(pa.concat_tables([l2, linf]))
    with pytest.raises(InputError, match=r"minimize l2 and linf: choose the norm .* --norm l2"):
        pair_records(both, both)
    assert pair_records(both, both, norm="l2").norm == "l2"
    with pytest.raises(InputError, match=r"two runs minimize l2 and linf: choose .* --norm l2"):
        pair_records(made_run(l2), made_run(linf))


def test_targets_are_paired_and_other_targets_refused() -> None:
    a = made_run(table([1.0, 2.0], indices=[0, 0], targets=[3, 1]))
    b = made_run(table([5.0, 6.0], indices=[0, 0], targets=[1, 3]))
    pairs = pair_records(a, b)
    assert pairs.distances.a.tolist() == [2.0, 1.0]
    assert pairs.distances.b.tolist() == [5.0, 6.0]
    other = made_run(table([5.0, 6.0], indices=[0, 0], targets=[1, 2]), seed=8)
    with pytest.raises(InputError, match=r"the targets of 1 pairs differ \(seeds: 0 and 8\)"):
        pair_records(a, other)


def test_one_target_of_each_sample_may_differ() -> None:
    a = made_run(table([1.0, 2.0], targets=[3, 1]))
    b = made_run(table([5.0, 6.0], targets=[3, 4]))
    pairs = pair_records(a, b)
    assert (len(pairs.a), pairs.other_targets) == (2, 1)


def test_other_samples_in_the_records_are_refused() -> None:
    with pytest.raises(InputError, match="do not have records of the same samples"):
        pair_records(made_run([1.0, 2.0]), made_run(table([1.0, 2.0], indices=[0, 2])))


def test_values_of_pairs() -> None:
    pairs = pair_records(made_run([0.0, 1.0, 2.0, 3.0]), made_run([1.0, 0.0, 4.0, float("inf")]))
    assert pairs.both_correct.tolist() == [False, False, True, True]
    assert pairs.clean_hits.a.tolist() == [False, True, True, True]
    assert pairs.clean_hits.b.tolist() == [True, False, True, True]
    assert pairs.robust_hits(2.5).a.tolist() == [False, False, False, True]
    assert pairs.robust_hits(2.5).b.tolist() == [False, False, True, True]
    assert pairs.distances.samples.tolist() == [2, 3]


def test_beyond_the_radius_of_a_failure_nothing_is_known() -> None:
    limited = pa.concat_tables(
        [table([1.0, float("inf"), float("inf")], radius_limit=2.0, indices=[0, 1, 2]),
         table([3.0], indices=[3])]
    )  # fmt: skip
    pairs = pair_records(made_run(limited), made_run([1.0, 2.0, 3.0, 4.0]))
    assert pairs.distances.a.tolist() == [1.0, float("inf"), float("inf"), float("inf")]
    assert pairs.distances.b.tolist() == [1.0, 2.0, 3.0, 4.0]
