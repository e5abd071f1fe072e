"""The contract of `levels`: every attack can round to a grid, and its result is on it."""

import pytest
import torch

from attacks.agreement import check_agreement
from attacks.cases import RADIUS_VARIANTS, VARIANTS, Attack, Case, takes
from attacks.networks import Linear, problem
from minnorm.boxes import quantize
from minnorm.geometry import Norm, distances

BOUNDS = (0.0, 1.0)


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("levels", "targeted"), [(256, False), (256, True), (16, False)])
def test_results_are_on_the_levels(
    attack: Attack, case: Case, norm: Norm, levels: int, targeted: bool
) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=30)
    inputs = quantize(inputs, levels, BOUNDS)
    labels = model(inputs).argmax(1)
    wanted = (labels + 1) % 5 if targeted else labels
    result = attack(model, inputs, wanted, targeted=targeted, levels=levels)
    check_agreement(result, model, inputs, wanted, norm, targeted=targeted)
    assert torch.equal(quantize(result.adversarials, levels, BOUNDS), result.adversarials)
    if case.many_gradients and not takes(attack, "epsilon"):
        assert result.success.float().mean() >= 0.9


@pytest.mark.parametrize("name", VARIANTS)
def test_many_levels_cost_little(attack: Attack, case: Case) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=30, network=Linear)
    inputs = quantize(inputs, 2**14, BOUNDS)
    labels = model(inputs).argmax(1)
    plain, fine = (attack(model, inputs, labels, levels=levels) for levels in (None, 2**14))
    assert torch.equal(plain.success, fine.success) or not case.many_gradients
    both = plain.success & fine.success
    most = max(1.05, case.slack)
    assert fine.distances[both].median() <= most * plain.distances[both].median()


@pytest.mark.parametrize("name", VARIANTS)
def test_misclassified_inputs_are_rounded_if_they_stay_misclassified(
    attack: Attack, norm: Norm
) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=20)
    wrong = (labels + 1) % 5
    rounded = quantize(inputs, 8, BOUNDS)
    stays = model(rounded).argmax(1) != wrong
    assert stays.any()
    assert not stays.all()
    result = attack(model, inputs, wrong, levels=8)
    assert result.success.all()
    assert torch.equal(result.adversarials[stays], rounded[stays])
    assert torch.equal(result.adversarials[~stays], inputs[~stays])
    assert torch.allclose(result.distances, distances(result.adversarials, inputs, norm))


@pytest.mark.parametrize("name", RADIUS_VARIANTS)
def test_misclassified_inputs_are_not_rounded_out_of_the_radius(attack: Attack, norm: Norm) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=20)
    result = attack(model, inputs, (labels + 1) % 5, levels=8, epsilon=0.02)
    assert result.success.all()
    assert (distances(result.adversarials, inputs, norm) <= 0.02).all()
    assert torch.equal(result.adversarials, inputs)


@pytest.mark.parametrize("name", RADIUS_VARIANTS)
def test_rounding_keeps_adversarials_within_the_radius(attack: Attack, norm: Norm) -> None:
    model, inputs, labels = problem((1, 8, 8), batch=50)
    inputs = quantize(inputs, 256, BOUNDS)
    labels = model(inputs).argmax(1)
    # On the grid, between two levels, and so large that many samples are found.
    for epsilon in (24 / 255, 24.6 / 255, 0.7):
        result = attack(model, inputs, labels, epsilon=epsilon, levels=256)
        plain = attack(model, inputs, labels, epsilon=epsilon)
        found = distances(result.adversarials, inputs, norm)[result.success]
        assert (found <= epsilon * (1 + 1e-5)).all()
        assert result.success.sum() >= 0.6 * plain.success.sum()
        assert result.success.any() or not plain.success.any()
