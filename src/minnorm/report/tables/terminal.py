"""Tables of results for readers: their columns, their cells as texts, and the form of terminals."""

import io
import math
import re
from collections.abc import Callable, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from rich import box
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from minnorm.evaluation import Records, Summary
from minnorm.geometry import Norm
from minnorm.report.tables.results import ResultRow, Results, results_of_records
from minnorm.report.texts import attack_text, radius_text
from minnorm.runtime.terminal import SIZE_OF_LOGS, Terminal

_WIDEST = 10_000
"""Columns in which every table fits."""

_OPENING = re.compile(r"\((?=.)")
"""The parenthesis before the arguments of an attack."""


class Cell(NamedTuple):
    """A cell of a table: a text or a number, and the interval of the number if it has one."""

    text: str
    interval: str = ""


class ResultColumn(NamedTuple):
    """A column of a table of results.

    Attributes:
        name: What is above it.
        cell: The cell of a row.
        is_text: Whether it holds text, to the left, and not numbers.
    """

    name: str
    cell: Callable[[ResultRow], Cell]
    is_text: bool = False


def results_table(
    records: Records,
    *,
    norm: Norm | None = None,
    epsilons: Sequence[float] = (),
    width: int | None = None,
) -> Table:
    """Make a table of results, with the rows of `minnorm.evaluation.breakdown`.

    Success, mean and median are over the correctly classified samples, accuracies over all. Beyond
    the radius within which an attack searched, there is no number.

    Args:
        records: The records of an evaluation.
        norm: The norm of the distances; by default each attack's own, in a column if they differ.
        epsilons: Radii at which to show the accuracy, a column each.
        width: The columns of the terminal, see `to_table`.
    """
    return to_table(results_of_records(records, norm=norm, epsilons=epsilons), width=width)


def to_table(results: Results, *, width: int | None = None) -> Table:
    """Return results as a table for terminals.

    Args:
        results: The results, see `minnorm.report.results`.
        width: The columns of the terminal. In one that is too narrow for the table, names and
            intervals have a line for each part.
    """
    table = _table(results, narrow=False)
    if width is None or _natural_width(table) <= width:
        return table
    return _table(results, narrow=True)


def _table(results: Results, *, narrow: bool) -> Table:
    # In a terminal that is still too narrow, numbers go to the next line instead of losing digits.
    table = Table(
        title=results.heading or None,
        caption=" ".join(results.notes),
        box=box.SIMPLE_HEAD if narrow else box.HEAVY_HEAD,
        show_edge=not narrow,
        leading=1 if narrow else 0,
        collapse_padding=True,
        pad_edge=False,
    )
    columns = result_columns(results)
    for column in columns:
        table.add_column(
            _broken_name(column.name) if narrow and not column.is_text else column.name,
            justify="left" if column.is_text else "right",
            overflow="fold",
        )
    for group in row_groups(results):
        for row in group:
            table.add_row(*(_cell_text(column, row, narrow=narrow) for column in columns))
        table.add_section()
    return table


def _cell_text(column: ResultColumn, row: ResultRow, *, narrow: bool) -> Text:
    text = "\n".join(filter(None, column.cell(row)))
    if narrow and column.is_text:
        text = _OPENING.sub("(\n  ", text).replace(", ", ",\n  ")
    elif narrow:
        text = text.replace(", ", ",\n")
    return Text(text)


def _broken_name(name: str) -> str:
    """Return the name of a column on two lines: `median`, `l2`."""
    first, space, last = name.rpartition(" at " if " at " in name else " ")
    return f"{first}\n{space.lstrip()}{last}" if first else name


def _natural_width(table: Table) -> int:
    """Return the width of a table whose cells are not broken."""
    console = Terminal(file=io.StringIO(), width=_WIDEST)
    return Measurement.get(console, console.options, table).maximum


def to_text(results: Results) -> str:
    """Return results as the text of a table for terminals, as in a log."""
    console = Terminal(file=io.StringIO(), width=SIZE_OF_LOGS)
    with console.capture() as capture:
        console.print(to_table(results))
    return "".join(f"{line.rstrip()}\n" for line in capture.get().splitlines())


