"""Eq. 3 by L-BFGS-B, and its search for the constant, for one sample."""

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of, margin


def lbfgs_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, searches: int, steps: int,
    initial_constant: float = 0.01,
) -> list[Tensor]:  # fmt: skip
    """Return all points, from x on.

    The logits are divided by the margin of x: a rule of the attack.
    """
    sign = -1 if targeted else 1
    scale = abs(float(margin(logits_of(model, x), y, targeted=targeted).detach()))
    visited = [x]
    c, low, high = initial_constant, 0.0, float("inf")
    for _ in range(searches):
        first = len(visited)

        def loss(point: Tensor, c: float = c) -> Tensor:
            log_chance = (logits_of(model, point) / scale).log_softmax(0)[y]
            return c * ((point - x) ** 2).sum() + sign * log_chance

        def objective(flat: np.ndarray, loss: object = loss) -> tuple[float, np.ndarray]:
            point = x + torch.as_tensor(flat).view_as(x)
            visited.append(point)
            assert callable(loss)
            return float(loss(point).detach()), gradient(loss, point).flatten().numpy()

        limits = [(-float(entry), 1 - float(entry)) for entry in x.flatten()]
        options = {"maxiter": steps, "ftol": 0.0, "gtol": 0.0}
        start = np.zeros(x.numel())
        minimize(objective, start, jac=True, method="L-BFGS-B", bounds=limits, options=options)
        if any(is_adversarial(model, point, y, targeted=targeted) for point in visited[first:]):
            low = c
        else:
            high = c
        if low == 0:
            c = c / 10
        elif high == float("inf"):
            c = c * 10
        else:
            c = (low * high) ** 0.5
    return visited
