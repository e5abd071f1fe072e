"""Comparisons in the terminal, in Markdown and in JSON."""

import json
import math
import re
from typing import Any

import pytest

from evaluation.record_tables import table
from minnorm.report import Comparison, compare
from minnorm.report.decisions.comparison_texts import (
    comparison_json,
    comparison_markdown,
    comparison_table,
)
from report.made_runs import made_run
from report.terminals import in_terminal

INF = math.inf

HOSTILE = "<b>|\x1b[31m*x*"

A = [0.0, 1.0, 2.0, 3.0, INF, 2.5]
B = [1.0, 0.5, 1.0, INF, INF, 2.5]


def comparison(**changes: Any) -> Comparison:
    a = made_run(A, classes=["zero"])
    return compare(a, made_run(B, model="zoo:b", **changes), epsilons=[1.5])


def printed(one: Comparison, width: int = 140) -> str:
    return in_terminal(comparison_table(one), width)


def test_the_terminal_shows_what_is_compared_the_metrics_and_what_changed() -> None:
    text = printed(comparison(seed=7))
    lines = text.splitlines()
    assert lines[:3] == [
        "A: it, attacked by ddn",
        "B: b, attacked by ddn",
        "What differs (A and B): model: zoo:it and zoo:b; seed: 0 and 7",
    ]
    rows = {
        cells[0].strip(): [cell.strip() for cell in cells[1:]]
        for line in lines
        if len(cells := line.strip("│").split("│")) > 4
    }
    assert rows["accuracy at 1.5"][:3] == ["66.7 %", "50.0 %", "-16.7"]
    assert rows["accuracy at 1.5"][4:] == ["1", "1", "0"]
    assert rows["clean accuracy"][:3] == ["83.3 %", "100.0 %", "+16.7"]
    assert rows["mean l2"][:3] == ["1.8333", "1.3333", "-0.5000"]
    assert rows["median l2"][:3] == ["2.5000", "2.5000", "0.0000"]
    assert "2 of 6 less robust in B, largest change first:" in lines
    assert "2 of 6 more robust in B, largest change first:" in lines
    changed = [
        line.strip("│").replace(" ", "") for line in lines if "│zero" in line.replace(" ", "")
    ]
    assert changed == [
        "2│zero│2.0000│1.0000",
        "1│zero│1.0000│0.5000",
        "3│zero│3.0000│∞",
        "0│zero│misclassified│1.0000",
    ]


def test_no_letter_is_lost_in_a_narrow_terminal() -> None:
    text = printed(comparison(), width=60)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 60


def test_an_unknown_number_is_a_dash() -> None:
    limited = made_run(table([0.1, INF], radius_limit=0.25))
    text = comparison_markdown(compare(limited, made_run([0.1, 0.2]), epsilons=[1.0]))
    assert "| accuracy at 1 | - | 0.0 % | - |  |  |  |  |" in text


def test_runs_that_differ_in_nothing_have_no_lists() -> None:
    text = printed(compare(made_run(A), made_run(A)))
    assert "What differs (A and B): nothing in the configurations" in text
    assert "less robust" not in text


def test_markdown_formats_nothing_from_outside() -> None:
    a = made_run(table(A, attack=HOSTILE), model=f"zoo:{HOSTILE}")
    text = comparison_markdown(compare(a, made_run(B, model="zoo:b"), epsilons=[1.5]))
    assert "- A: &lt;b&gt;\\|\\\\x1b[31m\\*x\\*, attacked by" in text
    assert "| accuracy at 1.5 | 66.7 % | 50.0 % | -16.7 |" in text
    assert "**2 of 6 less robust in B, largest change first**" in text
    assert "<b>" not in text
    assert "\x1b" not in text


def test_json_has_all_numbers_in_full_precision() -> None:
    one = comparison()
    content = json.loads(comparison_json(one))
    accuracy = content["differences"][1]
    assert accuracy["change"]["value"] == pytest.approx(-1 / 6)
    assert accuracy["change"]["low"] == one.differences[1].change.low
    assert (accuracy["only_a"], accuracy["only_b"], accuracy["p_value"]) == (1, 0, 1.0)
    assert content["more_robust"][0] == {
        "index": 3, "target": None, "label": 0, "name": "zero", "a": 3.0, "b": "Infinity",
    }  # fmt: skip
    assert content["differences"][2]["change"]["low"] == "-Infinity"  # fewer than 6 samples
    unknown = compare(made_run([0.0, 1.0]), made_run([1.0, 0.0]))
    assert json.loads(comparison_json(unknown))["differences"][-1]["a"] is None


def test_pairs_show_their_target() -> None:
    a, b = (
        made_run(table(one, indices=[0, 0], targets=[1, 2])) for one in ([1.0, 2.0], [1.0, 1.5])
    )
    assert "│ 0 to 2 │" in printed(compare(a, b)).replace("│", "│ ").replace("  ", " ")


def test_no_zero_has_a_sign() -> None:
    one = made_run([1.0] * 20)
    text = printed(compare(one, made_run([1.0] * 20, model="zoo:b"), epsilons=[0.5]))
    assert "0.0000" in text
    for sign in "+-":
        assert not re.search(rf"\{sign}0\.0+\b", text)
