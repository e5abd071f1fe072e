"""Algorithm 2 of the DeepFool paper, for one sample."""

from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of, steepest


def rivals_of(
    logits: Tensor, y: int, *, targeted: bool = False, candidates: int | None = None
) -> list[tuple[int, int]]:
    """Return the pairs of classes, from and to, between which boundaries are considered.

    Untargeted: from y to the most likely other classes, by default to all of them. Targeted: from
    the most likely other class to y.
    """
    others = [int(j) for j in logits.argsort(descending=True) if int(j) != y]
    return [(others[0], y)] if targeted else [(y, j) for j in others[:candidates]]


def nearest_boundary(
    model: Classifier, point: Tensor, pairs: list[tuple[int, int]], dual: int
) -> tuple[Tensor, float]:
    """Return the gradient, and the gap, of the nearest boundary in the linear model at a point."""
    logits = logits_of(model, point)
    planes = []
    for one, other in pairs:

        def rise(v: Tensor, one: int = one, other: int = other) -> Tensor:
            return logits_of(model, v)[other] - logits_of(model, v)[one]

        planes.append((gradient(rise, point), float((logits[one] - logits[other]).detach())))
    return min(planes, key=lambda plane: abs(plane[1]) / float(plane[0].norm(p=dual)))


def deepfool_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool = False, norm: str = "l2", steps: int,
    overshoot: float = 0.02, candidates: int | None = None,
) -> list[Tensor]:  # fmt: skip
    """Return the points x_0, x_1, ... up to the first that is adversarial."""
    dual = 2 if norm == "l2" else 1
    points = [x]
    pairs = rivals_of(logits_of(model, x), y, targeted=targeted, candidates=candidates)
    for _ in range(steps):
        if is_adversarial(model, points[-1], y, targeted=targeted):
            break
        if targeted:
            pairs = rivals_of(logits_of(model, points[-1]), y, targeted=True)
        w, gap = nearest_boundary(model, points[-1], pairs, dual)
        step = (gap / float(w.norm(p=dual)) + 1e-4) * steepest(w, norm)
        points.append((points[-1] + (1 + overshoot) * step).clamp(0, 1))
    return points
