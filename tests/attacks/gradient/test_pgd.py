"""PGD: its transcription, its random start and its step size."""

from typing import Any

import torch

from attacks.gradient.stepwise import (
    SAMPLES,
    check_closest,
    check_same,
    in_each_norm,
    one_sample,
    visited,
)
from attacks.networks import Recorded, problem
from minnorm.attacks import pgd
from reference.pgd import pgd_of_one_sample


@in_each_norm
def test_transcription(settings: dict[str, Any]) -> None:
    norm, targeted, bounds = (settings[name] for name in ("norm", "targeted", "bounds"))
    width = bounds[1] - bounds[0]
    epsilon, step_size = 0.6 if norm == "l2" else 0.2, 0.1
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected = pgd_of_one_sample(
            model,
            x,
            y,
            targeted=targeted,
            norm=norm,
            epsilon=epsilon,
            steps=12,
            step_size=step_size,
        )
        found, result = visited(
            pgd,
            model,
            x,
            y,
            epsilon=epsilon * width,
            steps=12,
            step_size=step_size * width,
            random_start=False,
            **settings,
        )
        # A sample leaves once an adversarial has been found.
        assert len(found) == len(expected) or result.success
        expected = expected[: len(found)]
        check_same(found, expected)
        check_closest(result, model, expected, x, y, targeted=targeted, norm=norm)


def test_each_restart_begins_at_another_random_point_of_the_ball() -> None:
    model, inputs, labels = problem((20,), batch=1, dtype=torch.float64)
    recorded = Recorded(model)
    # The steps are too short to find anything or to leave the ball.
    settings: dict[str, Any] = {"epsilon": 1e-3, "steps": 2, "step_size": 1e-9}
    pgd(recorded, inputs, labels, restarts=3, **settings)
    points = torch.cat(recorded.batches)
    assert torch.equal(points[0], inputs[0])
    lengths = (points[1:] - inputs).norm(dim=1)
    assert len(lengths) == 9
    assert ((lengths > 1e-4) & (lengths <= 1e-3)).all()
    starts = points[1::3]
    assert (torch.pdist(starts) > 1e-4).all()


def test_with_the_default_step_size_every_point_of_the_ball_can_be_reached() -> None:
    model, inputs, labels = problem((20,), batch=5)
    default = pgd(model, inputs, labels, epsilon=1.0, steps=10)
    given = pgd(model, inputs, labels, epsilon=1.0, steps=10, step_size=0.25)
    assert default.success.any()
    assert torch.equal(default.adversarials, given.adversarials)
