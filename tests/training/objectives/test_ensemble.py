"""Training on single steps of several models."""

from pathlib import Path

import pytest
import torch

from minnorm.errors import InputError
from minnorm.training import ensemble
from training.objectives.cases import FIXED, another, gradients_of, points_of, problem


def test_the_source_is_drawn_for_each_batch_with_equal_probabilities() -> None:
    objective = ensemble(models=[FIXED, FIXED], epsilon=0.1)
    model, inputs, labels = problem()
    sources = (model, another())
    expected = [inputs + 0.1 * gradients_of(one, inputs, labels).sign() for one in sources]
    drawn = []
    torch.manual_seed(0)
    for _ in range(60):
        points = points_of(objective, *problem())
        drawn.append([torch.allclose(points, one.clamp(0, 1), atol=1e-6) for one in expected])
    assert all(sum(hits) == 1 for hits in drawn)
    assert 33 <= sum(hits[1] for hits in drawn) <= 47  # two of three are fixed


def test_fixed_models_are_frozen_and_named_as_others() -> None:
    objective = ensemble(models=(FIXED, "zoo:mnist-cnn"), epsilon=0.1)
    assert len(objective.others) == 2
    for other in objective.others:
        assert not any(parameter.requires_grad for parameter in other.parameters())


@pytest.mark.parametrize("models", [[], 5, "zoo:mnist-cnn", [5], ["zoo:no-such-network"]])
def test_an_ensemble_needs_models(models: object) -> None:
    with pytest.raises(InputError, match=r"models=.*: expected a list|no-such-network"):
        ensemble(models=models, epsilon=0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "value"), [("epsilon", 0), ("weight", 1), ("norm", "l0")])
def test_arguments_of_an_ensemble_are_checked(name: str, value: object) -> None:
    settings = {"epsilon": 0.1, name: value}
    with pytest.raises(InputError, match=f"{value}"):
        ensemble(models=[FIXED], **settings)  # type: ignore[arg-type]


def test_an_ensemble_loads_no_pickles(tmp_path: Path) -> None:
    torch.save(another(), tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"models: loading .*net.pt.* would run.*convert it"):
        ensemble(models=[f"{tmp_path}/net.pt + {FIXED}"], epsilon=0.1)
