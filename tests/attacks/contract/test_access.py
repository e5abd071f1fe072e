"""The contract of access: an attack reads of the model what it is registered with, and no more."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.cases import (
    DECISION_VARIANTS,
    QUERY_VARIANTS,
    VARIANTS,
    Attack,
    access_of_variant,
    takes,
)
from attacks.networks import Curved, problem
from minnorm.access import ACCESSES, Access, allows
from minnorm.attacks.engine.queries.searches import DecisionsOnly
from minnorm.errors import InputError
from minnorm.evaluation.running.judge import CountingModel

FOLDERS = {"gradients": "gradient", "scores": "score", "decisions": "decision"}


class Offering(nn.Module):
    """A network behind an interface that offers less than gradients."""

    def __init__(self, model: nn.Module, access: Access) -> None:
        super().__init__()
        self.model = model
        self.access = access

    def forward(self, inputs: Tensor) -> Tensor:
        assert not torch.is_grad_enabled()
        logits: Tensor = self.model(inputs)
        return DecisionsOnly(lambda _: logits)(inputs) if self.access == "decisions" else logits


@pytest.mark.parametrize("name", VARIANTS)
def test_runs_on_what_it_needs_and_refuses_less(attack: Attack, name: str) -> None:
    model, inputs, labels = problem((20,))
    needed = access_of_variant(name)
    attack = attack if needed == "gradients" else partial(attack, budget=50)
    for offered in ACCESSES[1:]:
        offering = Offering(model, offered).eval()
        if allows(offered, needed):
            expected = attack(model, inputs, labels)
            found = attack(offering, inputs, labels)
            assert torch.equal(found.adversarials, expected.adversarials)
            assert found.success.any()
        else:
            with pytest.raises(InputError, match=rf"needs .* offers {offered} only\. Use \w+"):
                attack(offering, inputs, labels)


@pytest.mark.parametrize("name", VARIANTS)
def test_its_file_is_in_the_folder_of_its_access(attack: Attack, name: str) -> None:
    assert isinstance(attack, partial)
    folder = inspect.unwrap(attack.func).__module__.split(".")[2]
    assert folder in {FOLDERS[access_of_variant(name)], "suites", "transfer"}  # made of several


@pytest.mark.parametrize("name", QUERY_VARIANTS)
@pytest.mark.parametrize("targeted", [False, True])
def test_spends_its_budget_at_most_and_no_gradient(attack: Attack, targeted: bool) -> None:
    model, inputs, labels = problem((1, 4, 4))
    labels = (labels + 1) % 5 if targeted else labels
    assert isinstance(attack, partial)
    for budget in (10, 40):
        counted = CountingModel(model)
        attack(counted, inputs, labels, targeted=targeted, budget=budget)
        assert counted.backwards == 0
        assert counted.forwards <= budget * len(inputs)


MONOTONE: dict[str, Callable[[Tensor], Tensor]] = {
    "probabilities": lambda logits: logits.softmax(1),
    "squashed": lambda logits: 1e-3 * logits.sign() * logits.abs().sqrt() - 5,
    "one-hot": lambda logits: torch.eye(logits.shape[1], dtype=logits.dtype)[logits.argmax(1)],
}
"""Changes of logits that keep each prediction; but for the last one, the order of all classes."""


@pytest.mark.parametrize("name", DECISION_VARIANTS)
@pytest.mark.parametrize("targeted", [False, True])
def test_decisions_alone_decide(attack: Attack, targeted: bool) -> None:
    model, inputs, labels = problem((1, 4, 4), network=Curved, dtype=torch.float64)
    labels = (labels + 1) % 5 if targeted else labels
    expected = attack(model, inputs, labels, targeted=targeted, budget=50)
    for change in MONOTONE.values():

        def changed(points: Tensor, change: Callable[[Tensor], Tensor] = change) -> Any:
            return change(model(points))

        found = attack(changed, inputs, labels, targeted=targeted, budget=50)
        assert torch.equal(found.adversarials, expected.adversarials)
        assert torch.equal(found.success, expected.success)


@pytest.mark.parametrize("name", QUERY_VARIANTS)
def test_a_model_outside_of_pytorch_is_attacked(attack: Attack) -> None:
    model, inputs, labels = problem((20,))

    def predicted(points: Tensor) -> Tensor:
        with torch.no_grad():
            logits: Tensor = model(torch.from_numpy(points.numpy()))  # fails in a graph
        return logits

    expected = attack(model, inputs, labels, budget=50)
    found = attack(predicted, inputs, labels, budget=50)
    assert torch.equal(found.adversarials, expected.adversarials)


@pytest.mark.parametrize("name", QUERY_VARIANTS)
def test_a_larger_budget_is_no_worse(attack: Attack) -> None:
    model, inputs, labels = problem((20,), batch=30)
    few, many = (attack(model, inputs, labels, budget=budget) for budget in (40, 200))
    assert many.success.sum() >= few.success.sum()
    within = takes(attack, "epsilon")  # then the first adversarial is enough
    assert within or many.distances.median() <= 1.02 * few.distances.median()
