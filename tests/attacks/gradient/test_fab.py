"""FAB: its transcription, its single targets, and rises that the box cannot hold."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.gradient.stepwise import (
    SAMPLES,
    TARGETED,
    UNTARGETED,
    check_closest,
    check_same,
    one_sample,
    visited,
)
from attacks.networks import problem
from minnorm.attacks import fab
from minnorm.evaluation.running.judge import CountingModel
from reference.fab import fab_of_one_sample


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 10, "norm": "l2", **UNTARGETED},
        {"steps": 10, "norm": "linf", **UNTARGETED},
        {
            "steps": 6,
            "overshoot": 0.2,
            "largest_share": 0.5,
            "backstep": 0.6,
            "norm": "l2",
            **TARGETED,
        },
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    settings = dict(settings)
    bounds = settings.pop("bounds")
    targeted, norm = settings["targeted"], settings["norm"]
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = fab_of_one_sample(model, x, y, **settings)
        found, result = visited(fab, model, x, y, bounds=bounds, **settings)
        # It also evaluates the point from which each step begins.
        check_same(found[2::2], expected)
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)


def test_one_by_one_it_goes_to_each_rival_separately() -> None:
    model, inputs, labels = problem((20,), batch=50)
    together, alone = CountingModel(model), CountingModel(model)
    fab(together, inputs, labels, steps=5)
    fab(alone, inputs, labels, steps=5, one_by_one=True)
    # As many gradients. But each needs a forward pass, and each rival has points of its own.
    assert alone.backwards == together.backwards
    assert alone.forwards > 2 * together.forwards


def test_points_stay_finite_where_the_box_cannot_hold_a_rise() -> None:
    def nearly_flat(points: Tensor) -> Tensor:
        rise = points[:, 0] + 1e-20 * points[:, 1] + 0.5 * points[:, 3]
        return torch.stack([torch.full_like(rise, 10.0), rise.clamp_max(1e3)], dim=1)

    def strict(points: Tensor) -> Tensor:
        assert points.isfinite().all()
        return nearly_flat(points)

    found = fab(strict, torch.full((2, 4), 0.5), torch.tensor([0, 0]), steps=10)
    assert not found.success.any()
