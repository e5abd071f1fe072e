"""Training on the closest adversarials of any attack."""

from typing import Any

import pytest
import torch
from torch import Tensor

from minnorm.attacks import AttackResult
from minnorm.attacks import ddn as attack
from minnorm.errors import InputError
from minnorm.training import closest
from training.objectives.cases import points_of, problem


def test_closer_adversarials_are_taken_as_they_are_and_farther_ones_scaled_down() -> None:
    model, inputs, labels = problem()
    found = attack(model.eval(), inputs, labels, steps=50)
    limit = float(found.distances.median())
    model.train()
    points = points_of(closest(max_norm=limit, attack="ddn(steps=50)"), model, inputs, labels)
    shares = (limit / found.distances).clamp(max=1)[:, None]
    assert (shares < 1).sum() == 6
    torch.testing.assert_close(points, inputs + shares * (found.adversarials - inputs))


def test_misclassified_inputs_are_trained_on_unperturbed() -> None:
    model, inputs, labels = problem()
    points = points_of("closest(max_norm=0.5)", model, inputs, (labels + 1) % 5)
    assert points.equal(inputs)


def test_a_warm_start_passes_the_points_to_the_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    model, inputs, labels = problem()
    seen: list[dict[str, Any]] = []

    def watched(
        model: Any, inputs: Tensor, labels: Tensor, *, starts: Any = "none", **given: Any
    ) -> AttackResult:
        seen.append({"starts": starts, **given})
        return attack(model, inputs, labels, steps=1)

    monkeypatch.setattr(
        "minnorm.training.objectives.closest.load_attack", lambda spec: watched if spec else None
    )
    objective = closest(max_norm=0.5, attack="watched", warm_start=True)
    assert objective.warm_start
    points_of(objective, model, inputs, labels, inputs / 2)
    points_of(objective, model, inputs, labels)
    assert seen[0]["starts"].equal(inputs / 2)
    assert seen[1]["starts"] == "none"
    assert all(isinstance(given["generator"], torch.Generator) for given in seen)


def test_an_attack_in_a_norm_without_projection_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def in_l1(*_: Any, norm: str = "l1") -> None:
        pytest.fail(f"an attack in {norm} was run")

    monkeypatch.setattr("minnorm.training.objectives.closest.load_attack", lambda _: in_l1)
    with pytest.raises(InputError, match="norm='l1': expected 'l2' or 'linf'"):
        closest(max_norm=1, attack="in_l1")


def test_a_warm_start_needs_an_attack_that_takes_starts() -> None:
    assert closest(max_norm=0.5, attack="normal_pursuit(budget=20)", warm_start=True).warm_start
    assert not closest(max_norm=0.5, attack="superdeepfool").warm_start
    with pytest.raises(InputError, match="'superdeepfool' takes no starts"):
        closest(max_norm=0.5, attack="superdeepfool", warm_start=True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_norm": 0}, "max_norm=0: expected a number above 0"),
        ({"max_norm": 1, "attack": "dnn"}, "unknown attack 'dnn'"),
        ({"max_norm": 1, "attack": attack}, "expected the spec of an attack"),
        ({"max_norm": 1, "warm_start": "no"}, "warm_start='no': expected True or False"),
    ],
)
def test_arguments_of_closest_are_checked(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        closest(**arguments)
