"""FMN: its transcription, and its own rules for the radius."""

import inspect
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.gradient.models import Tied
from attacks.gradient.stepwise import (
    TARGETED,
    UNTARGETED,
    check_closest,
    check_same,
    check_transcription,
    one_sample,
    visited,
)
from attacks.networks import Linear, Recorded, problem
from minnorm.acceleration import Accelerated
from minnorm.attacks import fmn
from minnorm.geometry import Norm
from reference.fmn import fmn_of_one_sample


@pytest.mark.parametrize(
    "settings",
    [
        {"steps": 30, "norm": "l2", **UNTARGETED},
        {"steps": 30, "norm": "linf", **TARGETED},
        {"steps": 12, "step_size": 0.1, "gamma": 0.3, "norm": "l2", **TARGETED},
        {"steps": 12, "step_size": 0.1, "gamma": 0.3, "norm": "linf", **UNTARGETED},
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    check_transcription(fmn, fmn_of_one_sample, **settings)


@pytest.mark.parametrize(("index", "norm"), [(0, "l2"), (1, "linf")])
def test_transcription_from_a_start(index: int, norm: Norm) -> None:
    model, x, y = one_sample(index, targeted=False)
    start = (x + 0.3).clamp(0, 1)
    settings: dict[str, Any] = {"steps": 12, "norm": norm}
    expected = fmn_of_one_sample(model, x, y, start=start, **settings)
    found, result = visited(fmn, model, x, y, bounds=(-1.0, 3.0), starts=start, **settings)
    check_same(found, [x, *expected])
    check_closest(result, model, expected, x, y, targeted=False, norm=norm)


def test_the_defaults_are_those_of_the_paper() -> None:
    model, inputs, labels = problem((20,), batch=2)
    given = fmn(model, inputs, labels, norm="l2", steps=100, step_size=1.0, gamma=0.05)
    assert torch.equal(fmn(model, inputs, labels).adversarials, given.adversarials)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_the_radius_grows_where_the_bounds_clip_much(classes: int) -> None:
    model, inputs, labels = problem((20,), batch=100, classes=classes, network=Linear)
    assert fmn(model, inputs, labels).success.all()


def test_the_transcription_agrees_where_the_bounds_clip_much() -> None:
    check_transcription(
        fmn, fmn_of_one_sample, targeted=False, classes=10, network=Linear, steps=20, gamma=0.02
    )


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_leaves_an_input_at_which_two_classes_tie(dtype: torch.dtype, norm: Norm) -> None:
    inputs = torch.full((1, 4), 0.25, dtype=dtype)
    found = fmn(Tied().eval(), inputs, torch.tensor([0]), norm=norm)
    assert found.success.all()
    assert found.distances.item() < 0.1


def test_leaves_a_plateau_on_which_two_classes_tie() -> None:
    def plateau(points: Tensor) -> Tensor:
        beyond = torch.relu((points - 0.5).abs().sum(1) - 0.2)
        return torch.stack([0 * beyond, beyond], 1)

    assert fmn(plateau, torch.full((1, 2), 0.5), torch.tensor([0])).success.all()


def test_forgets_what_a_coarse_classifier_found_when_the_exact_one_takes_over() -> None:
    def threshold(points: Tensor, at: float) -> Tensor:
        rise = points.sum(1) - at
        return torch.stack([torch.zeros_like(rise), rise], dim=1)

    def exact(points: Tensor) -> Tensor:
        return threshold(points, 3.5)

    def coarse(points: Tensor) -> Tensor:
        return threshold(points, 0.5)

    inputs, labels = torch.full((1, 4), 0.1), torch.tensor([0])
    recorded = Recorded(coarse)
    accelerated = Accelerated(exact, exact, recorded, "", ())
    # In the last 6 of 30 steps the radius of the coarse boundary would grow by 1.05**6 at most.
    found = fmn(accelerated, inputs, labels, steps=30, step_size=20.0)
    assert found.distances.item() == pytest.approx(3.1 / 2, rel=0.02)
    # The exact classifier answers the first step, and from 80 % on.
    assert len(recorded.batches) == 23


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("steps=0", {"steps": 0}),
        ("step_size=0", {"step_size": 0}),
        ("gamma=0", {"gamma": 0}),
        ("gamma=1", {"gamma": 1}),
        ("norm='l1'", {"norm": "l1"}),
        ("starts", {"starts": torch.zeros(3, 3)}),
    ],
)
def test_bad_parameters_are_refused(message: str, arguments: dict[str, Any]) -> None:
    model, inputs, labels = problem((20,))
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(fmn)(model, inputs, labels, **arguments)
