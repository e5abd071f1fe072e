"""Algorithm 3 of the SuperDeepFool paper, SDF(inf, 1), for one sample, all classes considered."""

import torch
from torch import Tensor

from reference.common import Classifier, gradient, is_adversarial, logits_of, margin
from reference.deepfool import deepfool_of_one_sample


def superdeepfool_of_one_sample(
    model: Classifier, x: Tensor, y: int, *, targeted: bool, steps: int, crossing_steps: int
) -> list[Tensor]:
    """Return the point after each projection, up to the first that is adversarial."""
    point, projected = x, []
    for _ in range(steps):
        if is_adversarial(model, point, y, targeted=targeted):
            break
        across = deepfool_of_one_sample(model, point, y, targeted=targeted, steps=crossing_steps)[
            -1
        ]
        w = gradient(lambda v: -margin(logits_of(model, v), y, targeted=targeted), across)
        w = w / w.norm()
        point = (point + torch.sum((across - x) * w) * w).clamp(0, 1)
        projected.append(point)
    return projected
