"""Tables: what is in the cells, as they are printed."""

import math
import re
from dataclasses import replace

import pyarrow as pa
import pytest

from evaluation.record_tables import table
from minnorm.evaluation import Records, summarize
from minnorm.geometry import Norm
from minnorm.report import (
    LabeledRun,
    costs,
    label_runs,
    results,
    results_table,
    to_table,
    with_interval,
)
from minnorm.report.tables.results import results_of_records
from minnorm.report.tables.terminal import row_groups
from minnorm.report.texts import radius_text
from report.made_runs import attack_run, made_run
from report.terminals import in_terminal

INF = math.inf


def printed(records: Records, *, norm: Norm | None = None, epsilons: tuple[float, ...] = ()) -> str:
    """Return a table as a wide terminal shows it."""
    return in_terminal(results_table(records, norm=norm, epsilons=epsilons))


def cells(text: str) -> list[list[str]]:
    """Return the cells of the lines between the borders."""
    lines = [line for line in text.splitlines() if line.startswith(("┃", "│"))]
    return [[cell.strip() for cell in re.split("[┃│]", line)[1:-1]] for line in lines]


def joined(text: str) -> str:
    """Return a text without its line breaks."""
    return " ".join(text.split())


def test_a_row_holds_the_metrics_of_an_attack() -> None:
    text = printed(table([0.0, 1.0, 2.0, INF]), epsilons=(1.0,))
    assert "4 samples, clean accuracy 75.00 %, clean errors: 1 of 4" in text
    header, values, intervals = cells(text)
    assert header == [
        "attack", "success %", "mean l2", "median l2", "acc. % at 1", "gradients", "forwards",
        "seconds",
    ]  # fmt: skip
    # One of the four is misclassified: success, mean and median are over the other three.
    assert values == ["ddn", "66.7", "1.5000", "2.0000", "50.0", "5", "6", "1.0"]
    assert intervals[1:3] == ["[20.8, 93.9]", "[0.00, 51.34]"]
    assert intervals[3:5] == ["[0.00, ∞]", "[15.0, 85.0]"]
    assert "over the correctly classified samples, without the clean errors" in joined(text)


def test_small_distances_have_more_digits() -> None:
    _, values, intervals = cells(printed(table([0.01984, 0.02184, 0.02384] * 4)))
    assert values[2:4] == ["0.02184", "0.02184"]
    assert intervals[2:4] == ["[0.021, 0.023]", "[0.020, 0.024]"]
    assert cells(printed(table([0.1] * 9)))[1][2:4] == ["0.1000", "0.1000"]
    assert cells(printed(table([0.0012345] * 9)))[1][2] == "0.001234"


def test_an_attack_that_fools_nobody_has_no_success_and_no_mean() -> None:
    text = printed(table([0.0, 0.0, 0.0, INF]))
    assert "clean accuracy 25.00 %, clean errors: 3 of 4" in text
    assert cells(text)[1][1:4] == ["0.0", "-", "∞"]


def test_an_attack_within_a_radius_has_no_numbers_beyond_it() -> None:
    records = pa.concat_tables(
        [
            table([0.0, 0.2, INF, INF], attack="pgd", radius_limit=0.25),
            table([0.0, 0.2, 0.5, INF], attack="ddn"),
        ]
    )
    text = printed(records, epsilons=(0.25, 1.0))
    rows = {row[0]: (row, interval) for row, interval in zip(*[iter(cells(text)[1:])] * 2)}  # noqa: B905 - two lines a row
    pgd, below = rows["pgd"]
    assert pgd[1:6] == ["33.3", "0.2000", "> 0.25", "50.0", "-"]
    assert below[3] == "[0.00, > 0.25]"
    assert rows["ddn"][0][3:6] == ["0.5000", "50.0", "25.0"]
    assert rows["worst case"][0][3:6] == ["0.5000", "50.0", "25.0"]
    note = "An attack within a radius says nothing beyond it"
    assert note in joined(text)
    assert note not in joined(printed(table([1.0, INF])))


@pytest.mark.parametrize("width", [80, 100, 160])
def test_no_digit_is_lost_in_a_narrow_terminal(width: int) -> None:
    found = results_table(table([0.0, 1.0, 2.0, INF]), epsilons=(0.5, 1.0, 1.5))
    text = in_terminal(found, width)
    assert "…" not in text
    assert "1.5000" in text
    assert max(len(line) for line in text.splitlines()) <= width


