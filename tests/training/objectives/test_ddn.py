"""Training on the adversarials of DDN."""

import pytest
import torch

from minnorm.attacks import ddn as attack
from minnorm.errors import InputError
from minnorm.training import ddn
from training.objectives.cases import points_of, problem


def test_it_trains_on_the_adversarials_of_ddn_with_its_settings() -> None:
    model, inputs, labels = problem()
    settings = {"steps": 7, "initial_norm": 0.7, "gamma": 0.2, "levels": 9}
    expected = attack(model.eval(), inputs, labels, **settings)  # type: ignore[arg-type]
    assert expected.success.all()
    points = points_of(ddn(max_norm=100.0, **settings), model.train(), inputs, labels)  # type: ignore[arg-type]
    torch.testing.assert_close(points, expected.adversarials)


def test_its_defaults_are_those_of_the_attack() -> None:
    model, inputs, labels = problem()
    expected = attack(model.eval(), inputs, labels)
    points = points_of(ddn(max_norm=100.0), model.train(), inputs, labels)
    torch.testing.assert_close(points, expected.adversarials)


def test_the_norm_of_a_perturbation_is_limited() -> None:
    model, inputs, labels = problem()
    points = points_of(ddn(max_norm=0.1, steps=20), model, inputs, labels)
    norms = (points - inputs).norm(dim=1)
    torch.testing.assert_close(norms, torch.full((12,), 0.1))


def test_a_warm_start_is_off_by_default() -> None:
    assert not ddn(max_norm=1).warm_start
    assert ddn(max_norm=1, warm_start=True).warm_start


def test_settings_of_ddn_are_checked() -> None:
    with pytest.raises(InputError, match="gamma=2"):
        points_of("ddn(max_norm=1, gamma=2)", *problem())
