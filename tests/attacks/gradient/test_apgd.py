"""APGD in a ball: its transcription, its losses and its targets."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.cases import Attack
from attacks.gradient.stepwise import SAMPLES, check_closest, check_same, one_sample, visited
from attacks.networks import problem
from minnorm.attacks import apgd, apgd_min_norm
from minnorm.boxes import Bounds
from minnorm.geometry import Norm
from reference.apgd import apgd_of_one_sample


@pytest.mark.parametrize(
    ("norm", "loss", "bounds"),
    [
        ("l2", "cross-entropy", (0.0, 1.0)),
        ("linf", "cross-entropy", (-1.0, 3.0)),
        ("l2", "dlr", (-1.0, 3.0)),
        ("linf", "targeted-dlr", (0.0, 1.0)),
    ],
)
def test_transcription(norm: Norm, loss: Any, bounds: Bounds) -> None:
    # So small that the sample does not leave before the end.
    epsilon = 0.05 if norm == "l2" else 0.005
    width = bounds[1] - bounds[0]
    settings: dict[str, Any] = {"norm": norm, "steps": 40, "loss": loss}
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=False)
        found, result = visited(
            apgd, model, x, y, bounds=bounds, epsilon=epsilon * width, candidates=1, **settings
        )
        expected = apgd_of_one_sample(model, x, y, found[1], epsilon=epsilon, **settings)
        check_same(found, [x, *expected])
        check_closest(result, model, found, x, y, targeted=False, norm=norm)
        order = 2 if norm == "l2" else torch.inf
        assert all(float((point - x).norm(p=order)) <= epsilon + 1e-9 for point in found)


@pytest.mark.parametrize(
    ("attack", "classes", "loss"),
    [
        (partial(apgd, epsilon=1.0), 2, "dlr"),
        (partial(apgd, epsilon=1.0), 3, "targeted-dlr"),
        (apgd_min_norm, 2, "targeted-dlr"),
    ],
    ids=["apgd-2", "apgd-3", "apgd_min_norm-2"],
)
def test_too_few_classes_for_a_ratio_are_refused(attack: Attack, classes: int, loss: str) -> None:
    model, inputs, labels = problem((5,), classes=classes)
    with pytest.raises(ValueError, match=f"needs at least .* classes, the model has {classes}"):
        attack(model, inputs, labels, loss=loss)


def test_a_targeted_attack_cannot_choose_its_own_targets() -> None:
    model, inputs, labels = problem((5,))
    with pytest.raises(ValueError, match="use loss='dlr' for a targeted attack"):
        apgd(model, inputs, labels, epsilon=1.0, targeted=True, loss="targeted-dlr")


def test_the_targeted_ratio_aims_at_one_class_after_the_other() -> None:
    def third_is_near(points: Tensor) -> Tensor:
        near = 4 * points[:, 0] - 2.8
        high = torch.full_like(near, 0.9) - 0.1 * points[:, 1]
        return torch.stack([torch.ones_like(near), high - 0.5, near, near - 9, near - 9], dim=1)

    settings: dict[str, Any] = {"epsilon": 0.6, "steps": 20, "loss": "targeted-dlr"}
    inputs, labels = torch.full((2, 3), 0.5), torch.tensor([0, 0])
    assert not apgd(third_is_near, inputs, labels, candidates=1, **settings).success.any()
    assert apgd(third_is_near, inputs, labels, candidates=2, **settings).success.all()