@pytest.mark.parametrize("width", [80, 100])
def test_no_word_and_no_number_is_broken_in_a_narrow_terminal(width: int) -> None:
    records = table([0.0, 1.0, 2.0, INF], attack="normal_pursuit(budget=30, restarts=2)")
    text = in_terminal(results_table(records, epsilons=(0.5,), width=width), width)
    words = text.split()
    for word in ("normal_pursuit(", "budget=30,", "restarts=2)", "gradients", "forwards", "1.5000"):
        assert word in words
    assert max(len(line) for line in text.splitlines()) <= width


def test_a_wide_terminal_has_a_line_for_each_number_and_for_its_interval() -> None:
    results_ = results(label_runs([made_run(model="zoo:a")]), epsilons=(1.0,))
    assert in_terminal(to_table(results_, width=200)) == in_terminal(to_table(results_))


def test_several_attacks_have_a_row_each_and_one_for_the_closest_records() -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 1.0], attack="other")])
    rows = cells(printed(records))[1::2]
    assert [row[0] for row in rows] == ["ddn", "other", "worst case"]
    assert [row[2] for row in rows] == ["2.0000", "1.5000", "1.0000"]
    assert [row[4] for row in rows] == ["5", "5", "10"]
    assert "2 samples" in printed(records)


def test_several_targets_have_rows_for_the_hardest_and_the_closest() -> None:
    records = table([1.0, 4.0], indices=[0, 0], targets=[1, 2])
    text = printed(records, epsilons=(2.0,))
    rows = cells(text)[1::2]
    assert [(row[0], row[2]) for row in rows] == [
        ("ddn", "2.5000"),
        ("ddn, hardest target", "4.0000"),
        ("ddn, closest target", "1.0000"),
    ]
    assert "1 samples" in text
    assert "2 pairs of 1 samples with their targets" in " ".join(text.split())
    assert cells(text)[0][4] == "acc. % at 2"
    assert "whose target is not reached within the radius" in joined(text)


@pytest.mark.parametrize("norm", ["l0", "l1", "linf"])
def test_the_headers_name_the_norm_of_the_distances(norm: Norm) -> None:
    header, values, _ = cells(printed(table([1.0, 1.0]), norm=norm))
    assert header[2:4] == [f"mean {norm}", f"median {norm}"]
    assert values[2] == {"l0": "10.0000", "l1": "4.0000", "linf": "0.5000"}[norm]


def test_attacks_of_several_norms_are_each_measured_in_their_own() -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 4.0], attack="other", norm="linf")])
    text = printed(records, epsilons=(1.5,))
    header, *rows = cells(text)
    assert header[:6] == ["attack", "norm", "success %", "mean", "median", "acc. % at 1.5"]
    assert [row[:2] + row[3:4] + row[5:6] for row in rows[::2]] == [
        ["ddn", "l2", "2.0000", "50.0"],
        ["other", "linf", "1.5000", "50.0"],
        ["worst case in l2", "l2", "2.0000", "50.0"],
        ["worst case in linf", "linf", "1.0000", "0.0"],
    ]


def test_a_norm_that_no_attack_minimizes_is_noted() -> None:
    note = "Measured in linf, also for attacks that minimize l2"
    assert note in " ".join(printed(table([1.0, 1.0]), norm="linf").split())
    assert "Measured in" not in printed(table([1.0, 1.0]), norm="l2")
    assert "mean linf" in printed(table([1.0, 1.0], norm="linf"))


def test_failures_alone_have_no_mean_and_an_infinite_median() -> None:
    _, values, intervals = cells(printed(table([INF] * 6)))
    assert values[1:4] == ["0.0", "-", "∞"]
    assert intervals[1:4] == ["[0.0, 39.0]", "", "[∞, ∞]"]


def test_the_name_of_an_attack_is_shown_as_text() -> None:
    name = "[bold]mine[/bold] [link=http://x]"
    assert cells(printed(table([1.0, 2.0], attack=name)))[1][0] == name


def test_no_records_have_a_table_without_rows() -> None:
    assert len(cells(printed(table([])))) == 1


@pytest.mark.parametrize(
    ("estimate", "scale", "digits", "expected"),
    [
        ((0.5, 0.25, 0.75), 100, 1, "50.0\n[25.0, 75.0]"),
        ((1.23456, 1.0, 1.5), 1, 4, "1.2346\n[1.00, 1.50]"),
        ((INF, 2.0, INF), 1, 4, "∞\n[2.00, ∞]"),
        ((math.nan, math.nan, math.nan), 1, 4, "-"),
    ],
)
def test_an_estimate_is_shown_with_its_interval(
    estimate: tuple[float, float, float], scale: float, digits: int, expected: str
) -> None:
    assert with_interval(estimate, scale, digits) == expected


