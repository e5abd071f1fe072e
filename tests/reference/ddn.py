"""Algorithm 1 of the DDN paper, line by line, for one sample."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from reference.common import cosine, gradient, is_adversarial


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
        alpha = cosine(1.0, 0.01, k - 1, steps)
        # Line 4:
        g = m * gradient(lambda v: cross_entropy(model(v[None]), torch.tensor([y])), points[-1])
        g = alpha * g / g.norm()  # line 5
        delta = delta + g  # line 6
        if is_adversarial(model, points[-1], y, targeted=targeted):  # lines 7 to 11
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
    # Line 15:
    found = [point for point in points if is_adversarial(model, point, y, targeted=targeted)]
    return points, min(found, key=lambda point: float((point - x).norm()), default=None)
