"""Findings about attacks that another one beats, although it should not be able to.

All comparisons are paired by sample.
"""

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeAlias

from scipy.special import bdtrc

from minnorm.report.findings.finding import Finding
from minnorm.report.findings.measured_attacks import (
    MeasuredAttack,
    closer,
    closest_of,
    compared_within,
)
from minnorm.report.texts import radius_text

CLEARLY = 1.1
"""The ratio of two distances from which one attack is clearly closer."""

_SLIGHTLY = 1.05
"""The ratio for two budgets of one attack, which should find nearly the same."""

_Rule: TypeAlias = Callable[[MeasuredAttack, MeasuredAttack], int]
"""A function of two attacks: on how many samples the first one beats the second, 0 if on few."""

_Text: TypeAlias = Callable[[MeasuredAttack, MeasuredAttack, int], Finding]
"""A function of two attacks and the wins of the first one: what to say about it."""

_STRENGTHS = {"fgsm": 0, "pgd": 1, "deepfool": 1}
"""How strong simple attacks are; all other attacks are stronger."""

_WITHOUT_GRADIENTS = 1
"""How strong an attack is that makes no backward passes: it sees less of the model."""

_STRONGER = 2

_BUDGETS = {"steps", "budget", "searches", "restarts"}
"""Parameters that say how long an attack searches."""

_BY_CHANCE = 0.02
"""The largest share of samples on which a simple attack beats a stronger one on a usual model."""

_MANY = 0.2
"""The share of samples from which a cheaper attack clearly wins."""

_CHEAPER = 0.67
"""The share of the cost of an attack below which another one is cheaper."""

_LARGEST_P = 1e-3
"""How probable a finding may be at most without its reason."""


def beaten(loser: MeasuredAttack, attacks: Sequence[MeasuredAttack]) -> list[Finding]:
    """Return a finding if another attack of the same norm beats an attack against expectation.

    Args:
        loser: The attack.
        attacks: All attacks of its norm.
    """
    stronger = [one for one in attacks if _strength(one) == _STRONGER]
    rules: tuple[tuple[_Rule, _Text], ...] = (
        (_wins_of_simple, partial(_simple_attack_wins, closest_of(stronger or [loser]))),
        (_wins_of_shorter, _more_steps_are_worse),
        (_wins_of_cheaper, _cheaper_attack_wins),
    )
    for rule, text in rules:
        wins, winner = max(((rule(one, loser), one) for one in attacks), key=lambda pair: pair[0])
        if wins:
            return [text(winner, loser, wins)]
    return []


def _wins_of_simple(winner: MeasuredAttack, loser: MeasuredAttack) -> int:
    """Return on how many samples a simpler attack is clearly closer, 0 if that may be chance."""
    if _strength(winner) >= _strength(loser):
        return 0
    wins, draws = int(closer(winner, loser, CLEARLY).sum()), len(loser.distances)
    return wins if at_least(wins, draws, _BY_CHANCE) < _LARGEST_P else 0


def _wins_of_shorter(winner: MeasuredAttack, loser: MeasuredAttack) -> int:
    """Return on how many samples the same attack with a smaller budget is closer, or 0."""
    if _without_budget(winner) != _without_budget(loser) or winner.cost * 1.2 > loser.cost:
        return 0
    return _significant_wins(winner, loser, _SLIGHTLY)


def _wins_of_cheaper(winner: MeasuredAttack, loser: MeasuredAttack) -> int:
    """Return on how many samples a cheaper attack is clearly closer, 0 if on few."""
    if _strength(loser) < _STRONGER or winner.cost > _CHEAPER * loser.cost:
        return 0
    wins = _significant_wins(winner, loser, CLEARLY)
    return wins if wins >= _MANY * len(loser.distances) else 0


def _significant_wins(winner: MeasuredAttack, loser: MeasuredAttack, factor: float) -> int:
    """Return the wins of an attack, 0 if the exact sign test does not show that it is better."""
    wins = int(closer(winner, loser, factor).sum())
    losses = int(closer(loser, winner, factor).sum())
    return wins if at_least(wins, wins + losses, 0.5) < _LARGEST_P else 0


