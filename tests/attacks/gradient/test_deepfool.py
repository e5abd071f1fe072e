"""DeepFool: its transcription."""

from typing import Any

import pytest
import torch

from attacks.gradient.stepwise import (
    SAMPLES,
    check_closest,
    check_same,
    each_norm_and_box,
    one_sample,
    visited,
)
from minnorm.attacks import deepfool
from minnorm.geometry import Bounds, Norm
from reference.deepfool import deepfool_of_one_sample


@each_norm_and_box
@pytest.mark.parametrize(
    "settings", [{"steps": 20}, {"steps": 20, "candidates": 1, "overshoot": 0.0}], ids=str
)
def test_transcription(
    settings: dict[str, Any], *, norm: Norm, targeted: bool, bounds: Bounds
) -> None:
    settings = {"norm": norm, "targeted": targeted, **settings}
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = deepfool_of_one_sample(model, x, y, **settings)
        found, result = visited(deepfool, model, x, y, bounds=bounds, **settings)
        # The sample leaves after certain steps only. Until then it stays where it is.
        check_same(found[: len(expected)], expected)
        assert all(torch.equal(point, found[len(expected) - 1]) for point in found[len(expected) :])
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)
