"""PGD (eq. 2, Madry et al.) and FGSM (eq. 4), for one sample, from the sample itself."""

from torch import Tensor
from torch.nn.functional import cross_entropy

from reference.common import Classifier, gradient


def pgd_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, norm: str, epsilon: float,
    steps: int, step_size: float,
) -> list[Tensor]:  # fmt: skip
    """Gives all points, from x on."""
    sign = -1 if targeted else 1
    points = [x]
    for _ in range(steps):
        g = sign * gradient(
            lambda v: cross_entropy(model(v[None]), x.new_tensor([y]).long()), points[-1]
        )
        step = g.sign() if norm == "linf" else g / g.norm()
        delta = points[-1] + step_size * step - x
        if norm == "linf":
            delta = delta.clamp(-epsilon, epsilon)
        elif delta.norm() > epsilon:
            delta = delta * epsilon / delta.norm()
        points.append((x + delta).clamp(0, 1))
    return points
