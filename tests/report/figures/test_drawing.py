"""What can be drawn, and how it is named."""

from typing import Any

import pytest

from evaluation.record_tables import table
from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation
from minnorm.report.figures.drawing import (
    drawn_parts,
    labeled,
    names_of,
    shown_distance,
    shown_name,
)
from minnorm.report.runs import LabeledRun
from report.made_runs import attack_run, with_column


def drawn_names(runs: Any, *attacks: str) -> list[str]:
    return list(names_of(drawn_parts(labeled(runs), None, attacks)).values())


def renamed(run: LabeledRun, label: str) -> LabeledRun:
    return LabeledRun(label, run.run)


BOTH = attack_run({"ddn": [1.0, 2.0], "fmn": [2.0, 1.0]})


def test_one_run_shows_its_attacks_and_several_show_their_closest() -> None:
    assert drawn_names(BOTH) == ["ddn", "fmn", "worst case"]
    assert drawn_names([BOTH, renamed(BOTH, "other")]) == ["it", "other"]


def test_chosen_attacks_are_shown_alone() -> None:
    assert drawn_names(BOTH, "fmn") == ["fmn"]
    assert drawn_names(BOTH, "worst case", "ddn") == ["worst case", "ddn"]
    pair = [BOTH, renamed(BOTH, "other")]
    assert drawn_names(pair, "ddn") == ["it", "other"]
    assert drawn_names(pair, "ddn", "fmn") == ["it: ddn", "it: fmn", "other: ddn", "other: fmn"]
    with pytest.raises(InputError, match="unknown attack 'dnd'"):
        drawn_names(BOTH, "dnd")


def test_records_and_evaluations_can_be_drawn_too() -> None:
    assert drawn_names(table([1.0, 2.0])) == ["ddn"]
    assert drawn_names(BOTH.run) == ["ddn", "fmn", "worst case"]
    assert [run.label for run in labeled({"mine": table([1.0]), "other": BOTH})] == [
        "mine",
        "other",
    ]
    assert [run.label for run in labeled([BOTH, table([1.0])])] == ["it", "records"]


def test_of_an_unfinished_run_the_samples_of_all_attacks_are_drawn() -> None:
    doubts = (Doubt("incomplete", "Batches are missing."),)
    records = BOTH.run.records.slice(0, 3)  # one attack lacks a sample
    run = LabeledRun("it", Evaluation(records, BOTH.run.manifest, None, doubts))
    parts = drawn_parts(labeled(run), None, ())
    assert [len(part) for part in parts.values()] == [1, 1, 1]


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ([], "nothing to draw"),
        (3, "cannot draw a int"),
        (table([]), "has no records"),
        ("/no/such/run", "is not a run directory"),
    ],
)
def test_what_cannot_be_drawn_is_refused(runs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        labeled(runs)


def test_one_chart_has_one_norm() -> None:
    run = with_column(BOTH, norm=["l2", "l2", "linf", "linf"])
    with pytest.raises(InputError, match=r"minimize l2 and linf.*norm='l2'"):
        drawn_parts([run], None, ())
    assert len(drawn_parts([run], "l2", ())) == 3
    assert len(drawn_parts([run], None, ("fmn",))) == 1


def test_names_are_printable_and_short() -> None:
    assert shown_name("a\x1bb\nc") == "a\\x1bb\\nc"
    one, other = (shown_name("x" * 100 + end) for end in "12")
    assert len(one) == len(other) == 44
    assert one != other


@pytest.mark.parametrize(
    ("value", "text"), [(1.3, "1.30"), (0.04567, "0.0457"), (12.0, "12.0"), (1234.5, "1,234")]
)
def test_distances_have_three_digits(value: float, text: str) -> None:
    assert shown_distance(value) == text
