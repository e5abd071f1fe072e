"""Pages: what is measured is on them, and nothing from outside becomes markup."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import pytest

from minnorm.evaluation import Estimate
from minnorm.paper.claims import Own
from minnorm.paper.experiment import PaperFigures, load_experiment
from minnorm.paper.measuring import MeasuredSetting, Options
from minnorm.paper.outcome import ClaimResult, Outcome, Table
from minnorm.paper.pages import to_json, to_markdown, to_tables
from minnorm.paper.reproduction import command_of
from minnorm.paper.tables import attacks, interval_text, outcome_of
from minnorm.runtime.terminal import Terminal
from paper.measured_by_hand import experiment, measured, over

HELD = Own(kind="own", name="it", text="It holds.", setting="MNIST")
CLAIM = ClaimResult(HELD, "held", "1 of 1", Estimate(1.0, 0.5, math.inf), 0.01)

OUTCOME = Outcome(
    experiment(title="Table <1>", about="About | it."),
    tables=(
        Table(
            "On [x]",
            ("attack", "mean L2"),
            (("C&W", "1.0 [0.5, 2]"), ("  the paper's", "1.5")),
            notes=("A *note*.",),
        ),
    ),
    claims=(CLAIM,),
    figures=("figure.svg", "figure.png", "steps.png"),
    notes=("The end.",),
    numbers={"rows": [1, math.nan]},
)


def test_the_page_has_claims_tables_figures_and_notes_with_everything_escaped() -> None:
    page = to_markdown(OUTCOME, "minnorm reproduce table1")
    assert page.startswith("# Table &lt;1&gt;\n\nAbout \\| it.\n\nScale: cpu")
    assert "`minnorm reproduce table1`" in page
    assert "| It holds. | MNIST | held | 1 of 1 |" in page
    assert "## On [x]" in page
    assert "| C&W | 1.0 [0.5,\N{NO-BREAK SPACE}2] |" in page
    assert "| *the\N{NO-BREAK SPACE}paper's* | 1.5 |" in page
    assert "- A \\*note\\*." in page
    assert "](figure.svg)" in page
    assert "](steps.png)" in page
    assert "figure.png" not in page  # the same picture
    assert "## Notes\n\n- The end.\n" in page
    assert page.endswith("the code: [results.json](results.json).\n")


def test_a_claim_of_this_package_says_that_it_is() -> None:
    ours = replace(CLAIM, claim=HELD.model_copy(update={"by": "package"}))
    outcome = replace(OUTCOME, claims=(CLAIM, ours))
    page = to_markdown(outcome, "minnorm reproduce table1")
    assert "| It holds. | MNIST |" in page
    assert "| Of this package: It holds. | MNIST |" in page
    claims = json.loads(to_json(outcome, "minnorm reproduce table1"))["claims"]
    assert [claim["by"] for claim in claims] == ["paper", "package"]


def test_the_page_of_a_table_has_the_spec_of_each_attack_in_each_setting() -> None:
    table = load_experiment("table5", "cpu")
    page = to_markdown(Outcome(table), "minnorm reproduce table5")
    settings = "MNIST baseline, MNIST Madry, MNIST DDN, MNIST normal pursuit"
    assert f"| DDN 1,000 | {settings} | ddn(steps=1000, levels=256) |" in page
    assert page.count("| DDN 1,000 |") == 1
    other = to_markdown(Outcome(load_experiment("black-box", "cpu")), "minnorm reproduce black-box")
    for surrogate, on in (
        ("ddn", "MNIST plain, MNIST FGSM, MNIST Madry"),
        ("madry-l2", "MNIST DDN"),
    ):
        spec = f"transfer(surrogates='zoo:mnist-cnn-{surrogate}', refine=False)"
        assert re.search(rf"\| transfer, trained \| {on}[^|]* \| {re.escape(spec)} \|", other)
    assert "## Attacks" not in to_markdown(Outcome(load_experiment("figure4", "cpu")), "")


def test_a_heading_may_be_empty() -> None:
    table = Table("Image", ("", "value"), (("class", "7"),))
    page = to_markdown(replace(OUTCOME, tables=(table,)), "minnorm reproduce figure1")
    assert "|  | value |\n| :--- | ---: |\n| class | 7 |" in page


def test_the_numbers_are_json_with_where_they_come_from() -> None:
    found = json.loads(to_json(OUTCOME, "minnorm reproduce table1"))
    assert found["rows"] == [1, None]
    assert found["claims"] == [
        {
            "text": "It holds.",
            "by": "paper",
            "setting": "MNIST",
            "result": "held",
            "numbers": "1 of 1",
            "estimate": {"value": 1.0, "low": 0.5, "high": "Infinity"},
            "p_value": 0.01,
        }
    ]
    assert found["definition"]["title"] == "Table <1>"
    assert {"revision", "versions", "hardware"} <= set(found)


def printed(outcome: Outcome, width: int) -> str:
    """Return what a terminal of a width shows of an outcome."""
    console = Terminal(width=width)
    with console.capture() as capture:
        for table in to_tables(outcome, console.width):
            console.print(table)
    return capture.get()


def test_the_terminal_shows_the_tables_and_the_claims() -> None:
    shown = printed(OUTCOME, 140)
    assert "On [x]" in shown
    assert "C&W" in shown
    assert "1.0 [0.5, 2]" in shown
    assert "A *note*." in shown
    assert "It holds." in shown


def test_in_a_narrow_terminal_intervals_are_below_the_numbers_and_words_are_whole() -> None:
    names = tuple(f"mean {number}" for number in range(6))
    row = ("SuperDeepFool", *["100.0 [51.0, 100.0]"] * 5, "+7.2 [-1.0, +∞] %")
    wide = replace(OUTCOME, tables=(Table("Wide", ("attack", *names), (row,)),), claims=())
    lines = printed(wide, 120).splitlines()
    assert sum(line.count("[51.0, 100.0]") for line in lines) == 5
    assert sum(line.count("+7.2 %") for line in lines) == 1
    assert not any("100.0 [" in line for line in lines)
    narrow = printed(wide, 50)
    assert "SuperDeepFool" in narrow
    assert "mean 5" in narrow.replace("\n", " ").split("Left out for lack of width: ")[1]
    assert max(map(len, narrow.splitlines())) <= 50


def test_a_table_has_the_paper_s_figures_and_the_difference_below_ours(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    figures = PaperFigures(success=100.0, mean=2.0, gradients=54007, seconds=856.8)
    setting = measured(
        {"A": [1.0, 2.0, 3.0], "B": [4.0, 4.0, 4.0]},
        paper={"A": figures},
        differences=("Another network.",),
        combined=over("A", "B"),
    )
    setting.missing["C"] = "Install it."
    monkeypatch.setattr("minnorm.paper.tables.measure", lambda *_: (setting,))
    columns = ("success", "mean", "gradients", "seconds")
    given = experiment(columns=columns, scale="paper", settings=(setting.setting,))
    (table,) = attacks(given, Options(tmp_path)).tables
    assert table.title == "MNIST: m on d, accuracy without an attack 100.00 %"
    assert table.columns[:3] == ("attack", "images", "success %")
    ours, theirs, change, other, *_ = table.rows
    assert ours[0] == "A"
    assert ours[1] == "3"
    assert ours[3].startswith("2.0000 [")
    assert ours[4:] == ("5", "0.8")
    assert theirs == ("  the paper's", "", "100.0", "2.0000", "54,007", "856.8")
    assert change[3].startswith("0.0 [")
    assert change[4:] == ("", "")
    assert other[0] == "B"
    assert [row[0] for row in table.rows][4:] == ["All", "all rows"]
    assert table.notes[0] == "Another network."
    assert table.notes[-1] == "Not run: C. Install it."


def test_the_success_of_targeted_attacks_has_the_digits_of_the_paper() -> None:
    figures = PaperFigures(success=99.98, hardest_success=99.5)
    targeted = measured({"A": [1.0, 2.0]}, indices=[0, 0], targets=[1, 2], paper={"A": figures})
    setting = targeted.setting.model_copy(update={"targets": "all"})
    given = experiment(columns=("success", "hardest"), settings=(setting,))
    (table,) = outcome_of(given, [MeasuredSetting(setting, targeted.runs)]).tables
    assert table.rows[0][2].startswith("100.00 [")
    assert table.rows[1] == ("  the paper's", "", "99.98", "99.5", "")
    assert table.rows[2][2].startswith("+0.02 [")


def test_intervals_have_signs_and_infinities() -> None:
    assert interval_text(Estimate(0.1, -0.05, math.inf), 100, 1, signed=True) == (
        "+10.0 [-5.0, +∞]"
    )
    assert interval_text(Estimate(1.23456, 1.2, 1.3), 1, 4) == "1.2346 [1.20, 1.30]"


def test_the_command_repeats_what_was_changed(tmp_path: Path) -> None:
    changed = load_experiment(
        "table2", "cpu", models={"MNIST": "zoo:mnist-cnn-ddn"}, data={"MNIST": "mnist[:7]"}
    )
    assert command_of(changed, Options(tmp_path, seed=3)) == (
        "minnorm reproduce table2 --scale cpu --model MNIST=zoo:mnist-cnn-ddn "
        "--data 'MNIST=mnist[:7]' --seed 3"
    )
