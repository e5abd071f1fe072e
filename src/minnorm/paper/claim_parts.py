"""What the checks of all claims share: pairs of records, their statistics, and verdicts."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa

from minnorm.evaluation import Estimate, Records
from minnorm.evaluation.metrics import Over
from minnorm.evaluation.selection import keys_of, values_of
from minnorm.paper.claims import Claim, Closer, RatioOfMeans, SuccessBelow
from minnorm.paper.measuring import MeasuredSetting
from minnorm.paper.outcome import ClaimResult, Verdict
from minnorm.paper.rows import (
    ALL,
    common_images,
    counted_of,
    of_images,
    over_of,
    records_of,
)
from minnorm.report.decisions.paired import mean_change_bounds, share_difference_bounds
from minnorm.report.decisions.pairs import PairedValues
from minnorm.report.texts import counted

TAIL = 0.025
"""The share of a 95 % interval's complement at each end."""


def not_measured(claim: Claim, reason: str) -> ClaimResult:
    """Return the result of a claim that was not measured.

    Args:
        claim: The claim.
        reason: Why not.
    """
    return ClaimResult(claim, "not measured", reason)


def verdict_on(estimate: Estimate, *, below: float) -> Verdict:
    """Return whether a number is at most a limit, by its interval."""
    if estimate.high <= below:
        return "held"
    return "not held" if estimate.low > below else "not shown"


def estimate_text(estimate: Estimate, digits: int, scale: float = 1.0, sign: str = "") -> str:
    """Return a number and its interval in words: `1.03 [1.02, 1.04]`."""
    value, low, high = (_number_text(scale * one, digits, sign) for one in estimate)
    return f"{value} [{low}, {high}]"


def _number_text(value: float, digits: int, sign: str) -> str:
    if math.isnan(value):
        return "unknown"
    return f"{value:{sign}.{digits}f}" if math.isfinite(value) else ("-∞" if value < 0 else "∞")


def why_not_there(measured: MeasuredSetting, row: str) -> str:
    """Return that a row was not measured, and why if that is known.

    Args:
        measured: The setting.
        row: The name of a row, or of a combined one.
    """
    reasons = dict.fromkeys(
        measured.missing[one] for one in _parts_of(measured, row) if one in measured.missing
    )
    return ". ".join([f"{row} was not measured on {measured.setting.name}", *reasons])


def pair_of(
    claim: RatioOfMeans | SuccessBelow | Closer, measured: MeasuredSetting, beside: str
) -> tuple[Records, Records] | str:
    """Return the records of two rows of a setting, on the images that its statistics are over."""
    rows = [(measured, name) for name in (claim.attack, beside)]
    found = matched(rows, claim.over, measured.setting.over)
    return found if isinstance(found, str) else (found[0], found[1])


def matched(
    rows: Sequence[tuple[MeasuredSetting, str]], targets: str = "all", images: Over = "all"
) -> list[Records] | str:
    """Return the records of rows on the images that all have, in one order, or why there are none.

    Args:
        rows: Settings, and the names of rows of them.
        targets: `all`, or of each image the `hardest`.
        images: The images that count.
    """
    parts = []
    for measured, name in rows:
        records = records_of(measured, name)
        if records is None or len(records) == 0:
            return why_not_there(measured, name)
        parts.append(counted_of(over_of(records, targets), images))
    common = common_images(parts)
    if len(common) == 0:
        return "there is no image that all of them have"
    return [_sorted(of_images(part, common)) for part in parts]


def _sorted(records: Records) -> Records:
    samples, targets = keys_of(records)
    return records.take(pa.array(np.lexsort((targets, samples))))


def both_succeed(attack: Records, beside: Records) -> PairedValues:
    """Return the distances of the pairs on which both succeed."""
    one, other = (values_of(part, "l2") for part in (attack, beside))
    both = np.isfinite(one) & np.isfinite(other)
    return PairedValues(one[both], other[both], values_of(attack, "index")[both])


def paired_change(hits: PairedValues, tail: float) -> Estimate:
    """Return the difference of two paired shares, `b` minus `a`, with Tango's interval."""
    bounds = share_difference_bounds(hits, tail)
    return Estimate(float(hits.b.mean() - hits.a.mean()), bounds.low, bounds.high)


def verdict_above(estimate: Estimate, limit: float) -> Verdict:
    """Return whether a number is above a limit, by its interval."""
    if estimate.low > limit:
        return "held"
    return "not held" if estimate.high <= limit else "not shown"


def below_zero(change: Estimate) -> Verdict:
    """Return whether a change is below zero, by its interval."""
    if change.high < 0:
        return "held"
    return "not held" if change.low > 0 else "not shown"


def unfinished_text(rows: Iterable[tuple[MeasuredSetting, str]]) -> str:
    """Return which rows of a claim are not finished, in words; empty if all are.

    Args:
        rows: Settings, and the names of rows of them, or of combined rows.
    """
    texts: dict[str, None] = {}
    for measured, row in rows:
        for name in _parts_of(measured, row):
            if part := measured.part_of(name):
                texts[f"{name} on {measured.setting.name}: {part}"] = None
    return f"; not finished: {', '.join(texts)}" if texts else ""


def _parts_of(measured: MeasuredSetting, row: str) -> tuple[str, ...]:
    """Return the rows that a row combines, or itself."""
    combined = measured.setting.combined
    return combined.over if row == ALL and combined is not None else (row,)


def pairs_text(found: PairedValues) -> str:
    """Return how many pairs there are, in words."""
    images = len(np.unique(found.samples))
    pairs = len(found.samples)
    text = counted(images, "image")
    return text if pairs == images else f"{pairs:,} pairs of {text} and targets"


def ratio_of(found: PairedValues) -> Estimate:
    """Return the ratio of two means, the first to the second.

    Its interval is that of the mean of `a - ratio * b`, since the bootstrap of a mean is better
    than that of a ratio. It is computed as if the most extreme image had been drawn once more.

    Args:
        found: Finite distances of the attack, and those beside it.
    """
    mean = float(found.b.mean())
    ratio = float(found.a.mean()) / mean
    changes = found.a - ratio * found.b
    ends = float(changes.min()), float(changes.max())
    bounds = mean_change_bounds(changes, found.samples, ends)(TAIL)
    return Estimate(ratio, max(ratio + bounds.low / mean, 0.0), ratio + bounds.high / mean)


def ratio_text(ratio: Estimate, found: PairedValues, where: str, *, of: int) -> str:
    """Return a ratio of two means with both, and what it is over, in words.

    Args:
        ratio: The ratio.
        found: The distances that it is of.
        where: On which pairs these are, for example `both succeed`.
        of: The number of all pairs.
    """
    left_out = of - len(found.a)
    others = f"; {left_out:,} of {of:,} are left out" if left_out else ""
    return (
        f"{estimate_text(ratio, 4)}, over {pairs_text(found)} on which {where} "
        f"({found.a.mean():.4f} and {found.b.mean():.4f}){others}"
    )
