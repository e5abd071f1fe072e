"""A comparison of two runs as a table for the terminal, as Markdown, and as JSON."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from minnorm.evaluation import Estimate
from minnorm.report.decisions.comparison import Change, Comparison
from minnorm.report.decisions.differences import Difference
from minnorm.report.tables.formats import json_value
from minnorm.report.tables.markdown import escaped, markdown_table
from minnorm.report.texts import decimals

_METRICS = ("metric", "A", "B", "B - A", "interval", "McNemar p", "only A", "only B")

_CHANGES = ("sample", "true class", "A", "B")


def comparison_table(comparison: Comparison) -> RenderableType:
    """Return a comparison for the terminal: what is compared, metrics, and what changed most."""
    metrics = Table(title=f"{comparison.samples:,} samples", pad_edge=False, collapse_padding=True)
    metrics.add_column(_METRICS[0], overflow="fold")
    for name in _METRICS[1:]:
        metrics.add_column(name, justify="right", overflow="fold")
    for difference in comparison.differences:
        metrics.add_row(*_metric_cells(difference))
    parts: list[RenderableType] = [Text(line) for line in _heading(comparison)]
    parts.append(metrics)
    parts += [Text(note) for note in _notes(comparison)]
    for title, changes in _lists(comparison):
        table = Table(pad_edge=False, collapse_padding=True)
        for name in _CHANGES:
            table.add_column(name, justify="right", overflow="fold")
        for change in changes:
            table.add_row(*_change_cells(change))
        parts += [Text(f"\n{title}:"), table]
    return Group(*parts)


def comparison_markdown(comparison: Comparison) -> str:
    """Return a comparison as Markdown."""
    rows = [_metric_cells(difference) for difference in comparison.differences]
    parts = [
        "".join(f"- {escaped(line)}\n" for line in _heading(comparison)),
        markdown_table(_METRICS, rows),
        *(f"{escaped(note)}\n" for note in _notes(comparison)),
    ]
    for title, changes in _lists(comparison):
        parts += [
            f"**{escaped(title)}**\n",
            markdown_table(_CHANGES, [_change_cells(change) for change in changes]),
        ]
    return "\n".join(parts)


def comparison_json(comparison: Comparison) -> str:
    """Return a comparison as JSON: its fields, in the form of `minnorm.report.to_json`."""
    values = dataclasses.asdict(comparison)
    for one in values["differences"]:
        one["change"] = one["change"]._asdict()
    return json.dumps(json_value(values), indent=2, allow_nan=False) + "\n"


def _heading(comparison: Comparison) -> list[str]:
    """Return what is compared, and how the runs differ."""
    sides = zip("AB", comparison.labels, comparison.attacks, strict=True)
    lines = [f"{side}: {label}, attacked by {attacks}" for side, label, attacks in sides]
    differences = "; ".join(comparison.other_differences)
    return [*lines, f"What differs (A and B): {differences or 'nothing in the configurations'}"]


def _notes(comparison: Comparison) -> list[str]:
    """Return the notes under the metrics."""
    notes = [
        f"B - A: paired by sample, with {100 * comparison.confidence:g} % confidence intervals; of "
        "accuracies in points. McNemar p: how probable such a difference is if the accuracies are "
        "equal. Only A: pairs that are robust in A alone.",
    ]
    return [*notes, *comparison.remarks]


def _lists(comparison: Comparison) -> list[tuple[str, Sequence[Change]]]:
    """Return the lists of samples that changed, with titles."""
    less, more = comparison.counts
    lists = (
        (
            f"{less:,} of {comparison.pairs:,} less robust in B, largest change first",
            comparison.less_robust,
        ),
        (
            f"{more:,} of {comparison.pairs:,} more robust in B, largest change first",
            comparison.more_robust,
        ),
    )
    return [(title, changes) for title, changes in lists if changes]


def _metric_cells(difference: Difference) -> list[str]:
    shown, changed = (_percent, _points) if difference.is_share else (_distance, _change)
    p_value, only_a, only_b = difference.p_value, difference.only_a, difference.only_b
    return [
        difference.metric,
        *(shown(value) for value in (difference.a, difference.b)),
        changed(difference.change.value),
        _interval(changed, difference.change),
        "" if p_value is None else f"{p_value:.2g}",
        "" if only_a is None else f"{only_a:,}",
        "" if only_b is None else f"{only_b:,}",
    ]


def _interval(changed: Callable[[float], str], change: Estimate) -> str:
    return "" if math.isnan(change.low) else f"{changed(change.low)} to {changed(change.high)}"


def _percent(share: float) -> str:
    return "-" if math.isnan(share) else f"{decimals(100 * share, 1)} %"


def _points(change: float) -> str:
    return "-" if math.isnan(change) else decimals(100 * change, 1, signed=True)


def _distance(value: float) -> str:
    return "-" if math.isnan(value) else decimals(value, 4)


def _change(change: float) -> str:
    return "-" if math.isnan(change) else decimals(change, 4, signed=True)


def _change_cells(change: Change) -> list[str]:
    target = "" if change.target is None else f" to {change.target}"
    return [
        f"{change.index}{target}",
        change.name,
        *("misclassified" if value == 0 else _distance(value) for value in (change.a, change.b)),
    ]
