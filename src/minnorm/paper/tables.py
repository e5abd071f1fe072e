"""Experiments of kind `attacks`: tables of attacks, ours beside the paper's."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

from minnorm.acceleration.words import COARSE_TECHNIQUES, check_use
from minnorm.evaluation import Estimate
from minnorm.models.names import model_name
from minnorm.paper.claim_results import check_claims
from minnorm.paper.experiment import Experiment, Setting, load_experiment
from minnorm.paper.measuring import MeasuredSetting, Options, all_runs, measure, unfinished_note
from minnorm.paper.outcome import Outcome, Table
from minnorm.paper.rows import (
    COSTS,
    EVERYTHING,
    ResultRow,
    columns_of,
    is_share,
    result_rows,
)
from minnorm.report.texts import counted, decimals

_HEADINGS = {
    "success": "success %",
    "mean": "mean L2",
    "median": "median L2",
    "hardest_success": "hardest target: success %",
    "hardest_mean": "hardest target: mean L2",
    "gradients": "gradients",
    "queries": "queries",
    "seconds": "seconds",
}

_PAPERS, _CHANGE = "  the paper's", "  difference"

_FEWER = "Compare such rows with others only on the images that both have, as the claims do."

_NOTES = (
    "Ours with a 95 % interval over images, below it the figures of the paper, and the difference: "
    "of shares in points, of norms in percent of the paper's. The interval of a difference is that "
    "of ours; the paper has none.",
    "Median: a failure counts as the distance to the gray image. Gradients: backward passes for "
    "each image, on average; those of the paper are for a batch, which runs as long as any of its "
    "images. Seconds: for all images of the row, those of several ranks together, with whatever "
    "else ran on the machine.",
)


def attacks(experiment: Experiment, options: Options) -> Outcome:
    """Run the attacks of an experiment, and put the results beside those of the paper."""
    return outcome_of(experiment, measure(experiment, options))


def outcome_of(experiment: Experiment, settings: Sequence[MeasuredSetting]) -> Outcome:
    """Return the tables, claims and numbers of what was measured."""
    rows = [result_rows(experiment, one) for one in settings]
    return Outcome(
        experiment,
        tables=tuple(
            table_of(experiment, one, found)
            for one, found in zip(settings, rows, strict=True)
            if found
        ),
        claims=check_claims(experiment.claims, settings),
        notes=(*_NOTES, *why_not_run(settings)),
        runs=all_runs(settings),
        numbers=numbers_of(settings, [row for found in rows for row in found]),
    )


def why_not_run(settings: Sequence[MeasuredSetting]) -> Iterator[str]:
    """Yield why settings have no runs, and so no table."""
    for one in settings:
        if not one.runs:
            reasons = " ".join(dict.fromkeys(one.missing.values()))
            yield f"{one.setting.name} is not run. {reasons}"


def table_of(experiment: Experiment, measured: MeasuredSetting, rows: Sequence[ResultRow]) -> Table:
    """Return the table of a setting.

    Args:
        experiment: The experiment.
        measured: The setting.
        rows: Its rows, at least one.
    """
    columns = [one for one in columns_of(experiment) if any(one in row.ours for row in rows)]
    setting = measured.setting
    most = max(rows, key=lambda row: row.images)
    part = f" of {counted(most.images, 'image')}" if measured.unfinished() else ""
    headings = [_heading(column) for column in columns]
    digits = 2 if setting.targets else 1  # of the success in the paper
    return Table(
        title=f"{setting.name}: {model_name(setting.model)} on {setting.data}, accuracy without an "
        f"attack {100 * most.clean.value:.2f} %{part}",
        columns=("attack", "images", *headings),
        rows=tuple(line for row in rows for line in _lines(row, columns, digits)),
        notes=tuple(_notes(experiment, measured, rows)),
    )


def numbers_of(settings: Sequence[MeasuredSetting], rows: Sequence[ResultRow]) -> dict[str, Any]:
    """Return rows and settings as JSON values."""
    return {
        "settings": [
            {
                "name": one.setting.name,
                "model": model_name(one.setting.model),
                "data": one.setting.data,
                "targets": one.setting.targets,
                "differences": list(one.setting.differences),
                "not_run": one.missing,
                "unfinished": one.unfinished(),
                "runs": [str(run.manifest["run"]) for run in one.runs],
            }
            for one in settings
        ],
        "rows": [
            {
                "setting": row.setting,
                "name": row.name,
                "attack": row.attack or None,
                "images": row.images,
                "clean_accuracy": row.clean._asdict(),
                "ours": {name: value._asdict() for name, value in row.ours.items()},
                "paper": row.paper,
                "differences": {name: one._asdict() for name, one in row.differences.items()},
            }
            for row in rows
        ],
    }


def _lines(row: ResultRow, columns: Sequence[str], digits: int) -> Iterator[tuple[str, ...]]:
    yield (row.name, f"{row.images:,}", *(_ours(one, row.ours, digits) for one in columns))
    if row.paper:
        yield (_PAPERS, "", *(_papers(one, row.paper, digits) for one in columns))
        yield (_CHANGE, "", *(_change(one, row.differences, digits) for one in columns))


def _heading(column: str) -> str:
    kind, _, radius = column.partition("@")
    return f"accuracy % at {radius}" if kind == "accuracy" else _HEADINGS[kind]


def _ours(column: str, numbers: dict[str, Estimate], of_success: int) -> str:
    estimate = numbers.get(column)
    if estimate is None or math.isnan(estimate.value):
        return ""
    if column in COSTS:
        return _cost(column, estimate.value)
    scale, digits = (100, _digits(column, of_success)) if is_share(column) else (1, 4)
    return interval_text(estimate, scale, digits)


def _digits(column: str, of_success: int) -> int:
    """Return the digits of a share in percent."""
    return of_success if column == "success" else 1


def _papers(column: str, numbers: dict[str, float], of_success: int) -> str:
    if column not in numbers:
        return ""
    if column in COSTS:
        return _cost(column, numbers[column])
    if is_share(column):
        return f"{100 * numbers[column]:.{_digits(column, of_success)}f}"
    return f"{numbers[column]:.4f}"


def _change(column: str, numbers: dict[str, Estimate], of_success: int) -> str:
    estimate = numbers.get(column)
    if estimate is None or math.isnan(estimate.value):
        return ""
    digits = _digits(column, of_success)
    text = interval_text(estimate, 100, digits, signed=True, short=1)
    return text if is_share(column) else f"{text} %"


def interval_text(
    estimate: Estimate, scale: float, digits: int, *, signed: bool = False, short: int | None = None
) -> str:
    """Return a number and its interval, whose ends have fewer digits.

    Args:
        estimate: The number.
        scale: The factor of all three.
        digits: Digits of the number after the point.
        signed: Whether numbers above 0 have a sign, too.
        short: Digits of the ends.
    """
    places = max(digits - 2, 1) if short is None else short
    value, low, high = (scale * one for one in estimate)
    ends = ", ".join(decimals(end, places, signed=signed) for end in (low, high))
    return f"{decimals(value, digits, signed=signed)} [{ends}]"


def _cost(column: str, value: float) -> str:
    return f"{value:,.0f}" if column != "seconds" or value >= 1000 else f"{value:.1f}"


def _notes(
    experiment: Experiment, measured: MeasuredSetting, rows: Sequence[ResultRow]
) -> Iterator[str]:
    """Yield the notes of a table: what differs from the paper, and what did not run."""
    setting = measured.setting
    yield from setting.differences
    yield from _other_scale(experiment, setting)
    yield from setting.row_notes([row.name for row in rows])
    yield from _coarse_gradients(measured, rows)
    if any(row.name == EVERYTHING for row in rows):
        yield f"'{EVERYTHING}' is the closest over all attacks of the table, new ones included."
    most = max(row.images for row in rows)
    unfinished = measured.unfinished()
    fewer = [
        f"{row.name} {counted(row.images, 'image')}"
        for row in rows
        if row.images < most and row.name not in unfinished
    ]
    if fewer:
        yield f"Rows on fewer images: {', '.join(fewer)}."
    for name, part in unfinished.items():
        yield unfinished_note(name, part)
    if fewer or unfinished:
        yield _FEWER
    for reason in dict.fromkeys(measured.missing.values()):
        names = [name for name, why in measured.missing.items() if why == reason]
        yield f"Not run: {', '.join(names)}. {reason}"


def _coarse_gradients(measured: MeasuredSetting, rows: Sequence[ResultRow]) -> Iterator[str]:
    """Yield which attacks took their gradients in bfloat16."""
    ran = [row.name for row in rows if measured.has(row.name)]
    uses = {name: measured.run_of(name).manifest["configuration"]["acceleration"] for name in ran}
    coarse = [
        name for name in ran if set(COARSE_TECHNIQUES) & set(check_use(uses[name], "acceleration"))
    ]
    if coarse:
        of = "" if coarse == ran else f"{', '.join(coarse)}: "
        yield f"{of}Gradients in bfloat16; adversarials are checked with the network as it is."


def _other_scale(experiment: Experiment, setting: Setting) -> Iterator[str]:
    """Yield how the attacks differ from those at the scale of the paper."""
    if experiment.scale != "cpu":
        return
    name = setting.experiment or experiment.name
    here, full = (
        {one.name: one for one in load_experiment(name, scale).settings}
        for scale in (experiment.scale, "paper")
    )
    if setting.name not in full.keys() & here.keys():
        return
    whole = full[setting.name]
    known = {row.name: row.attack for row in whole.attacks}
    if setting.data == here[setting.name].data != whole.data:  # not those that the user named
        yield f"The images are {setting.data} instead of {whole.data}."
    for row in setting.attacks:
        if known.get(row.name, row.attack) != row.attack:
            yield f"{row.name} is {row.attack} at this scale instead of {known[row.name]}."
    left = [name for name in known if name not in {row.name for row in setting.attacks}]
    if left:
        yield f"Not part of this scale: {', '.join(left)}."
