"""The contract of the result: it agrees with the model, for inputs of any kind."""

import pytest
import torch
from torch import Tensor

from attacks.agreement import check_agreement
from attacks.cases import (
    RADIUS_VARIANTS,
    STARTED_VARIANTS,
    VARIANTS,
    Attack,
    Case,
    effort,
    takes,
)
from attacks.networks import Curved, Linear, problem
from minnorm.geometry import Norm, distances

every_attack = pytest.mark.parametrize("name", VARIANTS)


@every_attack
@pytest.mark.parametrize(
    ("shape", "batch", "dtype", "targeted"),
    [
        ((), 7, torch.float32, False),
        ((), 7, torch.float64, True),
        ((3,), 1, torch.float16, False),
        ((3,), 1, torch.float32, True),
        ((1, 4, 4), 7, torch.bfloat16, False),
        ((1, 4, 4), 7, torch.float16, True),
        ((1, 4, 4), 7, torch.float32, True),
        ((2, 3, 2, 2), 3, torch.float64, False),
        ((2, 3, 2, 2), 3, torch.bfloat16, True),
    ],
    ids=str,
)
def test_result_agrees_with_the_model(
    attack: Attack,
    norm: Norm,
    batch: int,
    shape: tuple[int, ...],
    *,
    dtype: torch.dtype,
    targeted: bool,
) -> None:
    model, inputs, labels = problem(shape, batch=batch, dtype=dtype)
    wanted = (labels + 1) % 5 if targeted else labels
    result = attack(model, inputs, wanted, targeted=targeted)
    assert result.adversarials.dtype == dtype
    assert result.adversarials.shape == inputs.shape
    check_agreement(result, model, inputs, wanted, norm, targeted=targeted)
    # A single pixel may be unable to reach another class, and a single gradient the wanted one.
    # And in half precision steps to the target class can be smaller than the rounding.
    exact = dtype.itemsize > 2 or not targeted
    if shape != () and batch > 1 and exact and not takes(attack, "epsilon"):
        assert result.success.float().mean() > 0.5


@every_attack
def test_any_number_of_classes(attack: Attack, case: Case, norm: Norm) -> None:
    for classes in (2, 3, 100):
        model, inputs, labels = problem((20,), classes=classes)
        result = attack(model, inputs, labels)
        assert result.success.all() or not case.many_gradients
        assert result.success.any()
        check_agreement(result, model, inputs, labels, norm, targeted=False)


@pytest.mark.parametrize("name", RADIUS_VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.float16])
def test_adversarials_are_within_the_radius(attack: Attack, norm: Norm, dtype: torch.dtype) -> None:
    model, inputs, labels = problem((1, 8, 8), batch=50, dtype=dtype)
    for epsilon in (0.1, 0.15, 0.3, 0.7):
        result = attack(model, inputs, labels, epsilon=epsilon)
        assert result.success.any()
        assert (distances(result.adversarials, inputs, norm)[result.success] <= epsilon).all()


@every_attack
def test_empty_batch(attack: Attack) -> None:
    model, inputs, labels = problem((3,))
    result = attack(model, inputs[:0], labels[:0])
    assert result.adversarials.shape == (0, 3)
    assert result.success.shape == result.distances.shape == (0,)


@every_attack
def test_never_calls_the_model_with_an_empty_batch(attack: Attack) -> None:
    model, inputs, labels = problem((1, 4, 4))

    def strict(points: Tensor) -> Tensor:
        assert len(points) > 0
        logits: Tensor = model(points)
        return logits

    result = attack(strict, inputs, labels)
    assert result.success.any()


@every_attack
def test_logits_may_be_wider_than_the_inputs(attack: Attack, case: Case) -> None:
    model, inputs, labels = problem((20,))
    result = attack(lambda points: model(points).double(), inputs, labels)
    assert result.success.all() or not case.many_gradients
    assert result.adversarials.dtype == torch.float32


@every_attack
def test_one_step_works_and_its_point_counts(attack: Attack, case: Case, norm: Norm) -> None:
    model, inputs, labels = problem((20,), network=Linear, classes=2)
    result = attack(model, inputs, labels, **case.one_step)
    check_agreement(result, model, inputs, labels, norm, targeted=False)
    assert result.success.any()


@every_attack
@pytest.mark.parametrize("targeted", [False, True])
def test_inputs_that_are_already_adversarial_stay_as_they_are(
    attack: Attack, targeted: bool
) -> None:
    model, inputs, labels = problem((1, 4, 4))
    given = labels if targeted else (labels + 1) % 5
    result = attack(model, inputs, given, targeted=targeted)
    assert result.success.all()
    assert result.distances.eq(0).all()
    assert torch.equal(result.adversarials, inputs)


@pytest.mark.parametrize("name", STARTED_VARIANTS)
def test_starts_are_used_and_kept_when_they_are_best(attack: Attack) -> None:
    model, inputs, labels = problem((20,), network=Curved)
    first = attack(model, inputs, labels, **{effort(attack): 300})
    warm = attack(model, inputs, labels, **{effort(attack): 8}, starts=first.adversarials)
    assert (warm.distances <= first.distances).all()
    wrong = (labels + 1) % 5
    again = attack(model, inputs, wrong, **{effort(attack): 8}, starts=first.adversarials)
    assert again.distances.eq(0).all()
