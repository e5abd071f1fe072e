"""Masks in training: objectives and validation leave features as they are."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Generator, Tensor, nn

from minnorm.attacks import ddn
from minnorm.data import from_arrays
from minnorm.errors import InputError, RunConflictError
from minnorm.training import Adversarial, load_objective, train
from minnorm.training.adversarial_batch import perturb_and_loss
from minnorm.training.masks import check_masks, with_mask
from minnorm.training.recipe import RobustValidation
from minnorm.training.validation import robust_accuracy
from training.objectives.cases import DEFENSES, MIXED, problem
from training.small_runs import recipe_of

MASK = torch.arange(20) % 4 == 0


def perturbed(objective: Adversarial, **settings: Any) -> tuple[Tensor, Tensor]:
    """Return the inputs, and the points to train on."""
    model, inputs, labels = problem()
    torch.manual_seed(0)
    return inputs, perturb_and_loss(objective, model, inputs, labels, **settings)[0]


@pytest.mark.parametrize("spec", [*DEFENSES.values(), *MIXED.values()], ids=[*DEFENSES, *MIXED])
def test_objectives_move_only_features_that_may_change(spec: str) -> None:
    objective = load_objective(spec)
    assert isinstance(objective, Adversarial)
    inputs, points = perturbed(objective, mask=MASK)
    assert torch.equal(points[:, ~MASK], inputs[:, ~MASK])
    assert (points[:, MASK] != inputs[:, MASK]).any(1).float().mean() > 0.9
    everywhere = torch.ones(20, dtype=torch.bool)
    _, plain = perturbed(objective)
    assert torch.allclose(perturbed(objective, mask=everywhere)[1], plain, atol=1e-6)


@pytest.mark.parametrize("spec", DEFENSES.values(), ids=DEFENSES)
def test_perturb_itself_keeps_the_bits_of_other_features(spec: str) -> None:
    objective = load_objective(spec)
    assert isinstance(objective, Adversarial)
    model, inputs, labels = problem()
    inputs = inputs.masked_fill(inputs < 0.5, -0.0)
    mask, given = MASK.expand_as(inputs), {"mask": MASK}
    points = objective.perturb(model.eval(), inputs, labels, None, Generator(), **given)
    assert torch.equal(points[~mask].signbit(), inputs[~mask].signbit())
    assert torch.equal(points[~mask], inputs[~mask])


@pytest.mark.parametrize("spec", ["madry(epsilon=0.3)", "fgsm(epsilon=0.3, norm='l2')"])
def test_steps_are_as_long_as_without_a_mask(spec: str) -> None:
    objective = load_objective(spec)
    assert isinstance(objective, Adversarial)
    inputs, points = perturbed(objective, mask=MASK)
    lengths = (points - inputs).norm(dim=1)
    assert lengths.max() <= 0.3001
    assert lengths.median() > 0.25


def test_warm_starts_that_another_augmentation_moved_do_not_move_masked_features() -> None:
    objective = load_objective("ddn(max_norm=0.5, steps=5, warm_start=True)")
    assert isinstance(objective, Adversarial)
    inputs, points = perturbed(objective, starts=torch.rand(12, 20), mask=MASK)
    assert torch.equal(points[:, ~MASK], inputs[:, ~MASK])


def _shifted(
    _model: nn.Module,
    inputs: Tensor,
    _labels: Tensor,
    _starts: Tensor | None,
    _generator: Generator,
    **_given: object,
) -> Tensor:
    return inputs + 0.1


def test_what_an_objective_of_the_user_changes_elsewhere_is_undone() -> None:
    objective = load_objective("madry(epsilon=0.5)")
    assert isinstance(objective, Adversarial)
    inputs, points = perturbed(replace(objective, perturb=_shifted), mask=MASK)
    assert torch.equal(points, torch.where(MASK, inputs + 0.1, inputs))


def _without_mask(
    _model: nn.Module,
    inputs: Tensor,
    _labels: Tensor,
    _starts: Tensor | None,
    _generator: Generator,
) -> Tensor:
    return inputs


def test_an_objective_without_the_parameter_is_refused_where_there_is_a_mask() -> None:
    objective = load_objective("madry(epsilon=0.5)")
    assert isinstance(objective, Adversarial)
    plain = replace(objective, perturb=_without_mask)
    data = from_arrays("x", torch.zeros(2, 20), [0, 1])
    both = {"mine": plain, "clean": load_objective("clean")}
    check_masks(both, data)
    with pytest.raises(InputError, match=r"perturb of mine has no parameter mask.*add mask=None"):
        check_masks(both, replace(data, mask=MASK))
    check_masks({"theirs": replace(objective, perturb=_shifted)}, replace(data, mask=MASK))


def test_robust_accuracy_follows_the_mask_of_the_data() -> None:
    model, inputs, labels = problem()
    model.eval()
    reached = ddn(model, inputs, labels, steps=30, mask=MASK).distances
    epsilon = float(reached.sort().values[5:7].mean())
    validation = RobustValidation(attack="ddn(steps=30)", epsilon=epsilon, images=12)
    data = from_arrays("x", inputs, labels, mask=MASK)
    share = float((reached > epsilon).double().mean())
    assert robust_accuracy(model, data, validation) == pytest.approx(share)
    assert robust_accuracy(model, replace(data, mask=None), validation) < share


def test_the_mask_of_a_recipe_replaces_those_of_the_data(tmp_path: Path) -> None:
    data = from_arrays("x", torch.zeros(2, 20), [0, 1], mask=~MASK, bounds=(0, 1))
    assert with_mask(data, None) is data
    np.save(tmp_path / "mask.npy", MASK.numpy())
    found = with_mask(data, str(tmp_path / "mask.npy")).mask
    assert found is not None
    assert torch.equal(found, MASK)
    np.save(tmp_path / "wrong.npy", MASK[:7].numpy())
    with pytest.raises(InputError, match=r"^mask: the mask has shape \[7\]; expected one that"):
        with_mask(data, str(tmp_path / "wrong.npy"))
    with pytest.raises(InputError, match=r"x has bounds of its own; training takes inputs in 0..1"):
        with_mask(replace(data, bounds=(0.0, torch.ones(20))), None)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::UserWarning:lightning_fabric")
def test_a_recipe_with_a_mask_trains_and_continues_with_the_same_mask_only(
    digits: Path, tmp_path: Path
) -> None:
    mask = np.zeros((28, 28), dtype=bool)
    mask[:, :14] = True
    file = tmp_path / "mask.npy"
    np.save(file, mask)
    recipe = recipe_of(
        digits,
        objective="madry(epsilon=0.5, steps=2)",
        epochs=1,
        mask=str(file),
        robust_validation={"epsilon": 0.5, "attack": "ddn(steps=3)", "images": 20},
    )
    card = train(recipe, tmp_path / "run")
    assert card.epoch == 1
    np.save(file, ~mask)
    longer = recipe.model_copy(update={"epochs": 1})
    with pytest.raises(RunConflictError, match=r"mask of .* changed since the run"):
        train(longer, tmp_path / "run", resume=True)
