"""Selections: the rows that they choose, whatever the order of the records."""

import inspect
import math
from collections.abc import Callable
from random import Random

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evaluation.record_tables import DISTANCE, INF, table
from minnorm.attacks import load_attack
from minnorm.attacks.composition import attack_name
from minnorm.errors import InputError
from minnorm.evaluation import (
    SCHEMA,
    WORST_CASE,
    Records,
    breakdown,
    closest_records,
    closest_target,
    hardest_target,
    mean_distance,
    norm_of_records,
    of_attack,
)
from minnorm.evaluation.selection import distances_of, is_name_of_row
from minnorm.geometry import Norm


def test_the_closest_records_of_several_norms_need_a_norm() -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 1.0], attack="other", norm="linf")])
    with pytest.raises(ValueError, match=r"minimize l2 and linf: .* norm='l2'"):
        closest_records(records)
    worst = closest_records(records, "linf")
    assert worst.column("linf").to_pylist() == [0.5, 0.5]
    assert mean_distance(worst).value == 0.5
    assert list(breakdown(records)) == ["ddn", "other", "worst case in l2", "worst case in linf"]
    assert list(breakdown(records, "l2")) == ["ddn", "other", "worst case"]


def test_an_attack_named_like_a_row_of_closest_records_in_a_norm_is_kept() -> None:
    named = "worst case in l2"
    records = pa.concat_tables([table([1.0], attack=named), table([2.0], attack="b", norm="linf")])
    parts = breakdown(records)
    assert list(parts) == [named, "b", f"{named} of all", "worst case in linf"]
    assert parts[named].column("attack").to_pylist() == [named]


@pytest.mark.parametrize("function", [norm_of_records, distances_of])
def test_an_unknown_norm_is_refused(function: Callable[..., object]) -> None:
    with pytest.raises(ValueError, match="norm='l3': expected one of l0, l1, l2, linf"):
        # The bare function: in these tests its types are checked before.
        inspect.unwrap(function)(table([1.0]), "l3")


def farther_in_l2_is_nearer_in_linf(norm: str) -> Records:
    """Return the records of a sample with targets 1 and 2."""
    records = table([1.0, 4.0], indices=[0, 0], targets=[1, 2])
    columns = {name: records.column(name) for name in SCHEMA.names}
    changed = {"linf": pa.array([3.0, 2.0]), "norm": pa.array([norm, norm])}
    return pa.table(columns | changed, schema=SCHEMA)


@pytest.mark.parametrize(
    ("own", "given", "hardest"),
    [("l2", None, 2), ("linf", None, 1), ("l2", "linf", 1), ("linf", "l2", 2)],
)
def test_the_hardest_and_closest_target_are_those_in_the_norm_given_or_the_attacks_own(
    own: str, given: Norm | None, hardest: int
) -> None:
    records = farther_in_l2_is_nearer_in_linf(own)
    assert hardest_target(records, given).column("target").to_pylist() == [hardest]
    assert closest_target(records, given).column("target").to_pylist() == [3 - hardest]
    parts = breakdown(records, given)
    assert parts["ddn, hardest target"].column("target").to_pylist() == [hardest]
    assert parts["ddn, closest target"].column("target").to_pylist() == [3 - hardest]


def test_distances_are_each_in_the_norm_of_their_attack_or_all_in_the_norm_given() -> None:
    records = pa.concat_tables([table([1.0, INF]), table([2.0], attack="b", norm="linf")])
    assert distances_of(records, None).tolist() == [1.0, INF, 1.0]
    assert distances_of(records, "l1").tolist() == [4.0, INF, 8.0]


def test_the_closest_target_of_each_sample_is_chosen() -> None:
    records = table([3.0, 1.0, INF, 2.0], indices=[4, 4, 5, 5], targets=[1, 2, 1, 2])
    found = closest_target(records)
    assert found.column("l2").to_pylist() == [1.0, 2.0]
    assert found.column("target").to_pylist() == [2, 2]


def test_of_attack_finds_a_combinator_by_the_spec_that_was_typed() -> None:
    typed = "worst_case(attacks=['ddn', 'fmn'])"
    records = table([1.0], attack=attack_name(load_attack(typed)))
    assert records.column("attack").to_pylist() != [typed]
    assert of_attack(records, typed) == records
    both = pa.concat_tables([records, table([2.0], attack=typed)])
    assert of_attack(both, typed).column("l2").to_pylist() == [2.0]


def test_of_attack_finds_an_attack_by_any_form_of_its_spec() -> None:
    name = "ddn(steps=20, gamma=0.2)"
    records = pa.concat_tables([table([1.0], attack=name), table([2.0], attack="my attack (")])
    for writing in (name, "ddn(steps=20,gamma=0.2)", " ddn( gamma=.2, steps=20)"):
        assert of_attack(records, writing).column("l2").to_pylist() == [1.0]
    assert of_attack(records, "my attack (").column("l2").to_pylist() == [2.0]
    with pytest.raises(ValueError, match=r"unknown attack 'ddn\(steps=3\)' .* Available: ddn"):
        of_attack(records, "ddn(steps=3)")


