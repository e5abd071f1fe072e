"""L-BFGS: the first attack, by a box-constrained quasi-Newton method.

Szegedy, Zaremba, Sutskever, Bruna, Erhan, Goodfellow, Fergus: "Intriguing properties of neural
networks", ICLR 2014, https://arxiv.org/abs/1312.6199; eq. 3 of Rony et al. (2019).
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks.bisection import bisect
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import Search, search
from minnorm.geometry import Bounds


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
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small L2 norm by a penalty, with SciPy's L-BFGS-B (eq. 3).

    Minimises `C * distance^2 + log p(label)` (eq. 3 has the distance itself, whose gradient is not
    defined at the input), or `C * distance^2 - log p(label)` when targeted, in
    the box, for one C after the other: larger by 10 after a success and smaller by 10 after a
    failure, then bisected in the logarithm. The probabilities are those of the logits divided by
    the input's own margin: otherwise a network that is very sure of the input gives no gradient.
    Since the logarithm is concave in the margin, its minimum jumps from before the boundary to well
    beyond it as C falls; so a bisection between the input and the closest adversarial ends it.

    **Runs sample by sample on the host**, since the library knows no batches: it is here for
    comparison. Each iteration costs a gradient, or some where the line search needs them.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        steps: Largest number of iterations of each search.
        searches: Number of constants tried.
        initial_constant: The first C, where the width of the bounds is 1.
        bisections: Forward passes of the final bisection.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: If an argument is not as described.
        ImportError: If SciPy is not installed.
    """
    checks.check_count("steps", steps)
    checks.check_count("searches", searches)
    checks.check_number("initial_constant", initial_constant, 0)
    checks.check_count("bisections", bisections, least=0)
    minimize = _minimizer()
    with search(
        model, inputs, labels, targeted=targeted, bounds=bounds, generator=generator
    ) as state:
        noises = [state.noise() for _ in range(searches)]
        for row in range(len(inputs)):
            chosen = torch.tensor([row], device=inputs.device)
            part = state.part(chosen)
            _search_constant(
                part,
                minimize,
                noises,
                steps=steps,
                constant=initial_constant,
            )
            state.absorb(part.result(), chosen)
        bisect(state, bisections)
        return state.result()


def _minimizer() -> Callable[..., Any]:
    try:
        from scipy.optimize import minimize
    except ImportError as error:
        raise ImportError("lbfgs needs SciPy: pip install 'minnorm[lbfgs]'") from error
    function: Callable[..., Any] = minimize
    return function


def _search_constant(
    state: Search,
    minimize: Callable[..., Any],
    noises: list[Tensor],
    *,
    steps: int,
    constant: float,
) -> None:
    """Searches for the largest C with which the minimum is adversarial, for one sample."""
    clean = state.visit(state.origins)
    if bool(clean.adversarial):
        return
    scale = max(abs(float(state.margins(clean.logits))), _TINY)
    low, high = 0.0, np.inf
    limits = _limits(state)
    gradients = clean.pull_back(state.margin_direction(clean.logits))
    # Where there is no gradient, only another start can find one.
    length = 0.0 if bool(geometry.has_direction(gradients)) else 0.5
    for noise in noises:
        start = length * noise.double() / torch.linalg.vector_norm(noise.double())
        part = state.part()
        minimize(
            _Objective(part, constant, scale),
            start.flatten().cpu().numpy(),
            jac=True,
            method="L-BFGS-B",
            bounds=limits,
            options={"maxiter": steps, "ftol": 0.0, "gtol": 0.0},
        )
        found = part.result()
        state.absorb(found)
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


_TINY = 1e-12


class _Objective:
    """The function that is minimised: perturbations in double precision to value and gradient."""

    def __init__(self, state: Search, constant: float, scale: float) -> None:
        self._state = state
        self._constant = constant
        self._scale = scale

    def __call__(self, flat: Float64[np.ndarray, "n"]) -> tuple[float, Float64[np.ndarray, "n"]]:
        state = self._state
        given = torch.as_tensor(flat).to(state.origins).view_as(state.origins)
        visit = state.visit(state.points(given))
        # In double precision, in which what is nearly certain is not yet certain.
        logits = visit.logits.double() / self._scale
        chances = logits.log_softmax(1)
        label = state.labels.unsqueeze(1)
        sign = -1.0 if state.targeted else 1.0
        value = sign * float(chances.gather(1, label))
        direction = sign * (torch.zeros_like(chances).scatter_(1, label, 1.0) - chances.exp())
        gradients = visit.pull_back(direction.to(visit.logits.dtype)).double() / self._scale
        pull = gradients.flatten().cpu().numpy()
        # The library stops for good where it meets a NaN.
        total = self._constant * float(flat @ flat) + (value if np.isfinite(value) else 0.0)
        return total, 2 * self._constant * flat + np.nan_to_num(pull, posinf=0.0, neginf=0.0)


def _limits(state: Search) -> list[tuple[float, float]]:
    low, high = state.bounds
    origins = state.origins.double().flatten().cpu().numpy()
    lower, upper = (low - origins) / state.unit, (high - origins) / state.unit
    return list(zip(lower.tolist(), upper.tolist(), strict=True))
