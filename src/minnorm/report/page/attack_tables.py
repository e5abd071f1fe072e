"""The tables over attacks on the page, one for each norm: those of `results`, run by run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from minnorm.evaluation.records import attacks_in
from minnorm.geometry import Norm
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun
from minnorm.report.tables.result_notes import heading
from minnorm.report.tables.results import ResultRow, results
from minnorm.report.tables.terminal import Cell, ResultColumn, result_columns, row_groups
from minnorm.report.texts import norm_name


@dataclass(frozen=True)
class TableRow:
    """A row of a table, and whether it is of the closest of all attacks."""

    cells: list[Cell]
    is_closest: bool


@dataclass(frozen=True)
class RowGroup:
    """The rows of a run, and its number of samples and clean accuracy in words."""

    heading: str
    rows: list[TableRow]


@dataclass(frozen=True)
class AttackTable:
    """The results of attacks in one norm.

    Attributes:
        name: The norm as readers write it.
        columns: The columns, the same for all runs.
        groups: The rows of each run, by its label.
    """

    name: str
    columns: list[ResultColumn]
    groups: dict[str, RowGroup]


def attack_tables(
    runs: Sequence[LabeledRun], radii: Mapping[Norm, Sequence[float]], norm: Norm | None
) -> tuple[list[AttackTable], list[str]]:
    """Return a table for each norm, and the notes on all of them.

    Args:
        runs: The runs.
        radii: The radii of the accuracies, by norm.
        norm: The norm in which to measure all attacks; by default each attack's own.
    """
    closest = {run.label: _closest(run, norm) for run in runs}
    headings = {run.label: heading(run.run.records) for run in runs}
    tables, notes = [], dict[str, None]()
    for one, epsilons in radii.items():
        found = results(runs, norm=norm, epsilons=epsilons)
        notes |= dict.fromkeys(found.notes)
        groups = row_groups(found)
        own = [[row for row in group if row.summary.norm == one] for group in groups]
        filled = [group for group in own if group]
        if not filled:
            continue
        # What is true of a run as a whole is above its rows, so no column repeats it.
        first = filled[0][0].run
        columns = result_columns(
            replace(found, rows=tuple(filled[0]), norms=(one,), heading=headings[first])
        )
        tables.append(
            AttackTable(
                norm_name(one),
                columns,
                {
                    group[0].run: RowGroup(
                        headings[group[0].run],
                        _table_rows(group, columns, closest[group[0].run]),
                    )
                    for group in filled
                },
            )
        )
    return tables, list(notes)


def _table_rows(
    rows: Sequence[ResultRow], columns: Sequence[ResultColumn], closest: set[str]
) -> list[TableRow]:
    return [
        TableRow([column.cell(row) for column in columns], row.attack in closest) for row in rows
    ]


def _closest(run: LabeledRun, norm: Norm | None) -> set[str]:
    """Return the names of the rows that are of the closest of several attacks."""
    attacks = attacks_in(run.run.records)
    return set(attack_parts(run, norm)).difference(attacks)
