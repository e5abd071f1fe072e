"""Algorithm 1 of the DDN paper, line by line, for one sample."""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy


def ddn_of_one_sample(
    model: Callable[[Tensor], Tensor],
    x: Tensor,
    y: int,
    *,
    targeted: bool,
    steps: int,
    gamma: float = 0.05,
    levels: int | None = None,
) -> tuple[list[Tensor], Tensor | None]:
    """Gives all points x_0 to x_K, and the closest adversarial among them if there is one."""
    m = -1 if targeted else +1  # line 2
    delta = torch.zeros_like(x)  # line 1
    epsilon = 1.0
    points = [x]
    for k in range(1, steps + 1):  # line 3
        alpha = 0.01 + (1 - 0.01) * (1 + math.cos(math.pi * (k - 1) / max(steps - 1, 1))) / 2
        g = m * _gradient(model, points[-1], y)  # line 4
        g = alpha * g / g.norm()  # line 5
        delta = delta + g  # line 6
        if _adversarial(model, points[-1], y, targeted):  # lines 7 to 11
            epsilon = (1 - gamma) * epsilon
        else:
            epsilon = (1 + gamma) * epsilon
        point = x + epsilon * delta / delta.norm()  # line 12
        point = point.clamp(0, 1)  # line 13, with the quantisation of section 3
        if levels is not None:
            point = (point * (levels - 1)).round() / (levels - 1)
        points.append(point)
        # The next step starts at the projected, clipped and quantised point (figure 3).
        delta = point - x
    found = [point for point in points if _adversarial(model, point, y, targeted)]  # line 15
    return points, min(found, key=lambda point: float((point - x).norm()), default=None)


def _gradient(model: Callable[[Tensor], Tensor], point: Tensor, y: int) -> Tensor:
    variable = point.clone().requires_grad_()
    loss = cross_entropy(model(variable[None]), torch.tensor([y]))
    loss.backward()  # type: ignore[no-untyped-call]
    assert variable.grad is not None
    return variable.grad


def _adversarial(model: Callable[[Tensor], Tensor], point: Tensor, y: int, targeted: bool) -> bool:
    predicted = int(model(point[None]).argmax())
    return predicted == y if targeted else predicted != y
