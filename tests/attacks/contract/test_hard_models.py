"""The contract on hard models: no gradients, NaN, saturated logits, and bounds of any width."""

from functools import partial

import pytest
import torch
from torch import Tensor

from attacks.cases import (
    GRADIENT_VARIANTS,
    PATIENT_VARIANTS,
    VARIANTS,
    Attack,
    Case,
    takes,
)
from attacks.hard_models import Constant, Flat, Guarded, InPlace, NotANumber, Poisoned
from attacks.networks import Linear, problem
from minnorm.attacks.engine.inset import InsetGradients
from minnorm.geometry import Norm

every_attack = pytest.mark.parametrize("name", VARIANTS)
patient_attacks = pytest.mark.parametrize("name", PATIENT_VARIANTS)


@every_attack
def test_an_impossible_goal_fails_with_the_original(attack: Attack) -> None:
    inputs = torch.rand(4, 3)
    for connected in (False, True):
        model = Constant(connected=connected).eval()
        result = attack(model, inputs, torch.zeros(4, dtype=torch.int64))
        assert not result.success.any()
        assert result.distances.isinf().all()
        assert torch.equal(result.adversarials, inputs)


@patient_attacks
def test_leaves_a_plateau_of_zero_gradients(attack: Attack, case: Case) -> None:
    generator = torch.Generator().manual_seed(0)
    inputs = 0.6 + torch.rand(50, 3, generator=generator) * 0.06
    result = attack(Flat().eval(), inputs, torch.zeros(50, dtype=torch.int64), **case.patient)
    assert result.success.all()


@pytest.mark.parametrize("name", [one for one in PATIENT_VARIANTS if one in GRADIENT_VARIANTS])
def test_survives_nan_gradients(attack: Attack, norm: Norm) -> None:
    model, inputs, labels = problem((20,))
    healthy = attack(model, inputs, labels)
    result = attack(Poisoned(model, len(inputs)).eval(), inputs, labels)
    assert torch.equal(result.adversarials[2:], healthy.adversarials[2:])
    assert result.success.all()
    # The box is 4.5 wide from corner to corner, in L2.
    slack = 1.0 if norm == "l2" else 0.3
    assert (result.distances[:2] < healthy.distances[:2] + slack).all()


@every_attack
def test_nan_logits_are_not_a_success(attack: Attack) -> None:
    inputs = torch.full((3, 4), 0.4)
    result = attack(NotANumber().eval(), inputs, torch.zeros(3, dtype=torch.int64))
    assert not result.success.any()
    assert result.adversarials.isfinite().all()


@every_attack
def test_saturated_logits_do_not_hide_the_boundary(attack: Attack, case: Case) -> None:
    model, inputs, labels = problem((20,), network=Linear)
    plain = attack(model, inputs, labels)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1e4)
    saturated = attack(model, inputs, labels)
    assert torch.equal(saturated.success, plain.success)
    if case.ignores_scale and not takes(attack, "epsilon"):
        assert (saturated.distances[plain.success] < 1.05 * plain.distances[plain.success]).all()


@every_attack
def test_bounds_only_scale_the_problem(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    plain = attack(model, inputs, labels)
    assert isinstance(attack, partial)
    for low, high in [(-1.0, 1.0), (0.0, 255.0), (-3.0, -2.5)]:
        width = high - low

        def scaled_model(scaled: Tensor, low: float = low, width: float = width) -> Tensor:
            logits: Tensor = model((scaled - low) / width)
            return logits

        radius = {"epsilon": attack.keywords["epsilon"] * width} if takes(attack, "epsilon") else {}
        scaled = attack(scaled_model, low + width * inputs, labels, bounds=(low, high), **radius)
        assert scaled.adversarials.min() >= low
        assert scaled.adversarials.max() <= high
        assert torch.allclose(scaled.distances, width * plain.distances, rtol=1e-6)


@every_attack
def test_shifting_a_lower_bound_only_shifts_the_problem(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4), dtype=torch.float64)
    plain = attack(model, inputs, labels, bounds=(0.0, torch.inf))
    shifted = attack(lambda x: model(x - 3), inputs + 3, labels, bounds=(3.0, torch.inf))
    assert torch.allclose(shifted.distances, plain.distances, rtol=1e-6)


@every_attack
def test_infinite_bounds(attack: Attack, case: Case) -> None:
    model, inputs, _ = problem((20,), network=Linear)
    infinite = (-torch.inf, torch.inf)
    radius = {"epsilon": 50.0} if takes(attack, "epsilon") else {}
    labels = model(10 * inputs - 5).argmax(1)
    result = attack(model, 10 * inputs - 5, labels, bounds=infinite, **radius)
    assert result.success.all() or not case.many_gradients
    assert result.adversarials.isfinite().all()


@every_attack
def test_a_model_may_work_in_place(attack: Attack) -> None:
    model, inputs, labels = problem((20,))
    plain = attack(model, inputs, labels)
    given = inputs.clone()
    found = attack(InPlace(model).eval(), inputs, labels)
    assert torch.equal(inputs, given)
    assert torch.equal(found.success, plain.success)
    assert torch.allclose(found.distances, plain.distances, rtol=1e-2)


@pytest.mark.parametrize("name", GRADIENT_VARIANTS)
@pytest.mark.parametrize(("guard", "targeted"), [("clamp", False), ("root", True)])
@pytest.mark.filterwarnings("ignore:The model.s gradients are zero or not finite")
@pytest.mark.slow
def test_gradients_lost_at_the_bounds_are_found_inside(
    attack: Attack, guard: str, targeted: bool
) -> None:
    model, inputs, labels = problem((40,), batch=20)
    inputs = torch.where(inputs < 0.4, 0.0, torch.where(inputs > 0.6, 1.0, inputs))
    labels = model(inputs).argmax(1)
    labels = (labels + 1) % 5 if targeted else labels
    plain = attack(model, inputs, labels, targeted=targeted)
    found = attack(Guarded(model, guard).eval(), inputs, labels, targeted=targeted)
    assert found.success.sum() >= plain.success.sum() - 1
    both = found.success & plain.success
    assert found.distances[both].mean() <= 1.02 * plain.distances[both].mean()


@pytest.mark.parametrize("name", ["ddn", "pgd"])
def test_misclassified_inputs_stay_at_distance_zero_where_gradients_are_lost(
    attack: Attack,
) -> None:
    model, inputs, _ = problem((20,))
    inputs = inputs.round()
    wrong = (model(inputs).argmax(1) + 1) % 5
    guarded = InsetGradients(Guarded(model, "clamp").eval(), (0.0, 1.0))
    result = attack(guarded, inputs, wrong)
    assert torch.equal(result.adversarials, inputs)
    assert (result.distances == 0).all()
    assert result.success.all()