def test_an_infinite_number_is_shown_as_beyond_the_limit() -> None:
    assert with_interval((INF, 0.25, INF), 1, 4, limit=0.3) == "> 0.3\n[0.25, > 0.3]"
    assert with_interval((0.25, 0.2, INF), 1, 4, limit=0.3) == "0.2500\n[0.20, > 0.3]"


def test_costs_are_means_per_sample_and_seconds_in_total() -> None:
    summary = summarize(table([1.0, 2.0], backwards=1234.4), "ddn")
    assert costs(summary) == ("1,234", "1,235", "0.5")
    without_gradients = replace(summary, backwards=0.0)
    assert costs(without_gradients) == ("-", "1,235 queries", "0.5")
    assert costs(replace(without_gradients, forwards=0.0)) == ("0", "0", "0.5")  # unknown


def test_an_attack_that_needs_gradients_has_made_no_queries() -> None:
    """Of a model without gradients it gets none."""
    attacks = ("normal_pursuit(budget=40)", "with_restarts(attack=ddn, restarts=2)", "square", "my")
    tables = [table([1.0, 2.0], attack=name, backwards=0.0) for name in attacks]
    found = results_of_records(pa.concat_tables(tables))
    shown = [costs(row.summary, needs_gradients=row.needs_gradients)[0] for row in found.rows]
    assert shown == ["0", "0", "-", "-", "0"]  # the last one is the closest of all
    run = attack_run({"square_min_norm": [1.0, 2.0]}, costs={"square_min_norm": 0.0})
    assert [row.needs_gradients for row in results([run], per_class=True).rows] == [False] * 2
    run = attack_run({"a name": [1.0, 2.0], "ddn": [1.0, 2.0]}, costs={"a name": 0.0, "ddn": 0.0})
    assert all(row.needs_gradients for row in results([run], per_class=True).rows)


@pytest.mark.parametrize(
    ("radius", "text"),
    [
        (8 / 255, "8/255"),
        (255 / 255, "1"),
        (51 / 255, "0.2"),
        (0.031, "0.031"),
        (0.0313725, "0.0313725"),
        (0.5, "0.5"),
        (math.inf, "inf"),
        (0.0, "0"),
    ],
)
def test_a_radius_of_whole_gray_levels_is_shown_as_a_fraction(radius: float, text: str) -> None:
    assert radius_text(radius) == text


def test_fractions_in_the_name_of_an_attack_and_in_headers_are_shown_as_they_are_written() -> None:
    name = f"pgd(epsilon={8 / 255}, step_size={0.1234567})"
    header, values, _ = cells(printed(table([1.0], attack=name), epsilons=(8 / 255,)))
    assert header[4] == "acc. % at 8/255"
    assert values[0] == "pgd(epsilon=8/255, step_size=0.1234567)"


@pytest.mark.parametrize(
    ("runs", "names", "values"),
    [
        ([("a", "x")], ["attack"], [["ddn"]]),
        ([("a", "x"), ("b", "x")], ["run", "attack"], [["a", "ddn"], ["b", "ddn"]]),
        ([("a", "x"), ("a", "y")], ["run", "attack"], [["a, x", "ddn"], ["a, y", "ddn"]]),
        (
            [("a", "x"), ("b", "y")],
            ["run", "data", "attack"],
            [["a", "x", "ddn"], ["b", "y", "ddn"]],
        ),
        (
            [("a", "x"), ("a", "y"), ("b", "y")],
            ["run", "data", "attack"],
            [["a, x", "x", "ddn"], ["a, y", "y", "ddn"], ["b", "y", "ddn"]],
        ),
    ],
)
def test_columns_tell_the_runs_apart(
    runs: list[tuple[str, str]], names: list[str], values: list[list[str]]
) -> None:
    labeled = label_runs([made_run(table([1.0]), model=model, data=data) for model, data in runs])
    header, *rows = cells(in_terminal(to_table(results(labeled))))
    assert header[: len(names)] == names
    assert [row[: len(names)] for row in rows[::2]] == values


NAMES = ["normal_pursuit(budget=30, restarts=2)", "ddn(steps=30, initial_norm=0.5)", "[b]"]


