"""Score pursuit: its budget, the optimum of linear models, scores that jump, and starts."""

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from minnorm.attacks import score_pursuit, square_min_norm
from minnorm.attacks.engine.queries.steps import boundary_weights
from minnorm.evaluation.running.judge import CountingModel
from minnorm.geometry import Norm, distances, dual_norms


@pytest.mark.parametrize("budget", [2, 3, 20, 100])
@pytest.mark.parametrize("levels", [None, 64])
def test_no_sample_costs_more_than_its_budget(budget: int, levels: int | None) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=6)
    for scores in (model, lambda points: model(points).round(), lambda points: 0 * model(points)):
        counted = CountingModel(scores)
        score_pursuit(counted, inputs, labels, budget=budget, levels=levels)
        assert counted.backwards == 0
        assert counted.forwards <= budget * 6
        assert counted.forwards >= (budget - 1) * 6 or scores is not model


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("shape", [(20,), (1, 6, 6), (3, 4, 4)])
def test_a_linear_model_takes_a_query_for_each_feature(norm: Norm, shape: tuple[int, ...]) -> None:
    model, inputs, _ = problem(shape, network=Linear, batch=6)
    labels = model(inputs).argmax(1)
    box = (-torch.inf, torch.inf)
    budget = inputs[0].numel() + 30
    found = score_pursuit(model, inputs, labels, budget=budget, norm=norm, bounds=box)
    logits = model(inputs).detach()
    gaps = logits.gather(1, labels.unsqueeze(1)) - logits
    normals = model.weight.detach()[labels].unsqueeze(1) - model.weight.detach()
    lengths = dual_norms(normals.flatten(0, 1), norm).view_as(gaps)
    best = torch.where(lengths > 0, gaps / lengths, torch.inf).amin(1)
    assert (found.distances / best).median() < 1.02


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_is_closer_than_square(norm: Norm) -> None:
    model, inputs, labels = problem((1, 8, 8), batch=12)
    ours, square = (
        attack(model, inputs, labels, budget=150, norm=norm).distances.median()
        for attack in (score_pursuit, square_min_norm)
    )
    assert ours < 0.9 * square


def test_with_a_target_all_other_classes_fall_behind_together() -> None:
    """In a corner of several classes, steps towards the last one alone go back and forth."""
    model, inputs, _ = problem((20,), network=Linear, batch=6)
    targets = model(inputs).argmin(1)
    box = (-torch.inf, torch.inf)
    found = score_pursuit(model, inputs, targets, targeted=True, budget=80, bounds=box)
    logits, weight = model(inputs).detach(), model.weight.detach()
    gradients = weight - weight[targets].unsqueeze(1)
    values = logits - logits.gather(1, targets.unsqueeze(1))
    best = torch.einsum("bk,bkn->bn", boundary_weights(gradients, values), gradients).norm(dim=1)
    assert found.success.all()
    assert (found.distances / best).median() < 1.05


@pytest.mark.parametrize("shape", [(16,), (1, 6, 6)])
def test_scores_that_jump_are_attacked_by_decisions(shape: tuple[int, ...]) -> None:
    smooth, inputs, labels = problem(shape, batch=10)

    def votes(points: Tensor) -> Tensor:  # one vote, whatever the distance from the boundary
        logits = smooth(points)
        return torch.zeros_like(logits).scatter_(1, logits.argmax(1, keepdim=True), 1.0)

    best = score_pursuit(smooth, inputs, labels, budget=600).distances
    found = score_pursuit(votes, inputs, labels, budget=600)
    assert found.success.all()
    assert (found.distances / best).median() < 1.3


def test_starts_are_never_made_worse_and_others_have_no_effect() -> None:
    model, inputs, labels = problem((1, 6, 6), batch=6)
    first = score_pursuit(model, inputs, labels, budget=40)
    again = score_pursuit(model, inputs, labels, budget=40, starts=first.adversarials)
    assert (again.distances <= first.distances).all()
    useless = score_pursuit(model, inputs, labels, budget=47, starts=inputs)  # 7 try the starts
    assert torch.equal(useless.distances, first.distances)


def test_a_start_far_beyond_the_boundary_does_no_harm() -> None:
    """There the softmax of the model is flat, and its logits tell nothing about the boundary."""
    smooth, inputs, labels = problem((1, 6, 6), batch=8)

    def flat(points: Tensor) -> Tensor:
        return torch.softmax(smooth(points), 1)

    box = (-100.0, 100.0)
    near = score_pursuit(flat, inputs, labels, budget=200, bounds=box).adversarials
    far = inputs + 20 * (near - inputs)
    hits = smooth(far).argmax(1) != labels
    found = score_pursuit(flat, inputs, labels, budget=200, bounds=box, starts=far)
    ratios = found.distances / (near - inputs).flatten(1).norm(dim=1)
    assert hits.any()
    assert ratios[hits].median() < 1.1


@pytest.mark.parametrize("scale", [1e-20, 1e30])
def test_the_scale_of_logits_has_no_effect(scale: float) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=6)
    usual = score_pursuit(model, inputs, labels, budget=80)
    found = score_pursuit(lambda points: scale * model(points), inputs, labels, budget=80)
    assert torch.allclose(found.distances, usual.distances, rtol=1e-3)


def test_without_bounds_the_scale_of_inputs_has_no_effect() -> None:
    model, inputs, labels = problem((20,), batch=6)
    box = (-torch.inf, torch.inf)
    usual = score_pursuit(model, inputs, labels, budget=60, bounds=box).distances
    for scale in (1e-6, 1e6):

        def scaled(points: Tensor, scale: float = scale) -> Tensor:
            logits: Tensor = model(points / scale)
            return logits

        found = score_pursuit(scaled, scale * inputs, labels, budget=60, bounds=box)
        assert torch.allclose(found.distances / scale, usual, rtol=1e-2)


def test_with_a_target_among_many_classes_those_that_were_far_behind_count() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=9, classes=1000)
    starts, targets = inputs.roll(1, 0), labels.roll(1, 0)
    found = score_pursuit(model, inputs, targets, targeted=True, budget=200, starts=starts)
    assert found.success.all()
    assert found.distances.median() < 0.4 * distances(starts, inputs).median()


@pytest.mark.parametrize("levels", [8, 32])
def test_levels_do_not_undo_steps_in_linf(levels: int) -> None:
    """A Linf step of less than half a level would be rounded away in all features at once."""
    model, inputs, labels = problem((1, 12, 12), batch=16)
    found = score_pursuit(model, inputs, labels, budget=150, norm="linf", levels=levels)
    assert found.distances.median() < 1.1 / (levels - 1)
    assert found.distances.max() < 3.1 / (levels - 1)
