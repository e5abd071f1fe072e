"""Adversarials of random models: a linear classifier with normal noise, whose shares are known."""

import math
from functools import partial
from statistics import NormalDist
from typing import Any

import pytest
import torch
from torch import Tensor

from minnorm.attacks import AttackResult, ddn, normal_pursuit, pgd
from minnorm.attacks.engine.draw_shares import (
    CONFIRMING,
    JUDGING,
    draw_seeds,
    number_of_draws,
    required_share,
    shares_of_draws,
)
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.other_draws import hold_in_other_draws
from minnorm.attacks.engine.problem import Problem
from minnorm.geometry import distances
from minnorm.models import averaged
from models.random_models import Shifted

ENTRIES = 4
NOISE = 0.2
"""The sum of the entries has noise of a standard deviation of 0.2 * 2."""

DEVIATION = NOISE * math.sqrt(ENTRIES)


def exact_shares(points: Tensor) -> Tensor:
    """Return the probability that the sum of the entries and of their noise is negative."""
    shares: Tensor = torch.special.ndtr(-points.sum(1) / DEVIATION)
    return shares


def boundary_problem(norm: Any = "l2", **changes: Any) -> tuple[Problem, AttackResult]:
    """Return points above the boundary, and adversarials on it as an attack would find them."""
    origins = torch.tensor([[0.1] * 4, [0.3, 0.1, 0.2, 0.0], [0.5] * 4], dtype=torch.float64)
    problem = Problem(
        origins=origins,
        goal=Goal(torch.zeros(3, dtype=torch.int64), False),
        bounds=(-1.0, 1.0),
        unit=2.0,
        norm=norm,
        **changes,
    )
    points = origins - origins.mean(1, keepdim=True) - 1e-4
    return problem, AttackResult(
        points, distances(points, origins, norm), torch.ones(3, dtype=torch.bool)
    )


def test_the_sets_of_draws_are_disjoint_and_of_the_documented_sizes() -> None:
    part = averaged(Shifted(), draws=32)
    assert number_of_draws(part) == 256
    assert number_of_draws(averaged(Shifted(), draws=2)) == 100
    confirming, judging = draw_seeds(part, CONFIRMING), draw_seeds(part, JUDGING)
    assert len({*confirming, *judging}) == 512
    assert draw_seeds(averaged(Shifted(), draws=32, seed=1), JUDGING) != judging


@pytest.mark.parametrize(("threshold", "draws"), [(0.5, 32), (0.9, 32), (0.5, 4), (1.0, 4)])
def test_a_point_of_the_required_share_rarely_fails_in_other_draws(
    threshold: float, draws: int
) -> None:
    part = averaged(Shifted(), draws, threshold=threshold)
    share = required_share(part)
    deviation = math.sqrt(threshold * (1 - threshold) / number_of_draws(part))
    assert threshold <= share <= 1
    if deviation > 0:
        beyond = (share - threshold) / (math.sqrt(2) * deviation)
        assert NormalDist().cdf(-beyond) == pytest.approx(0.023, abs=1e-3)


def test_shares_are_those_of_the_normal_distribution() -> None:
    points = torch.linspace(-0.2, 0.2, 5).unsqueeze(1).expand(5, 4).double()
    model = averaged(Shifted(NOISE), draws=50)
    labels = torch.zeros(5, dtype=torch.int64)
    shares = shares_of_draws(model, points, labels, False, draw_seeds(model, JUDGING))
    assert (shares - exact_shares(points)).abs().max() < 3 * 0.5 / math.sqrt(400)
    targeted = shares_of_draws(model, points, 1 - labels, True, draw_seeds(model, JUDGING))
    torch.testing.assert_close(shares, targeted)


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_points_on_the_boundary_move_outwards_until_they_hold(norm: str) -> None:
    problem, result = boundary_problem(norm)
    model = averaged(Shifted(NOISE), draws=12)
    held = hold_in_other_draws(model, result, problem)
    required = required_share(model)
    shares = shares_of_draws(
        model, held.adversarials, problem.goal.labels, False, draw_seeds(model, CONFIRMING)
    )
    assert (shares >= required).all()
    # A share of 100 draws has a standard deviation of 0.05.
    assert (exact_shares(held.adversarials) - required).abs().max() < 0.1
    expected = problem.origins.mean(1) + NormalDist().inv_cdf(required) * DEVIATION / ENTRIES
    moved = (problem.origins - held.adversarials).mean(1)
    assert (moved - expected).abs().max() < 0.3 * DEVIATION / ENTRIES
    # The direction stays, and distances are measured again.
    assert torch.allclose(held.adversarials.std(1), problem.origins.std(1), atol=1e-3)
    assert torch.equal(held.distances, distances(held.adversarials, problem.origins, problem.norm))