def several_runs() -> list[LabeledRun]:
    """Return three runs of three attacks in two norms, with a long label and a hostile one."""
    records = pa.concat_tables(
        [table([0.0, 1.0, INF], attack=name) for name in NAMES[:2]]
        + [table([0.0, 0.1, 0.2], attack=NAMES[2], norm="linf")]
    )
    models = ("a " + "long " * 20 + "name", "[b]bold[/b]", "c")
    return label_runs([made_run(records, model=one, classes=["cat"]) for one in models])


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("per_class", [False, True])
def test_in_a_narrow_terminal_each_run_has_a_table_below_its_label(
    width: int, per_class: bool
) -> None:
    runs = several_runs()
    found = results(runs, epsilons=(0.5, 1.5, 8 / 255), per_class=per_class)
    text = in_terminal(to_table(found, width=width), width)
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= width
    assert "…" not in text
    for run in runs:
        assert f"{run.label}: 3 samples, clean accuracy 66.67 %, clean errors: 1 of 3" in joined(
            text
        )
    words = text.split()
    for word in (
        "normal_pursuit(",
        "budget=30,",
        "initial_norm=0.5)",
        "gradients",
        "0.1500",
        "[b]",
    ):
        assert words.count(word) % len(runs) == 0
        assert word in words
    assert ("cat" in words) is per_class
    assert {"norm:", "linf"} <= set(words)
    # The tables of all runs have the same columns at the same places.
    headers = [line for line in lines if line.startswith("attack ")]
    assert len(headers) % len(runs) == 0
    assert headers == headers[: len(headers) // len(runs)] * len(runs)


def test_numbers_that_do_not_fit_are_in_a_further_table() -> None:
    found = results(several_runs()[2:], epsilons=[0.1 * number for number in range(20)])
    text = in_terminal(to_table(found, width=80), 80)
    assert max(len(line.rstrip()) for line in text.splitlines()) <= 80
    assert len(re.findall("^attack ", text, re.MULTILINE)) > 1
    assert text.count("acc. %") == 20


def test_several_runs_have_columns_for_samples_and_clean_accuracy() -> None:
    runs = label_runs([made_run(table([0.0, 1.0])), made_run(table([1.0] * 3), model="b")])
    header, *rows = cells(in_terminal(to_table(results(runs))))
    assert header[2:4] == ["samples", "clean %"]
    assert [row[2:4] for row in rows[::2]] == [["2", "50.0"], ["3", "100.0"]]
    assert rows[1][3] == "[9.5, 90.5]"


def test_rows_of_classes_and_targets_are_named_and_come_last() -> None:
    records = table([1.0, 4.0], indices=[0, 0], targets=[1, 2])
    runs = label_runs([made_run(records, classes=["cat", "[b]dog"])])
    found = results(runs, per_class=True, per_target=True)
    header, *rows = cells(in_terminal(to_table(found)))
    assert header[:3] == ["attack", "class", "target"]
    assert [row[:3] for row in rows[::2]] == [
        ["ddn", "all", "all"],
        ["ddn, hardest target", "all", "all"],
        ["ddn, closest target", "all", "all"],
        ["ddn", "0 cat", "all"],
        ["ddn, hardest target", "0 cat", "all"],
        ["ddn, closest target", "0 cat", "all"],
        ["ddn", "all", "1 [b]dog"],
        ["ddn", "all", "2"],
    ]
    assert [len(group) for group in row_groups(found)] == [3, 3, 2]


def test_numbers_that_may_be_smaller_are_marked() -> None:
    records = pa.concat_tables(
        [
            table([0.0, *[0.3] * 7, INF, INF], attack="pgd", radius_limit=0.3, fixed_radii="0.3"),
            table([0.0, *[0.2] * 9], attack="ddn"),
        ]
    )
    text = printed(records, epsilons=(0.1, 0.3))
    rows = {row[0]: (row, interval) for row, interval in zip(*[iter(cells(text)[1:])] * 2)}  # noqa: B905 - two lines a row
    pgd, below = rows["pgd"]
    assert pgd[2:6] == ["≤ 0.3000", "≤ 0.3000", "≤ 90.0", "20.0"]
    assert below[3:5] == ["[0.00, > 0.3]", "[5.7, 98.2]"]
    assert rows["ddn"][0][2:6] == ["0.2000", "0.2000", "90.0", "0.0"]
    assert rows["worst case"][0][2:6] == ["0.2000", "0.2000", "90.0", "0.0"]
    note = "'≤' is at most: an attack such as PGD searches for any adversarial within its radius"
    assert note in joined(text)
    assert note not in joined(printed(table([0.1, INF], radius_limit=0.25), epsilons=(0.1,)))
