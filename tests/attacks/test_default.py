"""The default attack: its defaults, its warnings, and what it refuses."""

import inspect
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from minnorm.attacks import attack, attack_name, normal_pursuit, with_restarts
from minnorm.attacks.default import best_attack
from minnorm.errors import InputError
from minnorm.evaluation.running.judge import CountingModel


def test_defaults_are_those_of_normal_pursuit() -> None:
    ours = inspect.signature(attack).parameters
    its = inspect.signature(normal_pursuit).parameters
    shared = set(ours) - {"access", "norm", "budget"}
    assert {name: its[name].default for name in shared} == {
        name: ours[name].default for name in shared
    }
    chosen = best_attack("gradients")
    assert (attack_name(chosen), attack_name(best_attack("gradients", budget=7))) == (
        "normal_pursuit",
        "normal_pursuit(budget=7)",
    )


def test_results_are_those_of_normal_pursuit() -> None:
    model, inputs, labels = problem((20,), batch=10)
    starts = torch.rand(inputs.shape, generator=torch.Generator().manual_seed(0))
    given: dict[str, Any] = {"budget": 20, "levels": 64, "starts": starts}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = attack(model, inputs, labels, **given)
    assert torch.equal(
        found.adversarials, normal_pursuit(model, inputs, labels, **given).adversarials
    )


def test_the_probe_costs_five_gradients_of_eight_samples_and_a_forward_pass_of_all() -> None:
    model, inputs, labels = problem((20,), batch=40)
    counts = []
    for run in (attack, normal_pursuit):
        counted = CountingModel(model)
        assert run(counted, inputs, labels, budget=20).success.all()
        counts.append((counted.forwards, counted.backwards))
    assert counts[0] == (counts[1][0] + 56 + len(inputs), counts[1][1] + 40)


def test_warns_of_probabilities() -> None:
    model, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match="look like probabilities"):
        attack(lambda points: model(points).softmax(1), inputs, labels, budget=10)


def test_warns_of_nan() -> None:
    model, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match="logits are NaN"):
        attack(lambda points: model(points) * torch.nan, inputs, labels, budget=10)


def test_warns_of_zero_gradients_when_nothing_is_found() -> None:
    _, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match=r"gradients .* are all zero"):
        attack(
            lambda points: torch.eye(5)[points.new_zeros(len(points)).long()] * 9,
            inputs,
            0 * labels,
        )


def test_warns_of_zero_gradients_when_something_is_found() -> None:
    model, inputs, labels = problem((20,), batch=10)
    with pytest.warns(UserWarning, match=r"gradients .* are all zero"):
        result = attack(lambda points: model(points.detach()), inputs, labels)
    assert result.success.any()


@pytest.mark.parametrize("wrong", ["shape", "dtype"])
def test_inputs_that_the_model_cannot_take_are_refused(wrong: str) -> None:
    model, inputs, labels = problem((20,), batch=10)
    inputs = inputs[:, :-1] if wrong == "shape" else inputs.double()
    with pytest.raises(InputError, match=r"the model failed on inputs of shape \[8, .*Error: "):
        attack(model, inputs, labels)


def test_can_be_restarted() -> None:
    model, inputs, labels = problem((20,), batch=10)
    once = attack(model, inputs, labels)
    again = with_restarts(attack, 3)(model, inputs, labels)
    assert again.distances.mean() <= 1.001 * once.distances.mean()


def test_takes_an_empty_batch() -> None:
    model, inputs, labels = problem((20,), batch=10)
    assert attack(model, inputs[:0], labels[:0]).success.shape == (0,)


@pytest.mark.parametrize("draws", ["sometimes", "with gradients", "for few samples"])
def test_a_model_that_is_random_only_sometimes_is_noticed_by_what_was_found(draws: str) -> None:
    model, inputs, labels = problem((20,), batch=40)
    generator = torch.Generator().manual_seed(0)
    calls = 0

    def random(points: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        logits: Tensor = model(points)
        noise = logits.detach().std() * torch.randn(logits.shape, generator=generator)
        if draws == "for few samples":
            return logits + noise * (torch.rand(len(logits), 1, generator=generator) < 0.02)
        is_random = points.requires_grad if draws == "with gradients" else calls % 5 == 4
        return logits + noise * is_random

    with pytest.warns(UserWarning, match="not adversarial when the model evaluates them again"):
        attack(random, inputs, labels, budget=30)


@dataclass
class Nearest:
    """A classifier with the interface of scikit-learn: the class of the nearest center."""

    centers: Any
    classes_: Any

    def predict(self, rows: Any) -> Any:
        return self.decision_function(rows).argmax(1)

    def decision_function(self, rows: Any) -> Any:
        return -((rows[:, None] - self.centers) ** 2).sum(2)


def test_takes_a_classifier_of_scikit_learn() -> None:
    centers = np.array([[0.2, 0.2], [0.8, 0.2], [0.2, 0.8]])
    inputs = np.array([[0.3, 0.4], [0.6, 0.3]], np.float32)
    for access in ("scores", "decisions"):
        found = attack(Nearest(centers, [0, 1, 2]), inputs, [0, 1], access=access, budget=300)
        # The planes halfway between two centers.
        torch.testing.assert_close(found.distances, torch.tensor([0.1, 0.1]), rtol=0.05, atol=0)


def test_labels_of_other_classes_cause_a_warning() -> None:
    model, inputs, labels = problem((4,), batch=4)
    with pytest.warns(UserWarning, match="misclassifies all of the first 4 inputs"):
        attack(model, inputs, (labels + 1) % 3, budget=10)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        attack(model, inputs, (labels + 1) % 3, budget=10, targeted=True)
