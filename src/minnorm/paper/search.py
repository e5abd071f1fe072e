"""Experiments of kind `search`: a grid of an attack's parameters, and those with the least median.

The paper chose the learning rate and the constant of C&W with 100 iterations in this way, for each
data set. Ours are chosen on images that neither training nor the tables use.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from minnorm import specs
from minnorm.models.names import model_name
from minnorm.paper.experiment import AttackRow, Experiment, Setting, options_of
from minnorm.paper.measuring import Options, all_runs, measure
from minnorm.paper.outcome import Outcome, Table
from minnorm.paper.rows import ResultRow, result_rows
from minnorm.paper.tables import interval_text, numbers_of, why_not_run

_COLUMNS = ("success", "mean", "median", "gradients", "seconds")


class Grid(BaseModel):
    """The options of this kind.

    Attributes:
        grid: The values of each parameter.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    grid: dict[str, tuple[float, ...]] = Field(min_length=1)


def search(experiment: Experiment, options: Options) -> Outcome:
    """Run each attack with all combinations of the values, and choose the least median."""
    grid = options_of(experiment, Grid).grid
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    expanded = experiment.model_copy(
        update={
            "columns": _COLUMNS,
            "settings": tuple(_expanded(one, points) for one in experiment.settings),
        }
    )
    measured = measure(expanded, options)
    rows = [result_rows(expanded, one) for one in measured]
    tables: list[Table] = []
    winners: dict[str, dict[str, dict[str, float]]] = {}
    for setting, one, found in zip(experiment.settings, measured, rows, strict=True):
        if one.missing or one.unfinished():
            continue
        named = {row.name: row for row in found}
        best = {row.name: _best(row, points, named) for row in setting.attacks}
        winners[setting.name] = {name: dict(point) for name, point in best.items()}
        tables.append(_table_of_winners(setting, best, named))
        tables += [_table_of_grid(row, grid, named, setting) for row in setting.attacks]
    return Outcome(
        experiment,
        tables=tuple(tables),
        notes=(
            "Medians with 95 % intervals; a failure counts as the distance to the gray image. The "
            "least median wins, and of equal ones the highest success.",
            *(
                f"{one.setting.name} is left out: its search is not finished."
                for one in measured
                if one.runs and one.setting.name not in winners
            ),
            *why_not_run(measured),
        ),
        runs=all_runs(measured),
        numbers={
            **numbers_of(measured, [row for found in rows for row in found]),
            "winners": winners,
        },
    )


def with_parameters(attack: str, parameters: Mapping[str, Any]) -> str:
    """Return the spec of an attack with other parameters."""
    spec = specs.parse(attack)
    return specs.format_spec(spec.head, {**spec.arguments, **parameters})


def _expanded(setting: Setting, points: Sequence[dict[str, float]]) -> Setting:
    """Return a setting with a row for each attack and each combination."""
    rows = tuple(
        AttackRow(name=_name(row, point), attack=with_parameters(row.attack, point))
        for row in setting.attacks
        for point in points
    )
    return setting.model_copy(update={"attacks": rows})


def _name(row: AttackRow, point: Mapping[str, float]) -> str:
    return ", ".join([row.name, *(f"{name}={value:g}" for name, value in point.items())])


def _best(
    row: AttackRow, points: Sequence[dict[str, float]], named: Mapping[str, ResultRow]
) -> dict[str, float]:
    def rank(point: Mapping[str, float]) -> tuple[float, float]:
        ours = named[_name(row, point)].ours
        return ours["median"].value, -ours["success"].value

    return min(points, key=rank)


def _table_of_winners(
    setting: Setting,
    best: Mapping[str, dict[str, float]],
    named: Mapping[str, ResultRow],
) -> Table:
    rows = {row.name: row for row in setting.attacks}
    images = max(row.images for row in named.values())
    return Table(
        title=f"{setting.name}: {model_name(setting.model)} on {setting.data}, {images:,} images",
        columns=("attack", *next(iter(best.values())), "success %", "mean L2", "median L2"),
        rows=tuple(
            (
                name,
                *(f"{value:g}" for value in point.values()),
                *_cells(named[_name(rows[name], point)]),
            )
            for name, point in best.items()
        ),
        notes=setting.differences,
    )


def _cells(row: ResultRow) -> Iterator[str]:
    yield interval_text(row.ours["success"], 100, 1)
    for column in ("mean", "median"):
        yield interval_text(row.ours[column], 1, 4)


def _table_of_grid(
    row: AttackRow,
    grid: Mapping[str, tuple[float, ...]],
    named: Mapping[str, ResultRow],
    setting: Setting,
) -> Table:
    """Return the medians of an attack, with a column for each value of the last parameter."""
    *down, across = grid
    by = f"rows by {', '.join(down)}, columns by {across}" if down else f"columns by {across}"
    return Table(
        title=f"{setting.name}, {row.name}: median L2 (success %), {by}",
        columns=(*down, *(f"{value:g}" for value in grid[across])),
        rows=tuple(
            (
                *(f"{value:g}" for value in values),
                *(
                    _cell(named[_name(row, dict(zip(grid, (*values, last), strict=True)))])
                    for last in grid[across]
                ),
            )
            for values in itertools.product(*(grid[name] for name in down))
        ),
        texts=max(len(down), 1),
    )


def _cell(row: ResultRow) -> str:
    return f"{row.ours['median'].value:.4f} ({100 * row.ours['success'].value:.0f})"
