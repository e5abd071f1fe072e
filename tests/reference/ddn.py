"""Algorithm 1 of the DDN paper, line by line, for one sample."""

from torch import Tensor

from reference.common import (
    Classifier,
    cosine,
    farthest_corner,
    gradient,
    is_adversarial,
    loss_of,
)


def ddn_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool = False, steps: int,
    initial_norm: float = 1.0, gamma: float = 0.05, step_size: float = 1.0,
    levels: int | None = None, start: Tensor | None = None,
) -> list[Tensor]:  # fmt: skip
    """Return all points x_0 to x_K; x_0 is the start, or else x.

    The radius does not grow beyond the farthest corner of the box: a rule of the attack.
    """
    m = -1 if targeted else +1  # line 2
    points = [x if start is None else start]
    delta = points[0] - x  # line 1
    epsilon = float(delta.norm()) or initial_norm
    for k in range(1, steps + 1):  # line 3
        alpha = step_size * cosine(1.0, 0.01, k - 1, steps)
        g = m * gradient(lambda v: loss_of(model, v, y), points[-1])  # line 4
        g = alpha * g / g.norm()  # line 5
        delta = delta + g  # line 6
        if is_adversarial(model, points[-1], y, targeted=targeted):  # lines 7 to 11
            epsilon = (1 - gamma) * epsilon
        else:
            epsilon = min((1 + gamma) * epsilon, farthest_corner(x))
        point = x + epsilon * delta / delta.norm()  # line 12
        point = point.clamp(0, 1)  # line 13, with the quantization of section 3
        if levels is not None:
            point = (point * (levels - 1)).round() / (levels - 1)
        points.append(point)
        # The next step starts at the projected, clipped and quantized point (figure 3).
        delta = point - x
    return points
