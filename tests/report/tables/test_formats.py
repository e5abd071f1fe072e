"""The formats of results: what is read back from them is what was written."""

import csv
import html
import io
import json
import math
import re
from dataclasses import fields
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from evaluation.record_tables import INF, table
from minnorm.errors import InputError
from minnorm.evaluation import Estimate
from minnorm.report import Results, label_runs, results, to_csv, to_json, to_markdown, to_text
from minnorm.report.tables.formats import FORMATS, format_of
from report.made_runs import made_run

HOSTILE = '=cmd|"/c calc", <img src=x onerror=alert(1)> [a](b) `c` *d* | e\n\x1b[31m'

RECORDS = pa.concat_tables(
    [
        table([0.0, 1 / 3, 2.0, INF, 0.7, 0.1, 0.3], attack=HOSTILE),
        table([0.0, 0.2, INF, INF, INF, INF, INF], attack="pgd", radius_limit=0.25),
    ]
)

EPSILONS = (0.25, 8 / 255, 1.0)


def found(*, per_class: bool = False) -> Results:
    """Return results with unusual names and numbers."""
    runs = [made_run(RECORDS, classes=["ca,t"]), made_run(table([1.0, INF]), model="-1+2")]
    return results(label_runs(runs), epsilons=EPSILONS, per_class=per_class)


def number(text: str) -> float:
    """Return the number in a cell of CSV."""
    return float(text) if text else math.nan


def equal(read: tuple[float, ...], expected: Estimate) -> bool:
    """Return whether numbers are the same, or both NaN."""
    return repr(tuple(map(float, read))) == repr(tuple(map(float, expected)))


def test_csv_holds_every_number_in_full() -> None:
    expected = found(per_class=True)
    lines = list(csv.DictReader(io.StringIO(to_csv(expected))))
    assert len(lines) == len(expected.rows) == 8
    for line, row in zip(lines, expected.rows, strict=True):
        estimates = {
            "clean_accuracy": row.clean,
            "success": row.summary.success,
            "mean": row.summary.mean,
            "median": row.summary.median,
            **{f"accuracy@{e!r}": one for e, one in zip(EPSILONS, row.accuracies, strict=True)},
        }
        for name, estimate in estimates.items():
            read = tuple(number(line[name + end]) for end in ("", "_low", "_high"))
            assert equal(read, estimate), name
        assert number(line["radius_limit"]) == row.summary.radius_limit
        costs = [float(line[name]) for name in ("gradients", "forwards", "seconds")]
        assert costs == [row.summary.backwards, row.summary.forwards, row.summary.seconds]
        assert (int(line["samples"]), int(line["clean_errors"])) == (row.samples, row.clean_errors)
        assert line["label"] == ("" if row.label is None else str(row.label))
    assert [line["class_name"] for line in lines] == ["", "", "", *["ca,t"] * 3, "", "0"]


def test_a_spreadsheet_takes_no_name_for_a_formula() -> None:
    lines = list(csv.DictReader(io.StringIO(to_csv(found()))))
    assert lines[0]["attack"].startswith('\'=cmd|"/c calc", <img')
    assert lines[-1]["model"] == "'-1+2"
    assert "\x1b" not in to_csv(found())
    assert len(to_csv(found()).splitlines()) == len(lines) + 1


def numbers_of(value: Any) -> Any:
    """Return a value that was read from JSON, with the numbers that JSON does not have."""
    if isinstance(value, dict):
        return Estimate(*(numbers_of(value[name]) for name in ("value", "low", "high")))
    return math.nan if value is None else float(value)


def test_json_holds_every_number_in_full() -> None:
    expected = found(per_class=True)

    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    read = json.loads(to_json(expected), parse_constant=refuse)
    assert read["epsilons"] == list(EPSILONS)
    assert read["notes"] == list(expected.notes)
    assert len(read["rows"]) == len(expected.rows)
    for line, row in zip(read["rows"], expected.rows, strict=True):
        assert (line["run"], line["attack"], line["norm"]) == (row.run, row.attack, "l2")
        assert (line["label"], line["class_name"]) == (row.label, row.class_name or None)
        for name in ("success", "mean", "median"):
            assert equal(numbers_of(line[name]), getattr(row.summary, name))
        assert equal(numbers_of(line["clean_accuracy"]), row.clean)
        assert [one["epsilon"] for one in line["accuracies"]] == list(EPSILONS)
        for one, accuracy in zip(line["accuracies"], row.accuracies, strict=True):
            assert equal(numbers_of(one), accuracy)
        assert float(line["radius_limit"]) == row.summary.radius_limit
    assert read["rows"][0]["radius_limit"] == "Infinity"
    assert read["rows"][1]["accuracies"][2]["value"] is None


