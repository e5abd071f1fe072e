"""The command `show`: finished runs again, in every form and with their warnings."""

import csv
import io
import json
from pathlib import Path

import pytest

from cli.command_line import Shell
from evaluation.small_runs import run
from minnorm.cli.show import _FORMATS
from minnorm.report.tables.formats import FORMATS

ATTACKS = ["fgsm(epsilon=0.1)", "ddn(steps=3)"]


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, one of which a batch is missing, and one with targets."""
    folder = tmp_path_factory.mktemp("runs")
    run(folder / "one", attacks=ATTACKS, data="mnist-sample[:6]")
    run(folder / "cut", attacks=ATTACKS[1:], data="mnist-sample[:6]")
    (folder / "cut" / "records" / "000001-00.parquet").unlink()
    run(folder / "aimed", attacks=ATTACKS[1:], data="mnist-sample[:3]", targets="random:2")
    return folder


def test_a_run_is_shown_as_its_evaluation_shows_it(shell: Shell, tmp_path: Path) -> None:
    evaluated = shell(
        "evaluate", "zoo:mnist-cnn", "mnist-sample[:3]", "--attack", "ddn(steps=2)",
        "--epsilon", "8/255,1", "--accelerate", "off", "--out", str(tmp_path / "run"),
    )  # fmt: skip
    again = shell("show", str(tmp_path / "run"), "--epsilon", "8/255", "--epsilon", "1")
    assert (again.code, again.message) == (0, "")
    assert "acc. % at 8/255" in again.output
    assert evaluated.output.startswith(again.output)
    in_linf = shell("show", str(tmp_path / "run"), "--norm", "linf")
    assert "mean linf" in in_linf.output
    assert "Measured in linf" in " ".join(in_linf.output.split())


def test_several_runs_are_in_one_table(shell: Shell, runs: Path) -> None:
    found = shell("show", str(runs / "one"), str(runs / "aimed"), "--format", "csv")
    lines = list(csv.DictReader(io.StringIO(found.output)))
    assert [(line["attack"], int(line["samples"])) for line in lines] == [
        (ATTACKS[0], 6),
        (ATTACKS[1], 6),
        ("worst case", 6),
        (ATTACKS[1], 3),
        (f"{ATTACKS[1]}, hardest target", 3),
        (f"{ATTACKS[1]}, closest target", 3),
    ]


def test_runs_have_the_labels_that_are_given(shell: Shell, runs: Path) -> None:
    words = ["show", str(runs / "one"), str(runs / "aimed"), "--label", "plain", "--label", "aimed"]
    table = shell(*words).output
    assert "plain" in table
    assert "aimed" in table
    assert "mnist-cnn" not in table
    lines = csv.DictReader(io.StringIO(shell(*words, "--format", "csv").output))
    assert [line["run"] for line in lines] == ["plain"] * 3 + ["aimed"] * 3


def test_attacks_are_chosen(shell: Shell, runs: Path) -> None:
    words = ["show", str(runs / "one"), "--format", "csv", "--attack"]
    chosen = csv.DictReader(io.StringIO(shell(*words, "ddn( steps=3 )").output))
    assert [line["attack"] for line in chosen] == [ATTACKS[1]]
    worst = csv.DictReader(io.StringIO(shell(*words, "worst case").output))
    assert [line["attack"] for line in worst] == ["worst case"]
    unknown = shell(*words, "ddm(steps=3)")
    assert unknown.code == 2
    assert "ddm" in unknown.message
    assert ATTACKS[1] in unknown.message


def test_classes_and_targets_have_rows_on_demand(shell: Shell, runs: Path) -> None:
    words = ["show", str(runs / "aimed"), "--format", "json"]
    rows = json.loads(shell(*words, "--per-class", "--per-target").output)["rows"]
    assert any(row["label"] is not None for row in rows)
    assert any(row["target"] is not None for row in rows)
    refused = shell("show", str(runs / "one"), "--per-target")
    assert refused.code == 2
    assert "need a run with targets" in refused.message


def test_the_command_knows_the_formats_before_it_loads_what_writes_them() -> None:
    assert tuple(FORMATS) == _FORMATS


@pytest.mark.parametrize("form", ["markdown", "latex", "csv", "json"])
def test_warnings_stay_out_of_what_is_redirected(shell: Shell, runs: Path, form: str) -> None:
    found = shell("show", str(runs / "cut"), "--format", form)
    assert found.code == 0
    assert "is incomplete" not in found.output
    assert found.message.count("is incomplete") == 1
    if form == "json":
        assert json.loads(found.output)["rows"][0]["samples"] == 5


def test_the_warnings_of_a_run_follow_its_table(shell: Shell, runs: Path) -> None:
    found = shell("show", str(runs / "cut"))
    assert found.output.count("Warning: The run in") == 1
    assert "UserWarning" not in found.errors
    both = shell("show", str(runs / "cut"), str(runs / "one"))
    assert "Warning: evaluation.tiny_models:linear, cut: The run in" in both.output


@pytest.mark.parametrize(
    ("name", "beginning"),
    [("t.md", "6 samples"), ("t.tex", "% 6 samples"), ("t.csv", "run,model"), ("t.json", "{")],
)
def test_a_file_has_the_format_of_its_ending(
    shell: Shell, runs: Path, tmp_path: Path, name: str, beginning: str
) -> None:
    file = tmp_path / name
    found = shell("show", str(runs / "one"), "--out", str(file))
    assert (found.code, found.output) == (0, f"table: {file}\n")
    assert file.read_text().startswith(beginning)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_output_is_what_the_file_holds(shell: Shell, runs: Path, tmp_path: Path) -> None:
    words = ["show", str(runs / "one"), "--format", "latex"]
    shell(*words, "--out", str(tmp_path / "table.txt"))
    assert shell(*words).output == (tmp_path / "table.txt").read_text()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["missing"], "not a run directory"),
        (["one", "--format", "latx"], "latex"),
        (["one", "--norm", "l3"], "l3"),
        (["one", "--epsilon", "-1"], "at least 0"),
        (["one", "--out", "table.pdf"], "--format"),
        (
            ["one", "--label", "a", "--label", "b"],
            "2 labels for 1 run: give one label for each run",
        ),
    ],
)
def test_bad_input_causes_one_message(
    shell: Shell, runs: Path, words: list[str], message: str
) -> None:
    folder, *options = words
    found = shell("show", str(runs / folder), *options)
    assert (found.code, found.output) == (2, "")
    assert message in found.message
    assert "Traceback" not in found.errors
