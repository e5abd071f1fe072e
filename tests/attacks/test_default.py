"""The attack for those who do not want to choose: its defaults, and what it warns of."""

import inspect
import warnings
from functools import partial
from typing import Any

import pytest
import torch

from attacks.networks import problem
from minnorm.attacks import attack, normal_pursuit, with_restarts
from minnorm.attacks.checks import check_problem
from minnorm.attacks.gradients import draw_seed
from minnorm.evaluation.judge import CountingModel


def test_it_has_the_defaults_of_the_attack_that_it_runs() -> None:
    ours = inspect.signature(attack).parameters
    its = inspect.signature(normal_pursuit).parameters
    assert {name: its[name].default for name in ours} == {
        name: parameter.default for name, parameter in ours.items()
    }


def test_it_gives_what_that_one_gives() -> None:
    model, inputs, labels = problem((20,), batch=10)
    starts = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(0))
    given: dict[str, Any] = {"budget": 20, "levels": 64, "starts": starts}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = attack(model, inputs, labels, **given)
    assert torch.equal(
        found.adversarials, normal_pursuit(model, inputs, labels, **given).adversarials
    )


def test_its_look_costs_two_forward_passes_and_a_gradient_of_few_samples() -> None:
    model, inputs, labels = problem((20,), batch=40)
    counts = []
    for run in (attack, normal_pursuit):
        counted = CountingModel(model)
        assert run(counted, inputs, labels, budget=20).success.all()
        counts.append((counted.forwards, counted.backwards))
    assert counts[0] == (counts[1][0] + 16, counts[1][1] + 8)


def test_it_warns_of_probabilities() -> None:
    model, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match="look like probabilities"):
        attack(lambda points: model(points).softmax(1), inputs, labels, budget=10)


def test_it_warns_of_nan() -> None:
    model, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match="logits are NaN"):
        attack(lambda points: model(points) * torch.nan, inputs, labels, budget=10)


def test_it_warns_where_nothing_is_found_for_want_of_gradients() -> None:
    _, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match=r"gradients .* are all zero"):
        attack(
            lambda points: torch.eye(5)[points.new_zeros(len(points)).long()] * 9,
            inputs,
            0 * labels,
        )


def test_it_warns_of_missing_gradients_though_something_is_found() -> None:
    model, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match=r"gradients .* are all zero"):
        result = attack(lambda points: model(points.detach()), inputs, labels)
    assert result.success.any()


@pytest.mark.parametrize("wrong", ["shape", "dtype"])
def test_it_says_what_the_model_cannot_take(wrong: str) -> None:
    model, inputs, labels = problem((20,), batch=10)
    inputs = inputs[:, :-1] if wrong == "shape" else inputs.double()
    with pytest.raises(ValueError, match=r"the model cannot take inputs of shape \[8, .*Error: "):
        attack(model, inputs, labels)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"bounds": None}, "expected .low, high., two numbers"),
        ({"bounds": 1.0}, "expected .low, high., two numbers"),
        ({"bounds": ("0", "1")}, "expected .low, high., two numbers"),
        ({"bounds": (torch.zeros(2), torch.ones(2))}, "expected .low, high., two numbers"),
        ({"generator": 1}, "generator is a int; expected a torch.Generator"),
    ],
)
def test_what_is_no_interval_and_no_generator_is_refused(
    given: dict[str, Any], message: str
) -> None:
    model, inputs, labels = problem((20,))
    bounds = given.get("bounds", (0.0, 1.0))
    check = (
        partial(inspect.unwrap(draw_seed), given["generator"])
        if "generator" in given
        else partial(inspect.unwrap(check_problem), model, inputs, labels, bounds)
    )
    with pytest.raises(ValueError, match=message):
        check()


def test_a_spec_is_no_model() -> None:
    _, inputs, labels = problem((20,), batch=10)
    with pytest.raises(ValueError, match=r"the model is a str; expected a function .*load_model"):
        check_problem("zoo:mnist-cnn", inputs, labels, (0.0, 1.0))


def test_it_can_be_restarted() -> None:
    model, inputs, labels = problem((20,), batch=10)
    once = attack(model, inputs, labels)
    again = with_restarts(attack, 3)(model, inputs, labels)
    assert again.distances.mean() <= 1.001 * once.distances.mean()


def test_an_empty_batch_is_no_error() -> None:
    model, inputs, labels = problem((20,), batch=10)
    assert attack(model, inputs[:0], labels[:0]).success.shape == (0,)
