"""Findings about random models, whose samples are judged by a share of draws."""

from typing import Any

import numpy as np

from minnorm.evaluation import Records, of_attack
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.metrics import is_correct
from minnorm.evaluation.records import attacks_in
from minnorm.evaluation.selection import values_of
from minnorm.report.findings.finding import Finding
from minnorm.report.parts import closest_part
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import counted, percent

_FEW_DRAWS, _USUAL_DRAWS = 16, 32
"""The number of draws below which an average says little about other draws, and a usual one."""

_MANY_LOST = 0.05
"""The share of the successes of an attack that other draws may undo by chance."""


def is_random(run: LabeledRun) -> bool:
    """Return whether the model of a run is an average over draws."""
    return _draws(run) is not None


def random_findings(run: LabeledRun) -> list[Finding]:
    """Return what the draws of a random model show; nothing for any other model.

    Args:
        run: The run, with at least one record.
    """
    draws = _draws(run)
    if draws is None:
        return []
    records = run.run.records
    lost = [one for name in attacks_in(records) for one in _lost(name, of_attack(records, name))]
    return [_rule(run, draws), *_few(draws), *lost]


def _draws(run: LabeledRun) -> dict[str, Any] | None:
    """Return the draws of a random model in the configuration of a run."""
    draws: dict[str, Any] | None = run.run.manifest["configuration"].get("random_draws")
    return draws


def _rule(run: LabeledRun, draws: dict[str, Any]) -> Finding:
    """Return by which rule the samples are judged, and the average shares."""
    closest = closest_part(run)
    found = is_correct(closest) & values_of(closest, "success")
    text = (
        f"A sample counts as misclassified, before an attack or after it, if the model "
        f"misclassifies it in at least {100 * draws['threshold']:g} % of "
        f"{counted(draws['judged'], 'draw')} that no attack has seen. On average the inputs are "
        f"classified correctly in {_average(values_of(closest, 'clean_share'))} of these draws"
    )
    if found.any():
        held = _average(values_of(closest, "adversarial_share")[found])
        text += f", and the closest adversarials are misclassified in {held}"
    return Finding(
        "random-model",
        "note",
        "The model is random",
        f"{text}.",
        "If an adversarial must hold more often, give minnorm.models.averaged a larger threshold.",
    )


def _average(shares: Array) -> str:
    return percent(float(np.nanmean(shares)))


def _few(draws: dict[str, Any]) -> list[Finding]:
    """Return whether the attacks have seen the average over few draws."""
    if draws["draws"] >= _FEW_DRAWS:
        return []
    return [
        Finding(
            "few-draws",
            "note",
            "The average is over few draws",
            f"The attacks follow the average over {counted(draws['draws'], 'draw')}, which is not "
            "that over all draws. They must move their adversarials farther until they hold in "
            "other draws, so the distances are larger than necessary.",
            f"Average over more draws, minnorm.models.averaged(model, draws={_USUAL_DRAWS}).",
        )
    ]


def _lost(name: str, records: Records) -> list[Finding]:
    """Return whether many successes of an attack do not hold in draws that it has not seen."""
    reported = values_of(records, "reported") & is_correct(records)
    lost = int((reported & ~values_of(records, "success")).sum())
    if lost <= max(1, _MANY_LOST * reported.sum()):
        return []
    return [
        Finding(
            "lost-successes",
            "problem",
            f"{name} finds adversarials that do not hold in other draws",
            f"Of {int(reported.sum()):,} adversarials that the attack reports, {lost:,} hold in "
            "too few draws that it has not seen. They count as failures, so the model looks more "
            "robust than it is.",
            "Average over more draws, so that the attack does not fit those that it sees, or give "
            "the attack a larger radius. An attack of your own must not stop at the decision "
            "boundary of the average: half of the draws are on its other side.",
        )
    ]