def test_of_attack_finds_the_only_attack_of_a_name() -> None:
    names = ["ddn(steps=30)", "carlini_wagner(steps=5)", "carlini_wagner(steps=9)", "my (", "x(a"]
    parts = [table([float(row)], attack=name) for row, name in enumerate(names)]
    records = pa.concat_tables(parts)
    assert of_attack(records, "ddn") == of_attack(records, " ddn ") == parts[0]
    assert of_attack(pa.concat_tables(parts[:2]), "cw") == parts[1]  # its short name in papers
    expected = (
        r"several attacks in these records are 'carlini_wagner': carlini_wagner\(steps=5\), "
        r"carlini_wagner\(steps=9\)\. Name one of them in full\."
    )
    with pytest.raises(InputError, match=expected):
        of_attack(records, "carlini_wagner")
    exact = table([7.0], attack="ddn")
    assert of_attack(pa.concat_tables([records, exact]), "ddn") == exact
    for unknown in ("my", "fmn", "", "x"):
        with pytest.raises(InputError, match="unknown attack"):
            of_attack(records, unknown)


@given(st.lists(st.tuples(DISTANCE, DISTANCE, DISTANCE), min_size=1, max_size=10), st.randoms())
def test_the_closest_records_are_the_minimum_of_each_sample(
    rows: list[tuple[float, float, float]], random: Random
) -> None:
    parts = [
        table([row[number] for row in rows], attack=f"attack {number}", backwards=10**number)
        for number in range(3)
    ]
    records = pa.concat_tables(parts)
    order = list(range(len(records)))
    random.shuffle(order)
    worst = closest_records(records.take(order)).sort_by("index")
    assert worst.schema.equals(SCHEMA)
    assert worst.column("l2").to_pylist() == [min(row) for row in rows]
    assert worst.column("index").to_pylist() == list(range(len(rows)))
    assert set(worst.column("attack").to_pylist()) == {WORST_CASE}
    assert worst.column("success").to_pylist() == [math.isfinite(min(row)) for row in rows]
    assert worst.column("backwards").to_pylist() == [111.0] * len(rows)
    assert worst.column("forwards").to_pylist() == [114.0] * len(rows)
    assert worst.column("seconds").to_pylist() == [0.75] * len(rows)


def test_the_closest_records_are_separate_for_each_target() -> None:
    parts = [
        table([3.0, 1.0], attack="a", indices=[5, 5], targets=[1, 2]),
        table([2.0, INF], attack="b", indices=[5, 5], targets=[1, 2]),
    ]
    worst = closest_records(pa.concat_tables(parts)).sort_by("target")
    assert worst.column("target").to_pylist() == [1, 2]
    assert worst.column("l2").to_pylist() == [2.0, 1.0]


@pytest.mark.parametrize(
    "indices_of_b", [[0], [0, 1, 2], [2, 3]], ids=["one less", "one more", "all others"]
)
def test_the_closest_over_part_of_the_records_is_refused(indices_of_b: list[int]) -> None:
    parts = [
        table([1.0, 2.0], attack="a"),
        table([1.0] * len(indices_of_b), attack="b", indices=indices_of_b),
    ]
    with pytest.raises(ValueError, match="not every attack has a record of every sample"):
        closest_records(pa.concat_tables(parts))


def test_the_hardest_target_is_the_farthest_and_a_failure_is_farther() -> None:
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


def test_the_rows_of_a_table_are_in_the_order_of_the_records() -> None:
    one = table([1.0, INF], attack="zebra")
    assert list(breakdown(one)) == ["zebra"]
    several = pa.concat_tables([one, table([0.5, 2.0], attack="ant")])
    parts = breakdown(several)
    assert list(parts) == ["zebra", "ant", WORST_CASE]
    assert parts["ant"].column("l2").to_pylist() == [0.5, 2.0]
    assert parts[WORST_CASE].column("l2").to_pylist() == [0.5, 2.0]


def test_several_targets_have_rows_for_the_hardest_and_the_closest_of_each() -> None:
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


def test_an_attack_named_worst_case_is_kept() -> None:
    named = [table([float(n + 1)], attack=name) for n, name in enumerate(("a", WORST_CASE))]
    distances = [
        part.column("l2").to_pylist() for part in breakdown(pa.concat_tables(named)).values()
    ]
    assert [2.0] in distances


def test_selections_of_no_records_are_empty() -> None:
    empty = SCHEMA.empty_table()
    for select in (closest_records, hardest_target, closest_target):
        assert select(empty).equals(empty)
    assert breakdown(empty) == {}


def test_untargeted_records_are_not_merged_with_those_of_any_target() -> None:
    untargeted = [table([distance], attack=name) for name, distance in (("a", 3.0), ("b", 4.0))]
    towards_1 = [table([1.0], attack=name, targets=[1]) for name in ("a", "b")]
    towards_0 = [table([2.0], attack=name, targets=[0]) for name in ("a", "b")]
    closest = closest_records(pa.concat_tables([*untargeted, *towards_1, *towards_0]))
    rows = {(row["target"], row["l2"]) for row in closest.to_pylist()}
    assert rows == {(None, 3.0), (1, 1.0), (0, 2.0)}
    assert len(closest) == 3


def test_the_rows_that_a_breakdown_adds_have_names_that_no_attack_may_have() -> None:
    parts = [
        table([1.0, 2.0], attack=attack, norm=norm, indices=[0, 0], targets=[1, 2])
        for attack, norm in (("ddn, then", "l2"), ("b", "linf"))
    ]
    rows = list(breakdown(pa.concat_tables(parts)))
    assert [row for row in rows if not is_name_of_row(row)] == ["ddn, then", "b"]
    assert len(rows) == 12
