"""The costs of an attack, which the judge counts."""

import logging
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.networks import problem
from evaluation.judging import judge, returning
from minnorm.acceleration import Accelerated
from minnorm.attacks import AttackResult, Model, ddn
from minnorm.evaluation.running.judge import CountingModel, counting, run_and_judge


@pytest.mark.parametrize("steps", [1, 7])
@pytest.mark.parametrize("targeted", [False, True])
def test_ddn_costs_its_steps_and_one_more_forward(steps: int, targeted: bool) -> None:
    model, inputs, labels = problem((2, 3))
    verdict = judge(partial(ddn, steps=steps), model, inputs, labels, targeted=targeted)
    forwards, backwards, seconds = verdict.spent
    assert (forwards, backwards) == (steps + 1, steps)
    assert 0 < seconds < 10


def test_an_attack_that_uses_part_of_the_batch_is_counted_by_samples() -> None:
    model, inputs, labels = problem((4,), batch=8)

    def attack(model: Model, inputs: Tensor, labels: Tensor, /, **_: Any) -> AttackResult:
        half = inputs[:4].requires_grad_()
        model(inputs)
        torch.autograd.grad(model(half).sum(), half)
        with torch.no_grad():
            model(inputs[:2])
        return returning(inputs)(model, inputs, labels)

    forwards, backwards, _ = judge(attack, model, inputs, labels).spent
    assert forwards == (8 + 4 + 2) / 8
    assert backwards == 4 / 8


def test_each_gradient_through_the_same_logits_is_counted() -> None:
    model, inputs, _ = problem((4,), batch=6, classes=3)
    counted = CountingModel(model)
    variables = inputs.requires_grad_()
    logits = counted(variables)
    for column in range(3):  # one gradient for each class, as DeepFool takes them
        torch.autograd.grad(logits[:, column].sum(), variables, retain_graph=True)
    assert (counted.forwards, counted.backwards) == (6, 18)


def test_a_model_that_does_not_depend_on_its_input_is_counted() -> None:
    def constant(inputs: Tensor) -> Tensor:
        return torch.tensor([1.0, 0.0]).expand(len(inputs), 2)

    inputs, labels = torch.rand(3, 5), torch.zeros(3, dtype=torch.int64)
    verdict = judge(partial(ddn, steps=4), constant, inputs, labels)
    assert verdict.spent[:2] == (5, 0)  # without a graph there is no backward pass
    assert not verdict.success.any()
    for distance in verdict.distances.values():
        assert torch.equal(distance, torch.full((3,), torch.inf))
    assert torch.equal(verdict.adversarials, inputs)


def test_an_attack_that_calls_another_model_has_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    model, inputs, labels = problem((2, 3))

    def attack(_: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
        return ddn(model, inputs, labels, **given)

    with caplog.at_level(logging.WARNING):
        assert judge(attack, model, inputs, labels).spent[:2] == (0, 0)
    assert "test did not call the model in its arguments, so its cost is unknown" in caplog.text


def test_seconds_are_those_of_the_attack_per_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, labels = problem((4,), batch=8)
    times = iter([10.0, 26.0])
    monkeypatch.setattr("minnorm.evaluation.running.judge.seconds_now", lambda _: next(times))
    assert judge(returning(inputs), model, inputs, labels).spent[2] == 2.0


def test_backward_passes_are_reported() -> None:
    model, inputs, labels = problem((4,), batch=8)
    passes: list[int] = []
    run_and_judge(
        "test", partial(ddn, steps=3), model, inputs, labels,
        targeted=False, bounds=(0.0, 1.0), seed=0, on_pass=lambda: passes.append(1),
    )  # fmt: skip
    assert len(passes) == 3


@pytest.mark.parametrize("coarse", [False, True])
def test_each_part_of_an_accelerated_model_is_counted_once(coarse: bool) -> None:
    model, inputs, _ = problem((4,), batch=8)

    def exact(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits

    counted, counters = counting(Accelerated(model, exact, model if coarse else None, "it", ()))
    assert isinstance(counted, Accelerated)
    assert len(counters) == 2  # the original and the coarse part are the same model
    counted.original(inputs)
    counted.exact(inputs[:3])
    if coarse:
        assert counted.coarse is counted.original
    else:
        assert counted.coarse is None
    assert [counter.forwards for counter in counters] == [8, 3]
