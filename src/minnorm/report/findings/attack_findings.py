"""Findings from the attacks of a run: which are missing, fail, disagree or contradict the judge."""

import math
import shlex
from collections.abc import Sequence

import numpy as np

from minnorm.access import Access
from minnorm.attacks.composition import most_demanding
from minnorm.report.findings.beaten_attacks import CLEARLY, beaten
from minnorm.report.findings.finding import Finding
from minnorm.report.findings.measured_attacks import (
    MeasuredAttack,
    closest_of,
    in_one_norm,
    measured_attacks,
)
from minnorm.report.findings.random_findings import is_random
from minnorm.report.findings.suggestions import closest_attacks, examples
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import listed, norm_name, radius_text

_MANY = 0.2
"""The share of samples from which attacks disagree widely."""

_ENOUGH = 20
"""The fewest samples on which it says something that attacks disagree, or that none succeeds."""

_FEW_STEPS = 10
"""The number of steps below which an attack has hardly begun."""

_FEW_FLAGS = 0.01
"""The largest share of wrong flags that rounding near the decision boundary may explain."""


def attack_findings(run: LabeledRun) -> list[Finding]:
    """Return what a comparison of the attacks of a run shows, and what the choice of attacks lacks.

    Args:
        run: The run, with at least one record.
    """
    attacks = measured_attacks(run)
    found = _choice(attacks)
    if len(attacks[0].distances) == 0:
        return found
    for group in in_one_norm(attacks).values():
        found += [one for loser in group for one in beaten(loser, group)]
        unlimited = [one for one in group if math.isinf(one.limit)]
        found += _disagreement(unlimited)
        found += [one for attack in unlimited for one in _failures(attack, unlimited)]
    if is_random(run):  # the attacks have seen other draws than the evaluation
        return found
    return found + [one for attack in attacks for one in _flags(attack)]


def _choice(attacks: Sequence[MeasuredAttack]) -> list[Finding]:
    """Return what the choice of attacks lacks."""
    found = []
    access = most_demanding(attack.access for attack in attacks)
    if len(attacks) == 1 and attacks[0].head != "worst_case":
        found.append(
            Finding(
                "single-attack",
                "note",
                "There is only one attack",
                f"All numbers are those of {attacks[0].name}. A second attack of another kind may "
                "find closer adversarials of some samples, and shows whether the first one works "
                "on this model.",
                f"Repeat the command with another attack added, {_added(attacks[0])}: the run "
                "keeps what it has, and the row 'worst case' takes the closest of all.",
            )
        )
    if all(map(_is_short, attacks)):
        found.append(
            Finding(
                "short-attacks",
                "problem",
                "All attacks are very short",
                f"{listed([attack.name for attack in attacks])}: one step or a few find only some "
                "of the adversarials. The model is probably much less robust than the numbers say.",
                f"Add an attack with more steps, for example {examples(access)}.",
            )
        )
    if all(math.isfinite(attack.limit) for attack in attacks):
        limit = max(attack.limit for attack in attacks)
        found += _nothing_found(attacks, limit, access)
        found.append(
            Finding(
                "limited-radius",
                "note",
                "All attacks search within a radius",
                f"Beyond the radius {radius_text(limit)} nothing is known: there is no accuracy, "
                "and the median distance is known only if more than half of the samples have an "
                f"adversarial within it.{_inside(attacks)}",
                "Add an attack that searches for the closest adversarial, for example "
                f"{examples(access)}.",
            )
        )
    else:
        found += _upper_bounds(attacks, access)
    if unknown := [attack.name for attack in attacks if attack.cost == 0]:
        found.append(
            Finding(
                "unknown-cost",
                "note",
                "The cost of an attack is unknown",
                f"{listed(unknown)} did not call the model that the evaluation passed, so "
                "its gradients and forward passes were not counted.",
                "Let the attack call the model in its arguments, and no other.",
            )
        )
    return found


def _inside(attacks: Sequence[MeasuredAttack]) -> str:
    """Return what the distances of attacks say if none searches for the closest adversarial."""
    if any(attack.searched is None for attack in attacks):
        return ""
    names = listed([attack.name for attack in attacks])
    return (
        f" {names} {'searches' if len(attacks) == 1 else 'search'} for any adversarial within a "
        "radius, not for the closest: accuracies at smaller radii and distances are at most what "
        "was found."
    )


def _upper_bounds(attacks: Sequence[MeasuredAttack], access: Access) -> list[Finding]:
    """Return in which norms no attack searches for the closest adversarial, if others do."""
    return [
        Finding(
            "upper-bounds",
            "note",
            f"No attack in {norm_name(norm)} searches for the closest adversarial",
            _inside(group).strip(),
            f"Add an attack that does, for example {closest_attacks(access, norm)[0]}.",
        )
        for norm, group in in_one_norm(attacks).items()
        if _inside(group)
    ]


