"""The contract on linear models, where the closest adversarial is known in closed form."""

import pytest
import torch

from attacks.cases import VARIANTS, Attack, Case, takes
from attacks.networks import Linear, problem
from minnorm.geometry import Norm
from reference.linear import optimal_distances

pytestmark = pytest.mark.parametrize("name", VARIANTS)


@pytest.mark.parametrize(("classes", "targeted"), [(2, False), (5, False), (2, True), (5, True)])
def test_never_closer_than_the_optimum(
    attack: Attack, norm: Norm, classes: int, targeted: bool
) -> None:
    model, inputs, labels = problem(
        (1, 4, 4), batch=20, classes=classes, dtype=torch.float64, network=Linear
    )
    labels = (labels + 1) % classes if targeted else labels
    result = attack(model, inputs, labels, targeted=targeted)
    limits = optimal_distances(
        model.weight, model.bias, inputs, labels, targeted=targeted, norm=norm
    )
    assert (result.distances >= limits * (1 - 1e-9)).all()


@pytest.mark.parametrize("features", [2, 100])
def test_near_the_optimum(attack: Attack, case: Case, norm: Norm, features: int) -> None:
    model, inputs, labels = problem(
        (features,), batch=20, classes=2, dtype=torch.float64, network=Linear
    )
    result = attack(model, inputs, labels, **case.patient)
    assert result.success.all() or not case.many_gradients
    optima = optimal_distances(model.weight, model.bias, inputs, labels, norm=norm)
    ratios = result.distances / optima
    ratios = ratios[result.success]
    assert (ratios >= 1 - 1e-9).all()
    assert takes(attack, "epsilon") or ratios.median() <= case.slack, f"{ratios.median():.3f}"
