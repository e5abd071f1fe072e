"""What the judge makes of samples that are adversarial, or without a class, before any attack."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from evaluation.judging import forged, judge, returning
from minnorm.attacks import Attack, AttackResult, Model, ddn, pgd
from minnorm.evaluation import accuracy_at, breakdown, clean_accuracy, evaluate
from minnorm.evaluation.running.judge import Verdict, with_misclassified
from minnorm.geometry import NORM_ORDERS


@pytest.mark.parametrize("targeted", [False, True])
def test_samples_that_are_adversarial_from_the_start_are_at_distance_0_whatever_the_attack_does(
    targeted: bool,
) -> None:
    model, inputs, predicted = problem((4,), batch=4, classes=3)
    logits = model(inputs)
    labels = predicted.clone()
    from_start = torch.tensor([True, True, False, False])
    labels[from_start != targeted] = (labels[from_start != targeted] + 1) % 3
    points = inputs + 0.25
    failed = torch.tensor([True, False, True, False])
    verdict = Verdict(
        adversarials=torch.where(failed[:, None], inputs, points),
        predictions=torch.full((4,), 7),
        success=~failed,
        reported=failed,
        distances={norm: torch.tensor([torch.inf, 0.5, torch.inf, 0.5]) for norm in NORM_ORDERS},
        spent=(1.0, 2.0, 3.0),
    )
    found = with_misclassified(verdict, inputs, logits, labels, targeted=targeted)
    assert found.success.tolist() == [True, True, False, True]
    for norm in NORM_ORDERS:
        assert found.distances[norm].tolist() == [0.0, 0.0, torch.inf, 0.5]
    assert found.predictions.tolist() == [int(predicted[0]), 7, 7, 7]
    assert torch.equal(found.adversarials, verdict.adversarials)
    assert found.spent == verdict.spent
    assert torch.equal(found.reported, failed)  # what the attack says stays as it is


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("failed", [False, True])
def test_a_sample_without_a_class_is_at_distance_0_whatever_the_attack_does(
    targeted: bool, failed: bool
) -> None:
    inputs = torch.rand(2, 4, generator=torch.Generator().manual_seed(0))
    logits = torch.tensor([[1.0, torch.nan, 0.0], [1.0, 0.0, 0.0]])
    labels = torch.tensor([2, 2] if targeted else [0, 0])
    verdict = Verdict(
        adversarials=inputs if failed else inputs + 0.1,
        predictions=torch.tensor([-1, 0] if failed else [1, 1]),
        success=torch.full((2,), not failed),
        reported=torch.full((2,), not failed),
        distances=dict.fromkeys(NORM_ORDERS, torch.full((2,), torch.inf if failed else 0.5)),
        spent=(1.0, 1.0, 1.0),
    )
    found = with_misclassified(verdict, inputs, logits, labels, targeted=targeted)
    assert found.success.tolist() == [True, not failed]
    for norm in NORM_ORDERS:
        assert found.distances[norm].tolist() == [0.0, torch.inf if failed else 0.5]


class Overflows(Linear):
    """A classifier whose logits are NaN where the first entry is above a threshold."""

    threshold = 0.5

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = super().forward(inputs)
        return torch.where(inputs[:, :1] > self.threshold, torch.nan, logits)


def moved(
    model: Model, inputs: Tensor, labels: Tensor, /, *, targeted: bool = False, **_: Any
) -> AttackResult:
    """Attack as many libraries do: move every sample, whatever the model says of it."""
    points = (inputs + 0.05).clamp(0, 1)
    success = (model(points).argmax(1) == labels) == targeted
    return forged(points, torch.zeros(len(inputs)), success)


@pytest.mark.parametrize("targets", [None, "all", "least-likely", "random:2"])
@pytest.mark.parametrize("network", [Linear, Overflows])
def test_accuracy_under_any_attack_never_exceeds_the_clean_accuracy(
    targets: str | None, network: type[Linear]
) -> None:
    plain, inputs, labels = problem((6,), batch=24, classes=4, network=Linear)
    model = network(6, 4).eval()
    model.load_state_dict(plain.state_dict())
    labels[::3] = (labels[::3] + 1) % 4
    attacks: dict[str, Attack] = {
        "moved": moved,
        "ddn": partial(ddn, steps=5),
        "pgd": partial(pgd, epsilon=0.05),
    }
    run = evaluate(model, (inputs, labels), attacks, targets=targets, accelerate="off")
    clean = clean_accuracy(run.records).value
    assert clean < (0.7 if network is Linear else 0.5)
    for part in breakdown(run.records, "l2").values():
        if targets is None:
            assert accuracy_at(part, 0.0).value == clean
        for radius in (0.0, 0.01, 0.04):
            assert accuracy_at(part, radius).value <= clean


def test_a_point_without_a_class_is_a_failure() -> None:
    plain, inputs, labels = problem((4,), classes=2, network=Linear)
    inputs = inputs / 2
    model = Overflows(4, 2).eval()
    model.load_state_dict(plain.state_dict())
    labels = model(inputs).argmax(1)
    points = inputs.clone()
    points[:, 0] = 0.9
    verdict = judge(returning(points), model, inputs, labels)
    assert not verdict.success.any()
    assert verdict.predictions.tolist() == [-1] * 8
    assert verdict.distances["l2"].isinf().all()


@pytest.mark.parametrize("levels", [None, 8, 256])
def test_accuracy_under_attack_never_exceeds_the_clean_accuracy(levels: int | None) -> None:
    model, inputs, labels = problem((4,), batch=20)
    labels[::2] = (labels[::2] + 1) % 5
    wrong = {"moved": returning((inputs + 0.3).clamp(0, 1))}
    attack = {"ddn": partial(ddn, steps=5, levels=levels)}
    for attacks in (attack, wrong):
        records = evaluate(model, (inputs, labels), attacks, accelerate="off").records
        assert clean_accuracy(records).value == 0.5
        assert accuracy_at(records, 0.0).value <= 0.5