def markdown_cells(line: str) -> list[str]:
    """Return the cells of a line of a Markdown table as a reader sees them."""
    cells = re.split(r"(?<!\\) ?\| ?", line.strip())[1:-1]
    return [html.unescape(re.sub(r"\\(.)", r"\1", cell)) for cell in cells]


def test_markdown_has_the_cells_of_the_table() -> None:
    text = to_markdown(found())
    lines = [line for line in text.splitlines() if line.startswith("|")]
    header, sides, *rows = map(markdown_cells, lines)
    assert header[:4] == ["run", "attack", "samples", "clean %"]
    assert sides == [":---"] * 2 + ["---:"] * (len(header) - 2)
    assert header[7:10] == ["acc. % at 0.25", "acc. % at 8/255", "acc. % at 1"]
    assert [row[0] for row in rows] == ["it"] * 3 + ["-1+2"]
    assert rows[1][1:4] == ["pgd", "7", "85.7 [48.7, 97.4]"]
    assert rows[1][6] == "> 0.25 [0.20, > 0.25]"
    assert rows[1][9] == "-"
    assert "<img" not in text
    assert rows[0][1].startswith("=cmd|")
    assert text.endswith("\n")
    assert "In brackets: 95 % confidence intervals." in text


def test_one_run_has_its_heading_over_the_markdown_table() -> None:
    text = to_markdown(results(label_runs([made_run(RECORDS)])))
    assert text.startswith("7 samples, clean accuracy 85.71 %, clean errors: 1 of 7\n\n| attack |")


def test_the_text_is_that_of_a_log() -> None:
    text = to_text(found())
    assert "\x1b" not in text
    assert "pgd" in text
    assert max(map(len, text.splitlines())) <= 140
    assert not any(line.endswith(" ") for line in text.splitlines())


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_writes_results_without_rows(name: str) -> None:
    text = FORMATS[name](results(label_runs([made_run(table([]))]), epsilons=(1.0,)))
    assert text.endswith("\n")
    assert "it" not in text.split()


@pytest.mark.filterwarnings("error")
def test_the_header_of_csv_is_that_of_any_rows() -> None:
    empty, full = (
        to_csv(results(label_runs([made_run(table(rows))]), epsilons=EPSILONS))
        for rows in ([], [1.0])
    )
    assert empty.splitlines() == full.splitlines()[:1]
    assert empty.startswith("run,model,data,attack,norm,")


@pytest.mark.parametrize(
    ("path", "name"),
    [("a.txt", "table"), ("b/c.MD", "markdown"), ("d.tex", "latex"), ("e.csv", "csv")],
)
def test_the_ending_of_a_file_stands_for_a_format(path: str, name: str) -> None:
    assert format_of(Path(path)) == name


@pytest.mark.parametrize("path", ["a.pdf", "table"])
def test_an_ending_without_a_format_is_refused(path: str) -> None:
    with pytest.raises(InputError, match=r"\.json, or choose a format with --format"):
        format_of(Path(path))


def test_all_fields_of_a_row_are_in_the_formats_for_programs() -> None:
    names = set(json.loads(to_json(found()))["rows"][0])
    own = {field.name for field in fields(found().rows[0])} - {"summary", "clean"}
    own.remove("needs_gradients")  # programs read both numbers of passes
    assert own <= names


def test_numbers_that_may_be_smaller_are_marked_in_every_format() -> None:
    pgd = table([0.3, 0.3, INF], attack="pgd", radius_limit=0.3, fixed_radii="0.3")
    runs = label_runs([made_run(pa.concat_tables([pgd, table([0.2] * 3)]))])
    marked = results(runs, epsilons=(0.1, 0.3))
    assert "| ≤ 100.0 " in to_markdown(marked)
    assert r"$\leq$100.0 " in FORMATS["latex"](marked)
    lines = list(csv.DictReader(io.StringIO(to_csv(marked))))
    assert [line["at_most"] for line in lines] == ["mean median accuracy@0.1", "", ""]
    first, second, _ = json.loads(to_json(marked))["rows"]
    assert first["median"]["at_most"] is True
    assert [one.get("at_most") for one in first["accuracies"]] == [True, None]
    assert "at_most" not in second["median"]
