"""The rows of a table: ours with 95 % intervals, the paper's figures, and the difference."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from minnorm import specs
from minnorm.evaluation import (
    Estimate,
    Records,
    accuracy_at,
    clean_accuracy,
    closest_records,
    hardest_target,
    mean_distance,
    summarize,
)
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import Over, is_correct
from minnorm.evaluation.records import are_targeted, join_records, samples_in
from minnorm.evaluation.selection import values_of
from minnorm.paper.experiment import Experiment, PaperFigures, Setting
from minnorm.paper.measuring import MeasuredSetting

ALL = "All"
"""The paper's row of the closest adversarial over its attacks."""

EVERYTHING = "all rows"
"""Our row of the closest adversarial over all attacks that were measured."""

_HARDEST = ("hardest_success", "hardest_mean")

COSTS = ("gradients", "queries", "seconds")
"""The columns that depend on the machine and on when an attack stops."""

_SHARES = ("success", "hardest_success", "accuracy")


@dataclass(frozen=True)
class ResultRow:
    """A row of a table.

    Attributes:
        setting: The name of the setting.
        name: The name of the row.
        attack: The spec of the attack, empty if the row combines several.
        images: The number of images that the statistics are over, see `Setting.over`.
        clean: The accuracy without an attack.
        ours: The numbers by the name of the column; shares are from 0 to 1. A number without an
            interval, such as the time, has itself as both ends.
        paper: The paper's numbers of the same columns, shares from 0 to 1.
        differences: Of those columns that both have: of shares ours minus the paper's, of norms
            relative to the paper's. The interval is that of ours.
    """

    setting: str
    name: str
    attack: str
    images: int
    clean: Estimate
    ours: dict[str, Estimate]
    paper: dict[str, float]
    differences: dict[str, Estimate]


def result_rows(experiment: Experiment, measured: MeasuredSetting) -> tuple[ResultRow, ...]:
    """Return the rows of a setting that were measured, the combined ones last."""
    return tuple(_rows(experiment, measured))


def records_of(measured: MeasuredSetting, row: str) -> Records | None:
    """Return the records of a row, `None` if it was not measured.

    Args:
        measured: The setting.
        row: The name of a row, `ALL` or `EVERYTHING`. Those two are over the images that all of
            their attacks have.
    """
    if row == ALL and measured.setting.combined is not None:
        return _closest(measured, measured.setting.combined.over)
    if row == EVERYTHING:
        return _closest(measured, [one.name for one in measured.setting.attacks])
    return measured.of(row) if measured.has(row) else None


def over_of(records: Records, over: str) -> Records:
    """Return records of all targets, or of each image that of the hardest target.

    Args:
        records: The records of one attack.
        over: `all` or `hardest`.
    """
    return hardest_target(records) if over == "hardest" else records


def counted_of(records: Records, over: Over) -> Records:
    """Return the records of the images that statistics are over, see `Setting.over`."""
    return records if over == "all" else records.filter(pa.array(is_correct(records)))


def have_same_images(settings: Sequence[Setting]) -> bool:
    """Return whether an image of one setting is that of the same number in the others.

    A number is the place of an image in the whole data set, whatever part of it is attacked.
    """
    parsed = [specs.parse(setting.data) for setting in settings]
    return len({specs.format_spec(one.head, one.arguments) for one in parsed}) <= 1


def columns_of(experiment: Experiment) -> tuple[str, ...]:
    """Return the columns of numbers, with one for each part and each radius."""
    found: list[str] = []
    for column in experiment.columns:
        if column == "hardest":
            found += _HARDEST
        elif column == "accuracy":
            found += [f"accuracy@{epsilon:g}" for epsilon in experiment.epsilons]
        else:
            found.append(column)
    return tuple(found)


def is_share(column: str) -> bool:
    """Return whether a column is of shares, shown in percent."""
    return column.partition("@")[0] in _SHARES


def of_images(records: Records, images: Array) -> Records:
    """Return the records of some images."""
    return records.filter(pa.array(np.isin(values_of(records, "index"), images)))


def common_images(parts: Iterable[Records]) -> Array:
    """Return the images that all of several tables of records have."""
    found: Array | None = None
    for part in parts:
        images = np.unique(values_of(part, "index"))
        found = images if found is None else np.intersect1d(found, images)
    return np.empty(0, np.int64) if found is None else found


def _rows(experiment: Experiment, measured: MeasuredSetting) -> Iterator[ResultRow]:
    setting, columns = measured.setting, columns_of(experiment)
    names = {row.name: (row.attack, row.paper) for row in setting.attacks}
    if setting.combined is not None:
        names |= {ALL: ("", setting.combined.figures), EVERYTHING: ("", None)}
    for name, (attack, figures) in names.items():
        records = records_of(measured, name)
        if records is None or len(records) == 0:
            continue
        ours = _numbers(records, name, columns, setting.over)
        paper = {} if figures is None else _paper_numbers(figures, columns)
        yield ResultRow(
            setting=setting.name,
            name=name,
            attack=attack,
            images=samples_in(counted_of(records, setting.over)),
            clean=clean_accuracy(records),
            ours=ours,
            paper=paper,
            differences={
                column: _difference(column, ours[column], paper[column])
                for column in columns
                if column in ours and column in paper and column not in COSTS
            },
        )


def _numbers(
    records: Records, name: str, columns: tuple[str, ...], over: Over
) -> dict[str, Estimate]:
    summary = summarize(records, name, over=over)
    found: dict[str, Callable[[], Estimate]] = {
        "success": lambda: summary.success,
        "mean": lambda: summary.mean,
        "median": lambda: summary.median_gray,
        "gradients": lambda: _exactly(summary.backwards),
        "queries": lambda: _exactly(summary.forwards),
        "seconds": lambda: _exactly(summary.seconds),
    }
    if are_targeted(records):
        hardest = hardest_target(records)
        found["hardest_success"] = lambda: summarize(hardest, name, over=over).success
        found["hardest_mean"] = lambda: mean_distance(hardest, over=over)
    numbers: dict[str, Estimate] = {}
    for column in columns:
        kind, _, radius = column.partition("@")
        if kind == "accuracy":
            numbers[column] = accuracy_at(records, float(radius))
        elif kind in found:
            numbers[column] = found[kind]()
    return numbers


def _paper_numbers(figures: PaperFigures, columns: tuple[str, ...]) -> dict[str, float]:
    values = {name: value for name, value in figures if isinstance(value, float)}
    values |= {f"accuracy@{radius:g}": value for radius, value in figures.accuracy.items()}
    return {
        column: values[column] / (100 if is_share(column) else 1)
        for column in columns
        if column in values
    }


def _difference(column: str, ours: Estimate, paper: float) -> Estimate:
    if is_share(column):
        return Estimate(*(value - paper for value in ours))
    return Estimate(*(value / paper - 1 for value in ours))


def _exactly(value: float) -> Estimate:
    return Estimate(value, value, value)


def _closest(measured: MeasuredSetting, names: Iterable[str]) -> Records | None:
    """Return the closest records over rows; `None` if one of them was not measured."""
    names = list(names)
    if not names or not all(map(measured.has, names)):
        return None
    parts = [measured.of(name) for name in names]
    images = common_images(parts)
    return closest_records(join_records([of_images(part, images) for part in parts]))
