"""AutoAttack: its parts, whom they attack, and models with few classes."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.agreement import check_agreement
from attacks.networks import problem
from minnorm.attacks import AttackResult, apgd, attack_name, autoattack, fab, load_attack, square
from minnorm.evaluation.running.judge import CountingModel
from minnorm.geometry import Norm

SHORT: dict[str, Any] = {"steps": 5, "budget": 20}

Calls = list[tuple[str, dict[str, Any], int]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """The name, the settings and the number of samples of each attack that runs."""
    seen: Calls = []
    for attack in (apgd, fab, square):
        name = attack.__name__

        def recorded(
            model: Any, inputs: Tensor, labels: Tensor, *, _run: Any = attack, **settings: Any
        ) -> AttackResult:
            seen.append((_run.__name__, settings, len(inputs)))
            found: AttackResult = _run(model, inputs, labels, **settings)
            return found

        monkeypatch.setattr(f"minnorm.attacks.suites.{name}", recorded)
    return seen


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_finds_what_its_parts_find(norm: Norm) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=40, classes=6)
    epsilon = 0.35 if norm == "l2" else 0.06
    within = partial(apgd, norm=norm, epsilon=epsilon, steps=5)
    parts = [
        within,
        partial(within, loss="targeted-dlr"),
        partial(fab, norm=norm, steps=5, one_by_one=True),
        partial(square, norm=norm, epsilon=epsilon, budget=20),
    ]
    found = [part(model, inputs, labels).distances <= epsilon for part in parts]
    result = autoattack(model, inputs, labels, epsilon=epsilon, norm=norm, **SHORT)
    check_agreement(result, model, inputs, labels, norm, targeted=False)
    assert (result.distances[result.success] <= epsilon).all()
    assert 0 < result.success.sum() < 40
    assert abs(int(result.success.sum() - torch.stack(found).any(0).sum())) <= 1


def test_each_part_runs_on_the_samples_that_are_left(calls: Calls) -> None:
    model, inputs, labels = problem((1, 6, 6), batch=40, classes=6)
    result = autoattack(model, inputs, labels, epsilon=0.3, **SHORT)
    assert [name for name, _, _ in calls] == ["apgd", "apgd", "fab", "square"]
    numbers = [number for _, _, number in calls]
    assert numbers[0] == 40
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[1] < 40
    assert numbers[-1] >= int((~result.success).sum()) > 0
    _, first, _ = calls[0]
    assert (first["steps"], first["epsilon"]) == (5, 0.3)
    _, second, _ = calls[1]
    assert (second["loss"], second["candidates"]) == ("targeted-dlr", 9)
    _, third, _ = calls[2]
    assert (third["one_by_one"], third["candidates"], third["steps"]) == (True, 9, 5)
    _, fourth, _ = calls[3]
    assert fourth["budget"] == 20
    calls.clear()
    assert autoattack(model, inputs, labels, epsilon=5.0, **SHORT).success.all()
    assert [name for name, _, _ in calls] == ["apgd"]


@pytest.mark.parametrize(
    ("classes", "targeted", "loss"),
    [
        (2, False, None),
        (3, False, "dlr"),
        (4, False, "targeted-dlr"),
        (2, True, None),
        (3, True, "dlr"),
        (6, True, "dlr"),
    ],
)
def test_few_classes(calls: Calls, classes: int, targeted: bool, loss: str | None) -> None:
    model, inputs, labels = problem((1, 4, 4), batch=20, classes=classes)
    labels = (labels + 1) % classes if targeted else labels
    result = autoattack(model, inputs, labels, epsilon=0.2, targeted=targeted, **SHORT)
    check_agreement(result, model, inputs, labels, "l2", targeted=targeted)
    losses = [settings.get("loss") for name, settings, _ in calls if name == "apgd"]
    assert losses == [None, loss] if loss else [None]
    assert [name for name, _, _ in calls][-2:] == ["fab", "square"]
    assert not any(settings["generator"] is None for _, settings, _ in calls)


def test_the_costs_are_those_of_the_docs() -> None:
    model, inputs, labels = problem((1, 6, 6), batch=10, classes=10)
    counted = CountingModel(model)
    result = autoattack(counted, inputs, labels, epsilon=1e-4, steps=10, budget=50)
    assert not result.success.any()
    assert counted.backwards == 10 * 19 * 10
    assert counted.forwards / 10 == pytest.approx(28 * 10 + 50, abs=20)


def test_it_is_one_word() -> None:
    attack = load_attack("AutoAttack(eps=8/255, norm=Linf)")
    assert attack_name(attack) == f"autoattack(epsilon={8 / 255}, norm='linf')"
    assert attack_name(load_attack("aa(epsilon=0.5)")) == "autoattack(epsilon=0.5)"
