"""Tables of results for readers: their columns, their cells as texts, and the form of terminals."""

import io
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from rich import box
from rich.cells import cell_len
from rich.console import Group, JustifyMethod, RenderableType
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from minnorm.evaluation import Estimate, Records, Summary, UpperBound
from minnorm.geometry import Norm
from minnorm.report.tables.result_notes import heading_of
from minnorm.report.tables.results import ResultRow, Results, results_of_records
from minnorm.report.texts import (
    AT_MOST,
    are_queries,
    attack_text,
    beyond,
    decimals,
    radius_text,
)
from minnorm.runtime.terminal import SIZE_OF_LOGS, Terminal, printable

_WIDEST = 10_000
"""Columns in which every table fits."""

_GAP = 2
"""Columns of the terminal between two columns of a narrow table, one of them from its box."""

_ALL = "all"
"""The class and the target of a row that is of all of them."""

_COSTS = ("gradients", "forwards", "seconds")
"""The columns of what an attack cost."""

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


class _NarrowColumn(NamedTuple):
    """A column of a narrow table: its name, and the text of a row, both with line breaks."""

    name: str
    text: Callable[[ResultRow], str]


def results_table(
    records: Records,
    *,
    norm: Norm | None = None,
    epsilons: Sequence[float] = (),
    width: int | None = None,
) -> RenderableType:
    """Make a table of results, with the rows of `minnorm.evaluation.breakdown`.

    Success, mean and median are over the correctly classified samples, accuracies over all. Beyond
    the radius within which an attack searched, there is no number; within it, numbers of an attack
    that searches for any adversarial are upper bounds.

    Args:
        records: The records of an evaluation.
        norm: The norm of the distances; by default each attack's own, in a column if they differ.
        epsilons: Radii at which to show the accuracy, a column each.
        width: The columns of the terminal, see `to_table`.
    """
    return to_table(results_of_records(records, norm=norm, epsilons=epsilons), width=width)


def to_table(results: Results, *, width: int | None = None) -> RenderableType:
    """Return results as a table for terminals.

    Args:
        results: The results, see `minnorm.report.results`.
        width: The columns of the terminal. In one that is too narrow for the table, each run has
            its own, in which names, intervals and costs have a line for each part; numbers that
            do not fit are in a further table below it.
    """
    table = _wide_table(results)
    if width is None or _natural_width(table) <= width:
        return table
    return _narrow_tables(results, width)


