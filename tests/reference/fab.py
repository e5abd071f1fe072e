"""The FAB paper's iteration, for one sample: projections by bisection, all classes considered."""

from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of


def project(point: Tensor, w: Tensor, b: float, norm: str) -> Tensor:
    """Gives the point of the box on the plane `w . z = b` that is nearest in the norm.

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
    model: Classifier, x: Tensor, y: int, *, norm: str, steps: int
) -> list[Tensor]:
    """Gives the points that the iteration begins with x, and those that it judges."""
    order = 2 if norm == "l2" else float("inf")
    dual = 2 if norm == "l2" else 1
    current, judged = x, []
    for _ in range(steps):
        logits = logits_of(model, current)
        planes = []
        for k in range(len(logits)):
            if k == y:
                continue
            w = gradient(lambda v, k=k: logits_of(model, v)[k] - logits_of(model, v)[y], current)  # type: ignore[misc]
            difference = float(logits[k] - logits[y])
            planes.append((abs(difference) / float(w.norm(p=dual)), w, difference))
        _, w, difference = min(planes, key=lambda plane: plane[0])
        b = float((w * current).sum()) - difference
        d1 = project(current, w, b, norm) - current
        d2 = project(x, w, b, norm) - x
        near, far = float(d1.norm(p=order)), float(d2.norm(p=order))
        alpha = min(near / (near + far), 0.1) if near + far > 0 else 0.0
        current = ((1 - alpha) * (current + 1.05 * d1) + alpha * (x + 1.05 * d2)).clamp(0, 1)
        judged.append(current)
        if is_adversarial(model, current, y, targeted=False):
            current = (x + 0.9 * (current - x)).clamp(0, 1)
    return judged
