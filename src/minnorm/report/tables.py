"""Tables of results, for the terminal."""

import math
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


def results_table(
    records: Records, *, norm: Norm | None = None, epsilons: Sequence[float] = ()
) -> Table:
    """Make a table of results, with the rows of `minnorm.evaluation.breakdown`.

    Args:
        records: The records of an evaluation.
        norm: The norm of the distances; by default each attack's own, in a column if they differ.
        epsilons: Radii at which to show the accuracy, a column each.
    """
    rows = [(summarize(part, name, norm), part) for name, part in breakdown(records, norm).items()]
    norms = list(dict.fromkeys(summary.norm for summary, _ in rows)) or [norm or "l2"]
    several = len(norms) > 1
    clean = clean_accuracy(records)
    count = len(records.column("index").unique())
    targeted = len(records) > 0 and records.column("target").null_count == 0
    notes = [
        "In brackets: 95 % confidence intervals.",
        "Mean: over successes. Median: a failure counts as infinitely far.",
        "Gradients and forwards: mean per sample.",
    ]
    if targeted:
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
            "Not reached: the share without an adversarial within the radius, an upper bound."
            if targeted
            else "Accuracy at a radius: an upper bound, which a better attack may lower."
        )
    table = Table(
        title=f"{count:,} samples, clean accuracy {100 * clean.value:.2f} %",
        caption=" ".join(notes),
    )
    robust = "not reached % in" if targeted else "acc. % at"
    table.add_column("attack", overflow="fold")
    if several:
        table.add_column("norm")
    for name in (
        "success %",
        "mean" if several else f"mean {norms[0]}",
        "median" if several else f"median {norms[0]}",
        *(f"{robust} {epsilon:g}" for epsilon in epsilons),
        "gradients",
        "forwards",
        "seconds",
    ):
        table.add_column(name, justify="right")
    for summary, part in rows:
        table.add_row(
            Text(summary.attack),
            *([summary.norm] if several else []),
            Text(with_interval(summary.success, 100, 1)),
            Text(with_interval(summary.mean, 1, 4)),
            Text(with_interval(summary.median, 1, 4)),
            *(
                Text(with_interval(accuracy_at(part, epsilon, summary.norm), 100, 1))
                for epsilon in epsilons
            ),
            *costs(summary),
        )
    return table


def with_interval(estimate: tuple[float, float, float], scale: float, digits: int) -> str:
    """Format an estimate, with its interval on a second line."""
    value, low, high = (scale * number for number in estimate)
    if math.isnan(value):
        return "-"
    short = max(digits - 2, 1)
    return f"{value:.{digits}f}\n[{low:.{short}f}, {high:.{short}f}]"


def costs(summary: Summary) -> tuple[str, str, str]:
    """Format the costs of an attack: gradients and forward passes per sample, seconds in total."""
    return f"{summary.backwards:,.0f}", f"{summary.forwards:,.0f}", f"{summary.seconds:.1f}"