def _wide_table(results: Results) -> Table:
    # In a terminal that is still too narrow, numbers go to the next line instead of losing digits.
    table = Table(
        title=results.heading or None,
        caption=" ".join(results.notes),
        box=box.HEAVY_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    columns = result_columns(results)
    for column in columns:
        justify: JustifyMethod = "left" if column.is_text else "right"
        table.add_column(column.name, justify=justify, overflow="fold")
    for group in row_groups(results):
        for row in group:
            table.add_row(*(Text("\n".join(filter(None, one.cell(row)))) for one in columns))
        table.add_section()
    return table


def _narrow_tables(results: Results, width: int) -> Group:
    """Return tables that fit into a terminal, one or several for each run, with a heading.

    Columns have the same width in the tables of all runs.
    """
    names, *numbers = _narrow_columns(result_columns(results, by_run=True))
    first = min(_width_of(names, results.rows), width // 2)
    parts: list[RenderableType] = []
    for _, rows in groupby(results.rows, lambda row: row.run):
        own = list(rows)
        parts.append(Text(_heading(own[0]), style="bold"))
        for chunk in _fitting(numbers, results.rows, width - first):
            parts += [_narrow_table({names: first, **chunk}, own), Text()]
    return Group(*parts, Text(" ".join(results.notes), style="dim italic"))


def _narrow_table(widths: Mapping[_NarrowColumn, int], rows: Sequence[ResultRow]) -> Table:
    """Return a table of columns with their widths."""
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, leading=1, padding=(0, 0), pad_edge=False)
    for number, (column, width) in enumerate(widths.items()):
        justify: JustifyMethod = "right" if number else "left"
        gap = _GAP - 1 if number else 0
        table.add_column(column.name, justify=justify, overflow="fold", width=gap + width)
    for row in rows:
        table.add_row(*(Text(column.text(row)) for column in widths))
    return table


def _fitting(
    columns: Sequence[_NarrowColumn], rows: Sequence[ResultRow], width: int
) -> Iterator[dict[_NarrowColumn, int]]:
    """Yield columns with their widths, as many as fit at a time."""
    chunk: dict[_NarrowColumn, int] = {}
    for column in columns:
        own = _width_of(column, rows)
        if chunk and sum(chunk.values()) + own + _GAP * (len(chunk) + 1) > width:
            yield chunk
            chunk = {}
        chunk[column] = own
    yield chunk


def _width_of(column: _NarrowColumn, rows: Sequence[ResultRow]) -> int:
    """Return the width of the longest line in a column."""
    lines = [line for text in (column.name, *map(column.text, rows)) for line in text.split("\n")]
    return max(map(cell_len, map(printable, lines)))


def _narrow_columns(columns: Sequence[ResultColumn]) -> list[_NarrowColumn]:
    """Return columns for narrow terminals: one of all texts, one of all costs, and the others."""
    texts = [column for column in columns if column.is_text]
    costs = [column for column in columns if column.name in _COSTS]
    return [
        _NarrowColumn("attack", partial(_narrow_texts, texts)),
        *(
            _NarrowColumn(_broken_name(column.name), partial(_narrow_number, column))
            for column in columns
            if not column.is_text and column not in costs
        ),
        _NarrowColumn("\n".join(_COSTS), lambda row: "\n".join(one.cell(row)[0] for one in costs)),
    ]


def _narrow_texts(columns: Sequence[ResultColumn], row: ResultRow) -> str:
    """Return the name of the attack of a row, and below it what else the row is of."""
    (_, attack), *others = ((column.name, column.cell(row).text) for column in columns)
    lines = [_OPENING.sub("(\n  ", attack).replace(", ", ",\n  ")]
    return "\n".join([*lines, *(f"{name}: {text}" for name, text in others if text != _ALL)])


def _narrow_number(column: ResultColumn, row: ResultRow) -> str:
    text, interval = column.cell(row)
    return "\n".join(filter(None, [text, interval.replace(", ", ",\n")]))


def _heading(row: ResultRow) -> str:
    """Return the label of the run that begins with a row, and its samples."""
    return ": ".join(filter(None, [row.run, heading_of(row.samples, row.clean)]))


def _broken_name(name: str) -> str:
    """Return the name of a column on several lines: `median`, `l2`."""
    first, space, last = name.rpartition(" ")
    return first.replace(" at", "\nat") + space.replace(" ", "\n") + last


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


def result_columns(results: Results, *, by_run: bool = False) -> list[ResultColumn]:
    """Return the columns of a table of results, those with texts first.

    What is the same in all rows has no column: a single run, a single norm.

    Args:
        results: The results.
        by_run: Whether the rows of each run are below a heading, so that no column repeats it.
    """
    rows, norm = results.rows, results.norms[0]
    one_norm = len(results.norms) == 1
    by_class = any(row.label is not None for row in rows)
    by_target = any(row.target is not None for row in rows)
    columns = [] if by_run else _run_columns(rows)
    columns.append(ResultColumn("attack", _attack, is_text=True))
    if by_class:
        columns.append(ResultColumn("class", lambda row: _class(row, row.label), is_text=True))
    if by_target:
        columns.append(ResultColumn("target", lambda row: _class(row, row.target), is_text=True))
    if not one_norm:
        columns.append(ResultColumn("norm", lambda row: Cell(row.summary.norm), is_text=True))
    if not (results.heading or by_run) or by_class or by_target:
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
        *(ResultColumn(name, partial(_cost, number)) for number, name in enumerate(_COSTS)),
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
        return Cell(_ALL)
    return Cell(str(number) if row.class_name == str(number) else f"{number} {row.class_name}")


def _median(row: ResultRow) -> Cell:
    return _distance(row.summary.median, row.summary.radius_limit)


def _distance(estimate: Estimate, limit: float = math.inf) -> Cell:
    """Return a distance and its interval; small ones, as in Linf, have more digits."""
    value = estimate.value
    zeros = -math.floor(math.log10(value)) - 1 if 0 < value < 1 else 0
    return _cell(estimate, 1, 4 + zeros, limit)


def _accuracy(number: int, row: ResultRow) -> Cell:
    return _cell(row.accuracies[number], 100, 1)


def _cost(number: int, row: ResultRow) -> Cell:
    return Cell(costs(row.summary, needs_gradients=row.needs_gradients)[number])


def with_interval(
    estimate: tuple[float, float, float], scale: float, digits: int, limit: float = math.inf
) -> str:
    """Format an estimate, with its interval on a second line; `-` if it is NaN.

    An upper bound begins with `≤`.

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
        return beyond(limit) if math.isinf(number) else decimals(number, places)

    at_most = AT_MOST if isinstance(estimate, UpperBound) else ""
    return Cell(at_most + shown(value, digits), f"[{shown(low, short)}, {shown(high, short)}]")


def costs(summary: Summary, *, needs_gradients: bool = False) -> tuple[str, str, str]:
    """Format the costs of an attack: gradients and forward passes per sample, seconds in total.

    The forward passes of an attack without gradients are queries.

    Args:
        summary: The summary of its records.
        needs_gradients: Whether it is known to need gradients: a model may have none.
    """
    forwards, seconds = f"{summary.forwards:,.0f}", f"{summary.seconds:.1f}"
    if are_queries(summary.forwards, summary.backwards, gradients=needs_gradients):
        return "-", f"{forwards} queries", seconds
    return f"{summary.backwards:,.0f}", forwards, seconds
