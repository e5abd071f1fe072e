"""Algorithm 2 of the DeepFool paper, for one sample, all classes considered."""

import torch
from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of


def deepfool_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, norm: str, steps: int, overshoot: float = 0.02
) -> list[Tensor]:
    """Gives the points x_0, x_1, ... up to the first that is misclassified."""
    points = [x]
    for _ in range(steps):
        if is_adversarial(model, points[-1], y, targeted=False):
            break
        logits = logits_of(model, points[-1])
        best, best_distance = torch.zeros_like(x), float("inf")
        for k in range(len(logits)):
            if k == y:
                continue
            w = gradient(lambda v, k=k: logits_of(model, v)[k] - logits_of(model, v)[y], points[-1])  # type: ignore[misc]
            f = float((logits[y] - logits[k]).detach())
            distance = f / float(w.norm() if norm == "l2" else w.abs().sum())
            if distance < best_distance:
                best_distance = distance
                direction = w / w.norm() if norm == "l2" else w.sign()
                best = (distance + 1e-4) * direction
        points.append((points[-1] + (1 + overshoot) * best).clamp(0, 1))
    return points
