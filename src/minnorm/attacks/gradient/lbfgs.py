"""L-BFGS: the first attack, by a box-constrained quasi-Newton method.

Szegedy, Zaremba, Sutskever, Bruna, Erhan, Goodfellow, Fergus: "Intriguing properties of neural
networks", ICLR 2014, https://arxiv.org/abs/1312.6199; eq. 3 of Rony et al. (2019).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.autograd import noise_of_sample
from minnorm.attacks.engine.bisection import bisect
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number


@accepts_accelerated
def lbfgs(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 20,
    searches: int = 10,
    initial_constant: float = 0.01,
    bisections: int = 10,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Find adversarials of small L2 norm by a penalty, with SciPy's L-BFGS-B (eq. 3).

    Minimizes `C * distance^2 + log p(label)`, or `C * distance^2 - log p(label)` when targeted,
    inside the bounds. (Eq. 3 has the distance itself, whose gradient is not defined at the input.)
    It tries one constant C after the other: 10 times larger after a success, 10 times smaller after
    a failure, then bisected in the logarithm. The probabilities are those of the logits divided by
    the input's own margin; otherwise a network that is very certain of the input has no gradient.
    Since the logarithm is concave in the margin, the minimum jumps from before the boundary to far
    beyond it as C falls. So the attack ends with a bisection between the input and the closest
    adversarial.

    **Runs sample by sample on the host**, since SciPy has no batches: it is here for comparison.
    Each iteration costs a gradient, or several where the line search needs them.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        steps: Largest number of iterations of each search.
        searches: Number of constants tried.
        initial_constant: The first C, where the width of the bounds is 1.
        bisections: Forward passes of the final bisection.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_count("searches", searches)
    check_number("initial_constant", initial_constant, 0)
    check_count("bisections", bisections, least=0)
    # SciPy takes long to import, and most attacks do not need it.
    from scipy.optimize import minimize

    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        levels=levels,
    ) as search:
        noises = [
            noise_of_sample(search.problem.origins, search.generator) for _ in range(searches)
        ]
        for row in range(len(inputs)):
            chosen = torch.tensor([row], device=inputs.device)
            part = search.part(chosen)
            _search_constant(part, minimize, noises, steps=steps, constant=initial_constant)
            search.absorb(part.result(), chosen)
        bisect(search, bisections)
        return search.result()


def _search_constant(
    search: Search,
    minimize: Callable[..., Any],
    noises: list[Tensor],
    *,
    steps: int,
    constant: float,
) -> None:
    """Search for the largest C with which the minimum is adversarial, for one sample."""
    clean = search.visit(search.problem.origins)
    if bool(clean.adversarial):
        return
    scale = abs(float(search.goal.margins(clean.logits))) or 1.0
    low, high = 0.0, np.inf
    limits = _limits(search.problem)
    gradients = clean.pull_back(search.goal.margin_direction(clean.logits))
    # Without a gradient at the input, only another start can find one.
    length = 0.0 if bool(geometry.has_direction(gradients)) else 0.5
    for noise in noises:
        free_noise = search.problem.along_free(noise.unsqueeze(0)).double()
        start = length * geometry.normalized(free_noise)
        part = search.part()
        minimize(
            _Objective(part, constant, scale),
            start.flatten().cpu().numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": steps, "ftol": 0.0, "gtol": 0.0},
        )
        found = part.result()
        search.absorb(found)
        if bool(found.success):
            low = constant
        else:
            high = constant
        if low == 0:
            constant /= 10
        elif high == np.inf:
            constant *= 10
        else:
            constant = float(np.sqrt(low * high))


class _Objective:
    """The function to minimize: from a perturbation in double precision to value and gradient."""

    def __init__(self, search: Search, constant: float, scale: float) -> None:
        self._search = search
        self._constant = constant
        self._scale = scale

    def __call__(self, flat: Float64[np.ndarray, "n"]) -> tuple[float, Float64[np.ndarray, "n"]]:
        search = self._search
        origins = search.problem.origins
        # A copy, since the array is read-only where no entry can change.
        perturbations = torch.tensor(flat).to(origins).view_as(origins)
        visit = search.visit(search.problem.points(perturbations))
        # In double precision, where a probability near 1 does not round to 1 yet.
        logits = visit.logits.double() / self._scale
        log_probabilities = logits.log_softmax(1)
        label = search.goal.labels.unsqueeze(1)
        sign = -1.0 if search.goal.targeted else 1.0
        value = sign * float(log_probabilities.gather(1, label))
        one_hot = torch.zeros_like(logits).scatter_(1, label, 1.0)
        direction = sign * (one_hot - log_probabilities.exp())
        gradients = visit.pull_back(direction.to(visit.logits.dtype)).double() / self._scale
        flat_gradient = gradients.flatten().cpu().numpy()
        # SciPy stops at a NaN and does not recover.
        total = self._constant * float(flat @ flat) + (value if np.isfinite(value) else 0.0)
        return total, 2 * self._constant * flat + np.nan_to_num(
            flat_gradient, posinf=0.0, neginf=0.0
        )


def _limits(problem: Problem) -> list[tuple[float, float]]:
    """Return the lowest and the highest value of each entry of the perturbation, in units."""
    origins = problem.origins.double()
    unit = float(problem.unit)  # of a single sample
    lower, upper = ((bound - origins) / unit for bound in problem.bounds)
    return list(zip(lower.flatten().tolist(), upper.flatten().tolist(), strict=True))
