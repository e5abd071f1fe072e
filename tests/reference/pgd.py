"""PGD (eq. 2, Madry et al.) and FGSM (eq. 4), for one sample, from the sample itself."""

from torch import Tensor

from reference.common import Classifier, gradient, loss_of, project, steepest


def pgd_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, norm: str, epsilon: float,
    steps: int, step_size: float,
) -> list[Tensor]:  # fmt: skip
    """Return all points, from x on."""
    sign = -1 if targeted else 1
    points = [x]
    for _ in range(steps):
        g = sign * gradient(lambda v: loss_of(model, v, y), points[-1])
        delta = points[-1] + step_size * steepest(g, norm) - x
        points.append((x + project(delta, epsilon, norm)).clamp(0, 1))
    return points
