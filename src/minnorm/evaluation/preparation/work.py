"""The work of an evaluation, estimated before it begins, and whether to prepare for it.

Preparation is the choice of the acceleration and of the batch size by measuring.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from minnorm.attacks.composition import Part, access_needed, takes_accelerated, tree
from minnorm.attacks.engine.tournaments import FORWARD_COST

LARGEST_SHARE = 0.018
"""The largest share of the work that a preparation may take. Where it finds nothing faster, the
run is longer by this share."""

_USUAL_STEPS = {"carlini_wagner": 200, "deepfool": 10, "superdeepfool": 10}
"""The steps after which attacks that stop early have usually stopped."""

_USUAL_BUDGET = 100
"""The budget of an attack that chooses it: `minnorm.attack`."""

_SHARE_WITHIN_EPSILON = 0.1
"""The share of the steps that an attack within a radius takes at least. It drops the samples that
it has fooled, and may fool most of them at once."""


@dataclass(frozen=True)
class Workload:
    """What the attacks of a run compute, in gradients.

    Attributes:
        samples: The samples that each rank attacks.
        gradients: The gradients of a sample, over all attacks and targets.
        accelerated: The part of these gradients that an accelerated model computes.
    """

    samples: int
    gradients: float
    accelerated: float


def workload(
    attacks: Iterable[Callable[..., Any]], samples: int, *, targets: int, ranks: int
) -> Workload:
    """Return what the attacks of a run compute.

    Args:
        attacks: The attacks.
        samples: The number of samples.
        targets: The targets of a sample; 1 if untargeted.
        ranks: The number of ranks that share the samples.
    """
    gradients = [(_in_gradients(attack), takes_accelerated(attack)) for attack in attacks]
    return Workload(
        samples=-(-samples // ranks),
        gradients=targets * sum(count for count, _ in gradients),
        accelerated=targets * sum(count for count, fast in gradients if fast),
    )


def _in_gradients(attack: Callable[..., Any]) -> float:
    """Return the cost of a sample in gradients, also of an attack that counts queries."""
    each = 1.0 if access_needed(attack) == "gradients" else FORWARD_COST
    return each * expected_gradients(attack)


def expected_gradients(attack: Callable[..., Any]) -> float:
    """Return how many gradients of a sample an attack computes, from its hyper-parameters.

    Of an attack without gradients these are queries. The estimate is low rather than high. It reads
    `budget`, or `steps`, `searches` and `restarts`, also of the attacks inside a combination; an
    attack that has none of them counts as 1.
    """
    return _expected_gradients(tree(attack))


def _expected_gradients(part: Part) -> float:
    inside = part.parts
    if inside:
        each = sum(_expected_gradients(one) for one in inside)
        return each * _number(part, "restarts")
    if "budget" in part.parameters:
        steps = _number(part, "budget", _USUAL_BUDGET)
    else:
        name = str(getattr(part.function, "__name__", ""))
        steps = _number(part, "steps")
        steps = min(steps, _USUAL_STEPS.get(name, steps))
    if _number(part, "epsilon", 0) > 0:
        steps *= _SHARE_WITHIN_EPSILON
    return max(steps, 1) * _number(part, "searches") * _number(part, "restarts")


def _number(part: Part, name: str, without: float = 1) -> float:
    """Return the value of a hyper-parameter; `without` if there is none, or it is no number."""
    parameter = part.parameters.get(name)
    if parameter is None or not isinstance(parameter.default, Real):
        return without
    return float(parameter.default)


def estimate_work(samples: int, gradients: float, seconds: float) -> float:
    """Return the seconds that attacks take.

    Args:
        samples: The number of samples.
        gradients: The gradients of a sample.
        seconds: The time of a gradient of one sample, in a batch.
    """
    return samples * gradients * seconds


def worth_preparing(preparation: float, work: float) -> bool:
    """Return whether a preparation is short enough for the work that it serves.

    Args:
        preparation: The time of the preparation, in any unit.
        work: The time of the work, in the same unit.
    """
    return preparation <= LARGEST_SHARE * work
