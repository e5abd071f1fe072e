"""The FAB paper's iteration, for one sample: projections by bisection."""

from torch import Tensor

from reference.common import Classifier, is_adversarial, logits_of
from reference.deepfool import nearest_boundary, rivals_of


def project_onto_plane(point: Tensor, w: Tensor, b: float, norm: str) -> Tensor:
    """Return the point of the box on the plane `w . z = b` that is nearest in the norm.

    The step is `clip(t * direction)` for the least t that reaches the plane (KKT); where the box
    does not reach it, the corner that comes nearest.
    """
    gap = b - float((w * point).sum())
    direction = w if gap >= 0 else -w
    if norm == "linf":
        direction = direction.sign()

    def moved(t: float) -> Tensor:
        return (point + t * direction).clamp(0, 1)

    least, most = 0.0, 1.0
    for _ in range(60):
        if abs(float((w * (moved(most) - point)).sum())) < abs(gap):
            most *= 2
    for _ in range(200):
        middle = (least + most) / 2
        short = abs(float((w * (moved(middle) - point)).sum())) < abs(gap)
        least, most = (middle, most) if short else (least, middle)
    return moved(most)


def fab_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, norm: str, steps: int,
    overshoot: float = 0.05, largest_share: float = 0.1, backstep: float = 0.9,
) -> list[Tensor]:  # fmt: skip
    """Return the points that the iteration evaluates, without x and before they move back."""
    order = 2 if norm == "l2" else float("inf")
    dual = 2 if norm == "l2" else 1
    eta = 1 + overshoot
    current, evaluated = x, []
    for _ in range(steps):
        pairs = rivals_of(logits_of(model, current), y, targeted=targeted)
        w, gap = nearest_boundary(model, current, pairs, dual)
        b = float((w * current).sum()) + gap
        d1 = project_onto_plane(current, w, b, norm) - current
        d2 = project_onto_plane(x, w, b, norm) - x
        near, far = float(d1.norm(p=order)), float(d2.norm(p=order))
        alpha = min(near / (near + far), largest_share) if near + far > 0 else 0.0
        current = ((1 - alpha) * (current + eta * d1) + alpha * (x + eta * d2)).clamp(0, 1)
        evaluated.append(current)
        if is_adversarial(model, current, y, targeted=targeted):
            current = (x + backstep * (current - x)).clamp(0, 1)
    return evaluated