def test_an_input_that_is_adversarial_itself_moves_downhill() -> None:
    problem, _ = boundary_problem()
    origins = torch.zeros_like(problem.origins) - 1e-3
    problem = Problem(origins=origins, goal=problem.goal, bounds=(-1.0, 1.0), unit=2.0)
    start = AttackResult(origins, torch.zeros(3).double(), torch.ones(3, dtype=torch.bool))
    held = hold_in_other_draws(averaged(Shifted(NOISE), draws=12), start, problem)
    assert (exact_shares(held.adversarials) > 0.5).all()
    assert (exact_shares(held.adversarials) < 0.75).all()
    # The gradient of the sum has equal entries.
    assert held.adversarials.std(1).max() < 1e-12


def test_within_a_radius_the_best_point_is_kept() -> None:
    # The third sample reaches the boundary at 0.5 * 2 = 1, and may go on to 1.04.
    problem, result = boundary_problem(radius_limit=1.04)
    model = averaged(Shifted(NOISE), draws=12, threshold=0.9)
    held = hold_in_other_draws(model, result, problem)
    assert held.success.all()
    assert held.distances.max() <= 1.04 * (1 + 1e-6)
    assert held.distances[2] == pytest.approx(1.04, rel=1e-6)
    assert exact_shares(held.adversarials[2:]) == pytest.approx(
        float(torch.special.ndtr(torch.tensor(0.08 / DEVIATION))), abs=1e-3
    )


def test_failures_and_other_models_stay_as_they_are() -> None:
    problem, result = boundary_problem()
    assert hold_in_other_draws(Shifted(0.0), result, problem) is result
    none = AttackResult(
        problem.origins, torch.full((3,), math.inf).double(), torch.zeros(3, dtype=torch.bool)
    )
    assert hold_in_other_draws(averaged(Shifted(NOISE)), none, problem) is none


def test_each_sample_moves_as_if_it_were_alone() -> None:
    problem, result = boundary_problem()
    model = averaged(Shifted(NOISE), draws=8)
    held = hold_in_other_draws(model, result, problem)
    for row in (0, 2):
        rows = torch.tensor([row])
        alone = AttackResult(
            result.adversarials[rows], result.distances[rows], result.success[rows]
        )
        found = hold_in_other_draws(model, alone, problem.part(rows))
        torch.testing.assert_close(found.adversarials, held.adversarials[rows])


@pytest.mark.parametrize(
    ("attack", "threshold"),
    [
        (partial(normal_pursuit, budget=20), 0.5),
        (partial(ddn, steps=20), 0.8),
        (partial(pgd, epsilon=1.2, steps=10, step_size=0.3), 0.8),
    ],
)
def test_attacks_find_points_that_hold_in_the_draws_of_the_judge(
    attack: Any, threshold: float
) -> None:
    inputs = 0.1 + 0.3 * torch.rand(6, 4, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.zeros(6, dtype=torch.int64)
    model = averaged(Shifted(NOISE), draws=12, threshold=threshold)
    found = attack(model, inputs, labels, bounds=(-1.0, 1.0))
    shares = shares_of_draws(model, found.adversarials, labels, False, draw_seeds(model, JUDGING))
    assert found.success.all()
    assert (shares >= threshold).all()
    assert (model(found.adversarials).argmax(1) == 1).all()
