"""Masks, and bounds of each feature, beyond single attacks: combinations, acceleration, default."""

from functools import partial

import numpy as np
import pytest
import torch
from torch import Generator, Tensor

import minnorm
from attacks.cases import Attack
from attacks.networks import problem
from minnorm.acceleration import Accelerated
from minnorm.attacks import (
    AttackResult,
    Model,
    bounded,
    ddn,
    fmn,
    normal_pursuit,
    with_bisection,
    with_restarts,
    worst_case,
)
from minnorm.attacks.engine.inset import InsetGradients, loses_gradients
from minnorm.boxes import Bounds, masked
from minnorm.errors import InputError

MASK = torch.arange(20) % 3 != 0


def without_mask(
    model: Model,
    inputs: Tensor,
    labels: Tensor,
    *,
    targeted: bool = False,
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Attack as a user's function that knows tensors as bounds, but no mask."""
    noise = torch.randn(inputs.shape, generator=generator, dtype=inputs.dtype)
    points = (inputs + 2 * noise).clamp(*bounds)  # type: ignore[arg-type]
    success = (model(points).argmax(1) == labels) == targeted
    points = torch.where(success.unsqueeze(1), points, inputs)
    distances = (points - inputs).norm(dim=1)
    return AttackResult(points, distances.where(success, torch.inf), success)


SHORT = partial(ddn, steps=15)
COMBINED: dict[str, Attack] = {
    "worst_case": worst_case([SHORT, without_mask]),
    "with_restarts": with_restarts(SHORT, 3),
    "with_bisection": with_bisection(without_mask, 5),
    "bounded": bounded(without_mask, 0.8),
}


@pytest.mark.parametrize("attack", COMBINED.values(), ids=COMBINED)
@pytest.mark.parametrize("bounds", [(0.0, 1.0), (torch.zeros(20), torch.linspace(1, 2, 20))])
def test_combinations_leave_masked_features(attack: Attack, bounds: Bounds) -> None:
    model, inputs, labels = problem((20,), batch=6)
    result = attack(model, inputs, labels, bounds=bounds, mask=MASK)
    assert torch.equal(result.adversarials[:, ~MASK], inputs[:, ~MASK])
    assert (result.adversarials <= torch.as_tensor(bounds[1])).all()
    assert result.success.any()


def test_combinations_refuse_a_bad_mask() -> None:
    model, inputs, labels = problem((20,), batch=2)
    for attack in COMBINED.values():
        with pytest.raises(InputError, match=r"the mask has shape \[3\]"):
            attack(model, inputs, labels, mask=torch.ones(3, dtype=torch.bool))


@pytest.mark.parametrize("attack", [SHORT, fmn, partial(normal_pursuit, budget=40)])
def test_an_accelerated_search_leaves_masked_features(attack: Attack) -> None:
    model, inputs, labels = problem((20,), batch=6)

    def coarse(points: Tensor) -> Tensor:
        logits: Tensor = model(points)
        return logits + 0.05 * torch.sin(40 * points[:, :5])

    accelerated = Accelerated(model, lambda points: model(points) + 1e-3, coarse, "by hand", ())
    result = attack(accelerated, inputs, labels, mask=MASK)
    assert torch.equal(result.adversarials[:, ~MASK], inputs[:, ~MASK])
    assert torch.equal(model(result.adversarials).argmax(1) != labels, result.success)
    assert result.success.all()


@pytest.mark.parametrize("attack", [SHORT, partial(normal_pursuit, budget=40)])
def test_gradients_inside_the_bounds_leave_masked_features(attack: Attack) -> None:
    model, inputs, _ = problem((20,), batch=6)
    inputs = inputs.round()

    def clamped(points: Tensor) -> Tensor:
        logits: Tensor = model(points.clamp(0, 1))
        return logits

    labels = clamped(inputs).argmax(1)
    box = masked((0.0, 1.0), inputs, MASK)
    assert loses_gradients(clamped, inputs, box)
    result = attack(InsetGradients(clamped, (0.0, 1.0)), inputs, labels, mask=MASK)
    assert torch.equal(result.adversarials[:, ~MASK], inputs[:, ~MASK])
    assert result.success.all()


def test_gradients_at_masked_features_do_not_count_as_lost() -> None:
    model, inputs, _ = problem((20,), batch=6)
    inputs = torch.where(MASK, inputs.clamp(0.2, 0.8), inputs.round())

    def clamped_there(points: Tensor) -> Tensor:
        logits: Tensor = model(torch.where(MASK, points, points.clamp(0, 1)))
        return logits

    assert loses_gradients(clamped_there, inputs, (0.0, 1.0))
    assert not loses_gradients(clamped_there, inputs, masked((0.0, 1.0), inputs, MASK))


def test_the_default_attack_takes_arrays() -> None:
    model, inputs, labels = problem((20,), batch=6)
    low, high = np.zeros(20, np.float32), np.linspace(1, 2, 20)
    arrays = minnorm.attack(
        model, inputs.numpy(), labels.numpy(), budget=20, bounds=(low, high), mask=MASK.numpy()
    )
    box = torch.from_numpy(low), torch.from_numpy(high)
    tensors = normal_pursuit(model, inputs, labels, budget=20, bounds=box, mask=MASK)
    assert torch.equal(arrays.adversarials, tensors.adversarials)
    with pytest.raises(InputError, match="expected a boolean"):
        minnorm.attack(model, inputs, labels, mask=MASK.int())
    with pytest.raises(InputError, match=r"inputs are outside the bounds in \d+ values, for exam"):
        minnorm.attack(model, inputs, labels, bounds=(0.5 * high, high))


def test_a_start_may_differ_where_the_mask_is_false() -> None:
    model, inputs, labels = problem((20,), batch=6)
    found = ddn(model, inputs, labels, steps=20)
    result = ddn(model, inputs, labels, steps=1, starts=found.adversarials, mask=MASK)
    assert torch.equal(result.adversarials[:, ~MASK], inputs[:, ~MASK])


def test_levels_need_finite_bounds_where_features_can_change() -> None:
    model, inputs, labels = problem((20,), batch=6)
    high = torch.where(MASK, 1.0, torch.inf)
    assert ddn(model, inputs, labels, levels=9, bounds=(0.0, high), mask=MASK).success.any()
    with pytest.raises(InputError, match="levels=9 needs finite bounds, not infinite ones"):
        ddn(model, inputs, labels, levels=9, bounds=(0.0, high))