def _added(attack: MeasuredAttack) -> str:
    """Return the options by which a run of one attack gets a second one, in words."""
    possible = closest_attacks(attack.access, attack.norm)
    other = next(one for one in possible if one.partition("(")[0] != attack.head)
    names = " ".join(f"--attack {shlex.quote(name)}" for name in (attack.name, other))
    return f"for example {names}"


def _nothing_found(
    attacks: Sequence[MeasuredAttack], limit: float, access: Access
) -> list[Finding]:
    """Return whether attacks within a radius have not succeeded a single time."""
    counts = [len(attack.distances) for attack in attacks]
    if min(counts) < _ENOUGH or any(np.isfinite(attack.distances).any() for attack in attacks):
        return []
    return [
        Finding(
            "no-successes",
            "problem",
            "No attack has found an adversarial",
            f"Within the radius {radius_text(limit)}, no attack succeeded on any of "
            f"{attacks[0].cases()}. So the accuracy under attack is that without an attack, which "
            "hardly any model keeps at a usual radius. Either the radius is very small for this "
            "model, or the attacks do not work on it.",
            "Repeat the command with an attack added that searches for the closest adversarial, "
            f"for example {examples(access)}: it shows where adversarials begin.",
        )
    ]


def _is_short(attack: MeasuredAttack) -> bool:
    """Return whether an attack takes a single step or a few, by its spec."""
    steps = attack.arguments.get("steps")
    return attack.head == "fgsm" or (isinstance(steps, int) and steps < _FEW_STEPS)


def _disagreement(attacks: Sequence[MeasuredAttack]) -> list[Finding]:
    """Return whether the best attack is far from the closest of all on many samples."""
    if len(attacks) < 2 or len(attacks[0].distances) < _ENOUGH:
        return []
    closest = closest_of(attacks).distances
    best = min(attacks, key=lambda attack: float((attack.distances > CLEARLY * closest).mean()))
    farther = int((best.distances > CLEARLY * closest).sum())
    if farther < _MANY * len(closest):
        return []
    return [
        Finding(
            "disagreement",
            "problem",
            "The attacks disagree widely",
            f"On {farther:,} of {best.cases()} even the best attack, "
            f"{best.name}, ended more than 10 % farther away than another one. Attacks that have "
            "converged find nearly the same distances. Where they differ so much, a further attack "
            "would probably come closer still, so the model is less robust than the numbers say.",
            "Give the attacks more steps or larger budgets, and add attacks and random restarts, "
            "until the row 'worst case' no longer changes.",
        )
    ]


def _failures(attack: MeasuredAttack, others: Sequence[MeasuredAttack]) -> list[Finding]:
    """Return whether an attack that may go anywhere has found nothing on some samples."""
    failed = np.isinf(attack.distances)
    if not failed.any():
        return []
    left = int(np.isinf(closest_of(others).distances).sum())
    text = (
        f"{attack.name} may change an input as much as the bounds allow, but it found no "
        f"adversarial on {int(failed.sum()):,} of {attack.cases()}. "
    )
    if left == 0:
        text += "Another attack succeeded on all of these, so the worst case is not affected."
    else:
        whose = (
            "These count" if len(others) == 1 else f"No other found one on {left:,}, which count"
        )
        masked = "the gradients of the model are masked, or " * (attack.access == "gradients")
        text += (
            f"{whose} as robust at every radius, although almost every input has an adversarial "
            f"inside the bounds. Either the attack has too few steps or queries, or {masked}the "
            "output of the model is constant."
        )
    return [
        Finding(
            "failures",
            "problem" if left else "note",
            f"{attack.name} fails on some samples",
            text,
            "Give the attack more steps or a larger budget, or add another attack. If that does "
            "not help, look for operations of the model that "
            f"{'block gradients or ' * (attack.access == 'gradients')}saturate.",
        )
    ]


def _flags(attack: MeasuredAttack) -> list[Finding]:
    """Return whether an attack has successes that it does not report."""
    success = np.isfinite(attack.distances)
    missed = int((success & ~attack.reported).sum())
    if missed < max(2.0, _FEW_FLAGS * len(success)):
        return []
    return [
        Finding(
            "missed-successes",
            "note",
            f"{attack.name} does not report all of its successes",
            f"On {missed:,} of {attack.cases()} the attack returned an "
            "adversarial, but says that it failed. They count as successes.",
            "Check how the attack decides about success. The numbers are not affected.",
        )
    ]
