"""Tables of results, for the terminal."""

import math
import re
from collections.abc import Sequence

from rich.table import Table
from rich.text import Text

from minnorm.evaluation import (
    Records,
    Summary,
    accuracy_at,
    breakdown,
    clean_accuracy,
    summarize,
)
from minnorm.geometry import Norm

_LONG_NUMBER = re.compile(r"(?<![\w.])0\.\d{5,}(?![\w.])")
"""A number of many digits in the name of an attack, which may be a fraction of gray levels."""


def results_table(
    records: Records, *, norm: Norm | None = None, epsilons: Sequence[float] = ()
) -> Table:
    """Make a table of results, with the rows of `minnorm.evaluation.breakdown`.

    Success, mean and median are over the correctly classified samples, accuracies over all. Beyond
    the radius within which an attack searched, there is no number.

    Args:
        records: The records of an evaluation.
        norm: The norm of the distances; by default each attack's own, in a column if they differ.
        epsilons: Radii at which to show the accuracy, a column each.
    """
    rows = [(summarize(part, name, norm), part) for name, part in breakdown(records, norm).items()]
    norms = list(dict.fromkeys(summary.norm for summary, _ in rows)) or [norm or "l2"]
    several = len(norms) > 1
    summaries = [summary for summary, _ in rows]
    # In a narrow terminal, numbers go to the next line instead of losing digits.
    table = Table(
        title=_title(records),
        caption=_caption(records, norm, epsilons, summaries),
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("attack", overflow="fold")
    if several:
        table.add_column("norm")
    for name in (
        "success %",
        "mean" if several else f"mean {norms[0]}",
        "median" if several else f"median {norms[0]}",
        *(f"acc. % at {radius_text(epsilon)}" for epsilon in epsilons),
        "gradients",
        "forwards",
        "seconds",
    ):
        table.add_column(name, justify="right", overflow="fold")
    for summary, part in rows:
        table.add_row(
            Text(_LONG_NUMBER.sub(_in_gray_levels, summary.attack)),
            *([summary.norm] if several else []),
            Text(with_interval(summary.success, 100, 1)),
            Text(with_interval(summary.mean, 1, 4)),
            Text(with_interval(summary.median, 1, 4, summary.radius_limit)),
            *(
                Text(with_interval(accuracy_at(part, epsilon, summary.norm), 100, 1))
                for epsilon in epsilons
            ),
            *costs(summary),
        )
    return table


def _title(records: Records) -> str:
    """Return the number of samples, and how many the model misclassifies before any attack."""
    count, clean = len(records.column("index").unique()), clean_accuracy(records)
    if math.isnan(clean.value):
        return "0 samples"
    errors = count - round(count * clean.value)
    title = f"{count:,} samples, clean accuracy {100 * clean.value:.2f} %"
    return f"{title}, clean errors: {errors:,} of {count:,}"


def _caption(
    records: Records, norm: Norm | None, epsilons: Sequence[float], summaries: Sequence[Summary]
) -> str:
    """Return the notes under a table: what its numbers are over, and what they do not say."""
    targeted = len(records) > 0 and records.column("target").null_count == 0
    notes = [
        "In brackets: 95 % confidence intervals.",
        "Success, mean, median: over the correctly classified samples, without the clean errors.",
        "Mean: over successes. Median: a failure counts as infinitely far.",
        "Gradients and forwards: mean per sample. Seconds: in total.",
    ]
    if targeted:
        count = len(records.column("index").unique())
        pairs = len(records.select(["index", "target"]).group_by(["index", "target"]).aggregate([]))
        notes.append(
            f"{pairs:,} pairs of {count:,} samples with their targets; intervals count a sample's "
            "pairs as one draw."
        )
    others = [one for one in records.column("norm").unique().to_pylist() if one != norm]
    if norm is not None and others:
        notes.append(
            f"Measured in {norm}, also for attacks that minimize {' and '.join(others)}: an attack "
            f"that minimizes {norm} would come closer."
        )
    if epsilons:
        notes.append(
            "Accuracy at a radius: the share of pairs that are classified correctly and whose "
            "target is not reached within the radius; an upper bound."
            if targeted
            else "Accuracy at a radius: over all samples; an upper bound, which a better attack "
            "may lower."
        )
    if any(math.isfinite(summary.radius_limit) for summary in summaries):
        notes.append(
            "An attack within a radius says nothing beyond it: '>' in a median means farther than "
            "that radius, and an accuracy beyond it is '-'."
        )
    return " ".join(notes)


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
    value, low, high = (scale * number for number in estimate)
    if math.isnan(value):
        return "-"
    short = max(digits - 2, 1)

    def shown(number: float, places: int) -> str:
        beyond = math.isinf(number) and math.isfinite(limit)
        return f"> {radius_text(limit)}" if beyond else f"{number:.{places}f}"

    return f"{shown(value, digits)}\n[{shown(low, short)}, {shown(high, short)}]"


def radius_text(radius: float) -> str:
    """Format a radius: as a fraction of gray levels, `8/255`, where that is exact and shorter."""
    short = f"{radius:g}"
    if not math.isfinite(radius):
        return short
    levels = round(255 * radius)
    fraction = f"{levels}/255"
    return fraction if levels / 255 == radius and len(fraction) < len(short) else short


def _in_gray_levels(number: re.Match[str]) -> str:
    text = radius_text(float(number[0]))
    return text if "/" in text else number[0]


def costs(summary: Summary) -> tuple[str, str, str]:
    """Format the costs of an attack: gradients and forward passes per sample, seconds in total."""
    return f"{summary.backwards:,.0f}", f"{summary.forwards:,.0f}", f"{summary.seconds:.1f}"
