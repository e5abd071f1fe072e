"""DeepFool: its transcription."""

from typing import Any

import pytest
import torch

from attacks.gradient.stepwise import (
    SAMPLES,
    TARGETED,
    UNTARGETED,
    check_closest,
    check_same,
    one_sample,
    visited,
)
from minnorm.attacks import deepfool
from reference.deepfool import deepfool_of_one_sample


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 20, "norm": "l2", **UNTARGETED},
        {"steps": 20, "norm": "linf", **TARGETED},
        {"steps": 20, "candidates": 1, "overshoot": 0.0, "norm": "linf", **UNTARGETED},
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    settings = dict(settings)
    bounds = settings.pop("bounds")
    targeted, norm = settings["targeted"], settings["norm"]
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = deepfool_of_one_sample(model, x, y, **settings)
        found, result = visited(deepfool, model, x, y, bounds=bounds, **settings)
        # The sample leaves after certain steps only. Until then it stays where it is.
        check_same(found[: len(expected)], expected)
        assert all(torch.equal(point, found[len(expected) - 1]) for point in found[len(expected) :])
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)
