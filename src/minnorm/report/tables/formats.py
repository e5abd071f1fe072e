"""The forms in which results are written: for readers and for programs."""

import csv
import io
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

from minnorm.errors import InputError
from minnorm.evaluation import Estimate
from minnorm.report.tables.latex import to_latex
from minnorm.report.tables.markdown import escaped, markdown_table
from minnorm.report.tables.results import ResultRow, Results, empty_row
from minnorm.report.tables.terminal import result_columns, to_text
from minnorm.runtime.terminal import printable

_FORMULA = ("=", "+", "-", "@")
"""The first letters by which a spreadsheet takes a text for a formula."""


def to_markdown(results: Results) -> str:
    """Return results as a Markdown table, with the heading before it and the notes after it.

    Args:
        results: The results, see `minnorm.report.results`.
    """
    columns = result_columns(results)
    rows = [
        [" ".join(filter(None, column.cell(row))) for column in columns] for row in results.rows
    ]
    texts = sum(column.is_text for column in columns)
    table = markdown_table([column.name for column in columns], rows, texts=texts)
    around = [escaped(results.heading), table.rstrip("\n"), escaped(" ".join(results.notes))]
    return "\n\n".join(filter(None, around)) + "\n"


def to_csv(results: Results) -> str:
    """Return results as CSV in full precision, with one line for each row and no notes.

    Columns that end with `_low` and `_high` hold the ends of 95 % confidence intervals. Shares are
    from 0 to 1. A number that is not known is empty, and infinity is `inf`. Texts that a
    spreadsheet would take for formulas have an apostrophe before them. If there are upper bounds,
    the last column names them.

    Args:
        results: The results, see `minnorm.report.results`.
    """
    header = [name for name, _ in _flat(empty_row(results.epsilons), results)]
    lines = [[value for _, value in _flat(row, results)] for row in results.rows]
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(map(_csv_value, line) for line in lines)
    return file.getvalue()


def to_json(results: Results) -> str:
    """Return results as JSON in full precision.

    Estimates are objects of `value`, `low` and `high`, the ends of 95 % confidence intervals.
    Shares are from 0 to 1. A number that is not known is `null`, and infinity is the text
    `Infinity`, since JSON has no such numbers. An upper bound has `"at_most": true`.

    Args:
        results: The results, see `minnorm.report.results`.
    """
    content = {
        "heading": results.heading,
        "notes": results.notes,
        "epsilons": results.epsilons,
        "rows": [_nested(row, results) for row in results.rows],
    }
    return json.dumps(json_value(content), indent=2, allow_nan=False) + "\n"


def json_value(value: Any) -> Any:
    """Return a value that JSON can hold: NaN as null, infinity as the text `Infinity`."""
    if isinstance(value, dict):
        return {name: json_value(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else f"{'-' if value < 0 else ''}Infinity"
    return value


FORMATS = MappingProxyType[str, Callable[[Results], str]](
    {
        "table": to_text,
        "markdown": to_markdown,
        "latex": to_latex,
        "csv": to_csv,
        "json": to_json,
    }
)
"""The function that writes each format."""

_ENDINGS = {
    ".txt": "table",
    ".md": "markdown",
    ".tex": "latex",
    ".csv": "csv",
    ".json": "json",
}


def format_of(path: Path) -> str:
    """Return the format that the ending of a file stands for.

    Raises:
        InputError: If there is none.
    """
    ending = path.suffix.lower()
    if ending not in _ENDINGS:
        raise InputError(
            f"{path}: the ending stands for no format. Use one of {', '.join(_ENDINGS)}, or choose "
            "a format with --format."
        )
    return _ENDINGS[ending]


def _texts(row: ResultRow) -> dict[str, Any]:
    """Return what a row is about."""
    return {
        "run": row.run,
        "model": row.model,
        "data": row.data,
        "attack": row.attack,
        "norm": row.summary.norm,
        "label": row.label,
        "target": row.target,
        "class_name": row.class_name or None,
    }


def _estimates(row: ResultRow) -> dict[str, Estimate]:
    """Return the estimates of a row, without the accuracies at radii."""
    return {
        "clean_accuracy": row.clean,
        "success": row.summary.success,
        "mean": row.summary.mean,
        "median": row.summary.median,
    }


def _numbers(row: ResultRow) -> dict[str, float]:
    """Return the numbers of a row that have no interval."""
    return {
        "radius_limit": row.summary.radius_limit,
        "gradients": row.summary.backwards,
        "forwards": row.summary.forwards,
        "seconds": row.summary.seconds,
    }


def _counts(row: ResultRow) -> dict[str, int]:
    return {
        "samples": row.samples,
        "records": row.summary.samples,
        "clean_errors": row.clean_errors,
    }


def _nested(row: ResultRow, results: Results) -> dict[str, Any]:
    accuracies = [
        {"epsilon": epsilon, **estimate_values(accuracy)}
        for epsilon, accuracy in zip(results.epsilons, row.accuracies, strict=True)
    ]
    estimates = {name: estimate_values(one) for name, one in _estimates(row).items()}
    return {**_texts(row), **_counts(row), **estimates, "accuracies": accuracies, **_numbers(row)}


def estimate_values(estimate: Estimate) -> dict[str, Any]:
    """Return an estimate as an object of JSON, which says so if it is an upper bound."""
    values: dict[str, Any] = estimate._asdict()
    return {**values, "at_most": True} if estimate.is_upper_bound else values


def _flat(row: ResultRow, results: Results) -> Iterator[tuple[str, Any]]:
    """Yield the names and the values of a line."""
    yield from _texts(row).items()
    yield from _counts(row).items()
    accuracies = {
        f"accuracy@{epsilon!r}": accuracy
        for epsilon, accuracy in zip(results.epsilons, row.accuracies, strict=True)
    }
    estimates = {**_estimates(row), **accuracies}
    for name, estimate in estimates.items():
        yield name, estimate.value
        yield f"{name}_low", estimate.low
        yield f"{name}_high", estimate.high
    yield from _numbers(row).items()
    if any(one.has_upper_bounds for one in results.rows):
        names = [name for name, one in estimates.items() if one.is_upper_bound]
        yield "at_most", " ".join(names)


def _csv_value(value: Any) -> Any:
    if isinstance(value, float) and math.isnan(value):
        return None
    if not isinstance(value, str):
        return value
    text = printable(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
