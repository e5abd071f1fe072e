"""Claims of the paper on our records: whether each held, by an interval and a paired test.

A claim held if the whole 95 % interval agrees with it, and did not hold if none of it does. Both
attacks of a pair are compared on the images that both have.
"""

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import assert_never

from minnorm.evaluation import Estimate, mean_distance
from minnorm.evaluation.records import samples_in
from minnorm.evaluation.selection import values_of
from minnorm.paper import network_claims
from minnorm.paper.claim_parts import (
    TAIL,
    below_zero,
    both_succeed,
    estimate_text,
    not_measured,
    pair_of,
    paired_change,
    pairs_text,
    ratio_of,
    ratio_text,
    unfinished_text,
    verdict_on,
    why_not_there,
)
from minnorm.paper.claims import (
    Claim,
    Closer,
    LargerMean,
    MeanOfPaper,
    MoreRobust,
    Own,
    RatioOfMeans,
    SuccessBelow,
    WorseOn,
)
from minnorm.paper.measuring import MeasuredSetting
from minnorm.paper.outcome import ClaimResult, Verdict
from minnorm.paper.rows import counted_of, records_of
from minnorm.report.decisions.paired import mcnemar
from minnorm.report.decisions.pairs import PairedValues
from minnorm.report.texts import counted


def check_claims(
    claims: Sequence[Claim], settings: Sequence[MeasuredSetting]
) -> tuple[ClaimResult, ...]:
    """Check all claims but those that the kind of the experiment checks itself."""
    named = {measured.setting.name: measured for measured in settings}
    return tuple(check_claim(claim, named) for claim in claims if not isinstance(claim, Own))


def check_claim(claim: Claim, settings: Mapping[str, MeasuredSetting]) -> ClaimResult:
    """Check a claim; one whose setting or rows are missing is `not measured`."""
    if claim.setting not in settings:
        return not_measured(claim, f"{claim.setting} is not part of this scale")
    measured = settings[claim.setting]
    match claim:
        case RatioOfMeans():
            result = _ratio_of_means(claim, measured)
        case MeanOfPaper():
            result = _mean_of_paper(claim, measured)
        case SuccessBelow():
            result = _success_below(claim, measured)
        case Closer():
            result = _closer(claim, measured)
        case WorseOn():
            result = network_claims.worse_on(claim, settings)
        case MoreRobust():
            result = network_claims.more_robust(claim, settings)
        case LargerMean():
            result = network_claims.larger_mean(claim, settings)
        case Own():
            result = not_measured(claim, "only the experiment itself can check it")
        case _:
            assert_never(claim)
    if result.verdict == "not measured":
        return result
    return replace(result, numbers=result.numbers + unfinished_text(_rows_of(claim, settings)))


def _rows_of(
    claim: Claim, settings: Mapping[str, MeasuredSetting]
) -> Iterator[tuple[MeasuredSetting, str]]:
    """Return the rows that a measured claim is about, with their settings."""
    values = claim.model_dump()
    beside = values.get("beside", ())
    rows = [values["attack"], *([beside] if isinstance(beside, str) else beside)]
    places = dict.fromkeys([claim.setting, values.get("other", claim.setting)])
    return itertools.product([settings[one] for one in places], rows)


def _ratio_of_means(claim: RatioOfMeans, measured: MeasuredSetting) -> ClaimResult:
    pair = pair_of(claim, measured, claim.beside)
    if isinstance(pair, str):
        return not_measured(claim, pair)
    attack, beside = pair
    found = both_succeed(attack, beside)
    if not found.b.any():
        return not_measured(claim, "there is no image on which both succeed")
    ratio = ratio_of(found)
    shown = ratio_text(ratio, found, "both succeed", of=len(attack))
    numbers = f"mean of {claim.attack} / mean of {claim.beside}: {shown}"
    verdict = verdict_on(ratio, below=claim.at_most)
    return ClaimResult(claim, verdict, numbers, ratio)


def _mean_of_paper(claim: MeanOfPaper, measured: MeasuredSetting) -> ClaimResult:
    rows = {row.name: row for row in measured.setting.attacks}
    figures = rows[claim.attack].paper if claim.attack in rows else None
    records = records_of(measured, claim.attack)
    if records is None:
        return not_measured(claim, why_not_there(measured, claim.attack))
    if figures is None or figures.mean is None:
        return not_measured(claim, f"the paper has no mean of {claim.attack}")
    mean = mean_distance(records, over=measured.setting.over)
    if math.isnan(mean.value):
        return not_measured(claim, f"{claim.attack} found no adversarial")
    change = Estimate(*(one / figures.mean - 1 for one in mean))
    verdict: Verdict = "not shown"
    if -claim.within <= change.low and change.high <= claim.within:
        verdict = "held"
    elif change.low > claim.within or change.high < -claim.within:
        verdict = "not held"
    images = samples_in(counted_of(records, measured.setting.over))
    numbers = (
        f"mean of {claim.attack} over {counted(images, 'image')}: {estimate_text(mean, 4)}, "
        f"the paper's {figures.mean:.4f}: "
        f"{estimate_text(change, 1, 100, '+')} %"
    )
    return ClaimResult(claim, verdict, numbers, change)


def _success_below(claim: SuccessBelow, measured: MeasuredSetting) -> ClaimResult:
    pair = pair_of(claim, measured, claim.beside)
    if isinstance(pair, str):
        return not_measured(claim, pair)
    attack, beside = pair
    one, other = (values_of(part, "success") for part in (attack, beside))
    hits = PairedValues(other, one, values_of(attack, "index"))
    change, p_value = paired_change(hits, TAIL), mcnemar(hits)
    numbers = (
        f"success of {claim.attack} minus that of {claim.beside}: "
        f"{estimate_text(change, 1, 100, '+')} points over {pairs_text(hits)} "
        f"({100 * one.mean():.1f} % and {100 * other.mean():.1f} %), McNemar p = {p_value:.2g}"
    )
    verdict = below_zero(change)
    return ClaimResult(claim, verdict, numbers, change, p_value)


def _closer(claim: Closer, measured: MeasuredSetting) -> ClaimResult:
    results: list[tuple[Verdict, str, Estimate, float]] = []
    for beside in claim.beside:
        pair = pair_of(claim, measured, beside)
        if isinstance(pair, str):
            return not_measured(claim, pair)
        one, other = (values_of(part, "l2") for part in pair)
        hits = PairedValues(one < other, one > other, values_of(pair[0], "index"))
        change, p_value = paired_change(hits, TAIL), mcnemar(hits)
        both = both_succeed(*pair)
        means = (
            f"; means {both.a.mean():.4f} and {both.b.mean():.4f} where both succeed"
            if len(both.a)
            else ""
        )
        text = (
            f"closer than {beside} on {100 * hits.a.mean():.1f} % of {pairs_text(hits)}, farther "
            f"on {100 * hits.b.mean():.1f} % (sign test p = {p_value:.2g}{means})"
        )
        results.append((below_zero(change), text, change, p_value))
    verdict, _, change, p_value = max(results, key=lambda one: (one[2].low > 0, one[2].high))
    numbers = f"{claim.attack} is " + "; ".join(text for _, text, _, _ in results)
    return ClaimResult(claim, verdict, numbers, change, p_value)
