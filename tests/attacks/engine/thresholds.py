"""Accelerated models of single numbers, by hand: classifiers that count and lie."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from minnorm.acceleration import Accelerated
from minnorm.attacks.engine.coarse import AcceleratedSearch
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import Problem

INF = float("inf")


@dataclass
class Threshold:
    """A classifier of one number: class 1 above `at`, class 0 below; it keeps what it is given."""

    at: float
    batches: list[list[float]] = field(default_factory=list)

    def __call__(self, inputs: Tensor, /) -> Tensor:
        self.batches.append([round(value, 6) for value in inputs.flatten().tolist()])
        return torch.cat([self.at - inputs, inputs - self.at], 1)


@dataclass
class Three:
    """The three classifiers of an accelerated model, and a search on it."""

    original: Threshold
    exact: Threshold
    coarse: Threshold | None
    search: AcceleratedSearch

    def asked(self) -> list[str]:
        """Return which classifiers have been called since the last time."""
        names = []
        for name in ("original", "exact", "coarse"):
            classifier = getattr(self, name)
            if classifier is not None and classifier.batches:
                names += [name] * len(classifier.batches)
                classifier.batches.clear()
        return names


def problem_at(origins: list[float], *, targeted: bool = False, **settings: object) -> Problem:
    """Return the problem of samples that are single numbers, of class 0 or to reach class 1."""
    points = torch.tensor(origins).unsqueeze(1)
    labels = torch.full((len(origins),), int(targeted))
    return Problem(points, Goal(labels, targeted), **settings)  # type: ignore[arg-type]


def search_on(
    samples: int = 1,
    *,
    original: float = 0.5,
    exact: float | None = None,
    coarse: float | None = 0.5,
    problem: Problem | None = None,
) -> Three:
    """Begin a search for samples at 0 of class 0; the arguments are the thresholds."""
    problem = problem or problem_at([0.0] * samples)
    by_itself = Threshold(original)
    fast = by_itself if exact is None else Threshold(exact)
    low = None if coarse is None else Threshold(coarse)
    accelerated = Accelerated(by_itself, fast, low, "by hand", ())
    return Three(by_itself, fast, low, AcceleratedSearch(problem, accelerated))


def points_at(*values: float) -> Tensor:
    """Return a point for each sample."""
    return torch.tensor(values).unsqueeze(1)
