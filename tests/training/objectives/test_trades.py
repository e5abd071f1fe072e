"""TRADES: the loss on the inputs and the divergence around them."""

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.errors import InputError
from minnorm.training import load_objective, trades
from minnorm.training.attack_passes import AttackPasses
from training.objectives.cases import Watched, loss_of, points_of, problem


def divergences(model: Watched, inputs: Tensor, points: Tensor) -> Tensor:
    """Return the Kullback-Leibler divergence of each sample, in evaluation mode."""
    p, q = (model.eval()(one).softmax(1) for one in (inputs, points))
    result: Tensor = (p * (p / q).log()).sum(1)
    return result


def test_the_points_have_a_large_divergence_and_the_loss_weighs_it() -> None:
    model, inputs, labels = problem()
    loss = loss_of(trades(epsilon=0.5, norm="l2", beta=3.0), model, inputs, labels)
    points = model.trained_on[0][12:]
    random = inputs + 0.5 * nn.functional.normalize(torch.randn_like(inputs))
    reached = divergences(model, inputs, points).mean()
    assert reached > 2 * divergences(model, inputs, random.clamp(0, 1)).mean()
    torch.testing.assert_close(loss, cross_entropy(model(inputs), labels) + 3 * reached)


def test_the_update_follows_both_predictions() -> None:
    model, inputs, labels = problem()
    loss_of(trades(epsilon=0.5, norm="l2", beta=3.0), model, inputs, labels).backward()  # type: ignore[no-untyped-call]
    points = model.trained_on[0][12:]
    found = model.network.weight.grad
    model.zero_grad()
    expected = cross_entropy(model.eval()(inputs), labels)
    expected = expected + 3 * divergences(model, inputs, points).mean()
    expected.backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, model.network.weight.grad)


def test_the_first_point_is_a_little_noise_away_and_one_step_further() -> None:
    model, inputs, labels = problem()
    middle = torch.full_like(inputs, 0.5)
    objective = trades(epsilon=0.5, norm="l2", steps=1, step_size=1e-7)
    offsets = points_of(objective, model, middle, labels) - middle
    assert offsets.std() == pytest.approx(1e-3, rel=0.2)


@pytest.mark.parametrize("steps", [1, 3])
def test_each_step_takes_one_gradient(steps: int) -> None:
    model, inputs, labels = problem()
    passes = AttackPasses([model])
    points_of(trades(epsilon=0.5, steps=steps), model, inputs, labels)
    assert (passes.forwards, passes.gradients) == (12 * (steps + 1), 12 * steps)


@pytest.mark.parametrize("steps", [1, 2])
def test_the_points_do_not_depend_on_the_labels(steps: int) -> None:
    points = []
    for shift in (0, 1):
        model, inputs, labels = problem()
        torch.manual_seed(0)
        points.append(
            points_of(trades(epsilon=0.5, steps=steps), model, inputs, (labels + shift) % 5)
        )
    assert points[0].equal(points[1])


def test_its_defaults_are_ten_steps_in_linf_and_a_weight_of_six() -> None:
    losses = []
    full = trades(epsilon=0.2, beta=6.0, norm="linf", steps=10, step_size=0.05)
    for objective in (trades(epsilon=0.2), full):
        torch.manual_seed(0)
        losses.append(loss_of(objective, *problem()))
    assert losses[0].equal(losses[1])


def test_the_first_step_goes_up_the_divergence() -> None:
    model, inputs, labels = problem()
    middle = torch.full_like(inputs, 0.5)
    start, moved = (
        trades(epsilon=0.5, steps=1, step_size=length).perturb(
            model.eval(), middle, labels, None, torch.Generator().manual_seed(0)
        )
        for length in (1e-12, 0.1)
    )
    variables = start.clone().requires_grad_()
    divergence = divergences(model, middle, variables).sum()
    (gradients,) = torch.autograd.grad(divergence, variables)
    hits = (moved - (start + 0.1 * gradients.sign())).abs() < 1e-6
    assert hits.float().mean() > 0.95  # rounding decides the sign of small gradients


@pytest.mark.parametrize("steps", [1, 3])
def test_the_first_step_is_in_full_precision(steps: int) -> None:
    seen = []
    for low in (False, True):
        model, inputs, labels = problem()
        passes: list[bool] = []

        def record(*_: object, passes: list[bool] = passes) -> None:
            passes.append(torch.is_autocast_enabled("cpu"))

        model.network.register_forward_hook(record)
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            points = points_of(trades(epsilon=0.5, norm="l2", steps=steps), model, inputs, labels)
        seen.append(points - inputs)
        # The inputs and the start, then the other steps and the update.
        assert passes == [False] * 2 + [low] * steps
    # The direction of the first step decides the rest.
    cosines = torch.cosine_similarity(seen[0], seen[1])
    assert cosines.min() > (0.999999 if steps == 1 else 0.99)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("trades(epsilon=0.1, beta=0)", "beta=0: expected a number above 0"),
        ("trades(epsilon=0.1, steps=0)", "steps=0"),
        ("trades(epsilon=0)", "epsilon=0"),
    ],
)
def test_arguments_of_trades_are_checked(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_objective(spec)