def at_least(hits: int, draws: int, share: float) -> float:
    """Return the probability of at least so many hits in independent draws.

    Args:
        hits: The number of hits.
        draws: The number of draws.
        share: The probability of a hit.
    """
    return 1.0 if hits == 0 else float(bdtrc(hits - 1, draws, share))


def _strength(attack: MeasuredAttack) -> int:
    return _STRENGTHS.get(attack.head, _WITHOUT_GRADIENTS if attack.queries_only else _STRONGER)


def _without_budget(attack: MeasuredAttack) -> tuple[str, dict[str, object]]:
    """Return the function of an attack, and its arguments but for the budget."""
    rest = {name: value for name, value in attack.arguments.items() if name not in _BUDGETS}
    return (attack.head or attack.name, rest)


def _what_was_found(winner: MeasuredAttack, loser: MeasuredAttack, wins: int, more: str) -> str:
    limit = compared_within(winner, loser)
    if math.isinf(limit):
        return (
            f"On {wins:,} of {loser.cases()}, the adversarial of {loser.name} is more than {more} "
            f"farther away than that of {winner.name}, or there is none."
        )
    return (
        f"On {wins:,} of {loser.cases()}, {winner.name} found an adversarial within the radius "
        f"{radius_text(limit)}, and {loser.name} found none there."
    )


def _simple_attack_wins(
    closest: MeasuredAttack, winner: MeasuredAttack, loser: MeasuredAttack, wins: int
) -> Finding:
    """Return the finding that a simple attack wins.

    Args:
        closest: The closest of all stronger attacks.
        winner: The simple attack.
        loser: The stronger attack.
        wins: The number of samples on which the simple attack wins.
    """
    found = _what_was_found(winner, loser, wins, "10 %")
    kind = "An attack without gradients" if winner.queries_only else "So simple an attack"
    if _wins_of_simple(winner, closest) == 0:
        return Finding(
            "simple-attack-wins",
            "note",
            f"{winner.name} beats {loser.name}",
            f"{found} So {loser.name} has not converged. Other attacks have come closer, so the "
            "worst case is not affected.",
            f"Do not use the row {loser.name} alone: give it more steps, or leave it out.",
        )
    return Finding(
        "simple-attack-wins",
        "problem",
        f"{winner.name} beats {loser.name}",
        f"{found} {kind} should almost never win. Either the stronger one has too few steps, or "
        "the gradients of the model mislead it (gradient masking). Then the model is less robust "
        "than the numbers say.",
        f"Give {loser.name} more steps, and add attacks and random restarts. If the simple attack "
        "still wins, look for operations of the model that mask gradients, and rely on no single "
        "attack.",
    )


def _more_steps_are_worse(winner: MeasuredAttack, loser: MeasuredAttack, wins: int) -> Finding:
    masked = "gradients of the model may be noisy or misleading, or the "
    return Finding(
        "more-steps-worse",
        "problem",
        f"{loser.name} finds less than {winner.name}",
        f"{_what_was_found(winner, loser, wins, '5 %')} Both are the same attack, and the one with "
        f"the larger budget should not lose. The {masked * (loser.access == 'gradients')}model may "
        "draw random numbers.",
        "Check that the model is deterministic. Use the row 'worst case', and add another attack.",
    )


def _cheaper_attack_wins(winner: MeasuredAttack, loser: MeasuredAttack, wins: int) -> Finding:
    return Finding(
        "cheaper-attack-wins",
        "note",
        f"{winner.name} beats {loser.name} at a lower cost",
        f"{_what_was_found(winner, loser, wins, '10 %')} It needed the time of {winner.cost:,.0f} "
        f"gradients per sample instead of {loser.cost:,.0f}. {loser.name} does not fit this model, "
        "or has not converged.",
        f"Use the row 'worst case', not {loser.name} alone. Leave {loser.name} out, or give it "
        "more steps.",
    )