def result_columns(results: Results) -> list[ResultColumn]:
    """Return the columns of a table of results, those with texts first.

    What is the same in all rows has no column: a single run, a single norm.
    """
    rows, norm = results.rows, results.norms[0]
    one_norm = len(results.norms) == 1
    by_class = any(row.label is not None for row in rows)
    by_target = any(row.target is not None for row in rows)
    columns = _run_columns(rows)
    columns.append(ResultColumn("attack", _attack, is_text=True))
    if by_class:
        columns.append(ResultColumn("class", lambda row: _class(row, row.label), is_text=True))
    if by_target:
        columns.append(ResultColumn("target", lambda row: _class(row, row.target), is_text=True))
    if not one_norm:
        columns.append(ResultColumn("norm", lambda row: Cell(row.summary.norm), is_text=True))
    if not results.heading or by_class or by_target:
        columns += [
            ResultColumn("samples", lambda row: Cell(f"{row.samples:,}")),
            ResultColumn("clean %", lambda row: _cell(row.clean, 100, 1)),
        ]
    return [
        *columns,
        ResultColumn("success %", lambda row: _cell(row.summary.success, 100, 1)),
        ResultColumn(
            f"mean {norm}" if one_norm else "mean", lambda row: _distance(row.summary.mean)
        ),
        ResultColumn(f"median {norm}" if one_norm else "median", _median),
        *(
            ResultColumn(f"acc. % at {radius_text(epsilon)}", partial(_accuracy, number))
            for number, epsilon in enumerate(results.epsilons)
        ),
        *(
            ResultColumn(name, partial(_cost, number))
            for number, name in enumerate(("gradients", "forwards", "seconds"))
        ),
    ]


def row_groups(results: Results) -> list[list[ResultRow]]:
    """Return the rows in groups: a run, and apart its rows for classes and for targets."""
    kinds = groupby(results.rows, lambda row: (row.run, row.label is None, row.target is None))
    return [list(rows) for _, rows in kinds]


def _run_columns(rows: Sequence[ResultRow]) -> list[ResultColumn]:
    """Return what tells the runs apart: nothing for one run, and the data if labels lack them."""
    if len({row.run for row in rows}) < 2:
        return []
    columns = [ResultColumn("run", lambda row: Cell(row.run), is_text=True)]
    named = all(row.run.endswith(f", {row.data}") for row in rows)
    if len({row.data for row in rows}) > 1 and not named:
        columns.append(ResultColumn("data", lambda row: Cell(row.data), is_text=True))
    return columns


def _attack(row: ResultRow) -> Cell:
    return Cell(attack_text(row.attack))


def _class(row: ResultRow, number: int | None) -> Cell:
    """Return the number and the name of a class, `all` where it is open."""
    if number is None:
        return Cell("all")
    return Cell(str(number) if row.class_name == str(number) else f"{number} {row.class_name}")


def _median(row: ResultRow) -> Cell:
    return _distance(row.summary.median, row.summary.radius_limit)


def _distance(estimate: tuple[float, float, float], limit: float = math.inf) -> Cell:
    """Return a distance and its interval; small ones, as in Linf, have more digits."""
    value = estimate[0]
    zeros = -math.floor(math.log10(value)) - 1 if 0 < value < 1 else 0
    return _cell(estimate, 1, 4 + zeros, limit)


def _accuracy(number: int, row: ResultRow) -> Cell:
    return _cell(row.accuracies[number], 100, 1)


def _cost(number: int, row: ResultRow) -> Cell:
    return Cell(costs(row.summary)[number])


def with_interval(
    estimate: tuple[float, float, float], scale: float, digits: int, limit: float = math.inf
) -> str:
    """Format an estimate, with its interval on a second line; `-` if it is NaN.

    Args:
        estimate: The number, and the ends of its interval.
        scale: The factor of all three.
        digits: Digits of the number after the point; the ends have fewer.
        limit: What infinite numbers are known to exceed.
    """
    return "\n".join(filter(None, _cell(estimate, scale, digits, limit)))


def _cell(
    estimate: tuple[float, float, float], scale: float, digits: int, limit: float = math.inf
) -> Cell:
    value, low, high = (scale * number for number in estimate)
    if math.isnan(value):
        return Cell("-")
    short = max(digits - 2, 1)

    def shown(number: float, places: int) -> str:
        beyond = math.isinf(number) and math.isfinite(limit)
        return f"> {radius_text(limit)}" if beyond else f"{number:.{places}f}"

    return Cell(shown(value, digits), f"[{shown(low, short)}, {shown(high, short)}]")


def costs(summary: Summary) -> tuple[str, str, str]:
    """Format the costs of an attack: gradients and forward passes per sample, seconds in total."""
    return f"{summary.backwards:,.0f}", f"{summary.forwards:,.0f}", f"{summary.seconds:.1f}"
