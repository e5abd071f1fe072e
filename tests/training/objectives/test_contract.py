"""What holds for all objectives, and the data of an adversarial one."""

from dataclasses import FrozenInstanceError, replace
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.errors import InputError
from minnorm.geometry import distances
from minnorm.training import OBJECTIVES, Adversarial, load_objective, madry
from training.objectives.cases import DEFENSES, FIXED, MIXED, loss_of, points_of, problem

SMOOTHED = {
    "clean": "clean(label_smoothing={})",
    "madry": "madry(epsilon=0.3, label_smoothing={})",
    "ddn": "ddn(max_norm=0.5, steps=5, label_smoothing={})",
    "closest": "closest(max_norm=0.5, attack='ddn(steps=5)', label_smoothing={})",
    "fgsm": "fgsm(epsilon=0.1, label_smoothing={})",
    "ensemble": f"ensemble(models=['{FIXED}'], epsilon=0.1, label_smoothing={{}})",
    "trades": "trades(epsilon=0.1, label_smoothing={})",
}


def test_every_objective_has_a_case_with_smoothed_labels() -> None:
    assert SMOOTHED.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothed_labels_add_the_mean_over_the_classes(name: str) -> None:
    # (1 - s) J(y) + s mean_k J(k) is linear in s: doubling s doubles what it adds.
    losses = []
    for share in (0.0, 0.2, 0.4):
        torch.manual_seed(3)
        losses.append(loss_of(load_objective(SMOOTHED[name].format(share)), *problem()).item())
    assert abs(losses[1] - losses[0]) > 1e-3
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


@pytest.mark.parametrize("name", SMOOTHED)
def test_labels_are_not_smoothed_by_default(name: str) -> None:
    losses = []
    for setting in ("label_smoothing=0.0", ""):
        torch.manual_seed(3)
        spec = SMOOTHED[name].replace("label_smoothing={}", setting).replace(", )", ")")
        losses.append(loss_of(load_objective(spec), *problem()))
    assert losses[0].equal(losses[1])


@pytest.mark.parametrize("share", [-0.1, 1.0, "no"])
def test_a_wrong_share_of_smoothing_is_refused(share: object) -> None:
    for spec in SMOOTHED.values():
        with pytest.raises(
            InputError, match=r"label_smoothing=.*: expected a number of at least 0 and below 1"
        ):
            load_objective(spec.format(repr(share)))


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defense_trains_on_perturbed_inputs_alone(name: str) -> None:
    model, inputs, labels = problem()
    torch.manual_seed(3)
    loss = loss_of(load_objective(DEFENSES[name]), model, inputs, labels)
    (points,) = model.trained_on
    norm, radius = ("linf", 0.1) if name.endswith("linf") else ("l2", 0.5)
    moved = distances(points, inputs, norm)  # type: ignore[arg-type]
    assert (moved > 0).all()
    assert (moved <= radius * (1 + 1e-5)).all()
    assert points.min() >= 0
    assert points.max() <= 1
    with torch.no_grad():
        reached = cross_entropy(model.eval()(points), labels)
        assert reached > cross_entropy(model(inputs), labels) + 0.1
    torch.testing.assert_close(loss, reached)
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.network.weight.grad is not None
    assert model.network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", MIXED)
def test_mixed_objectives_train_on_the_inputs_too(name: str) -> None:
    model, inputs, labels = problem()
    points = points_of(MIXED[name], model, inputs, labels)
    (seen,) = model.trained_on
    assert seen.equal(torch.cat([inputs, points]))
    norm, radius = ("l2", 0.5) if name.endswith("l2") else ("linf", 0.1)
    moved = distances(points, inputs, norm)  # type: ignore[arg-type]
    assert (moved > 0).all()
    assert (moved <= radius * (1 + 1e-5)).all()
    assert points.min() >= 0
    assert points.max() <= 1


@pytest.mark.parametrize("name", DEFENSES)
def test_random_numbers_follow_from_the_global_seed(name: str) -> None:
    seen = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        seen.append(points_of(DEFENSES[name], *problem()))
    assert seen[0].equal(seen[1])
    assert seen[0].equal(seen[2]) == (not name.startswith("madry"))


@pytest.mark.parametrize("name", [*DEFENSES, *MIXED])
def test_an_attack_draws_from_its_generator_alone(name: str) -> None:
    objective = load_objective({**DEFENSES, **MIXED}[name])
    assert isinstance(objective, Adversarial)
    model, inputs, labels = problem()
    points = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        state = torch.get_rng_state()
        generator = torch.Generator().manual_seed(3)
        points.append(objective.perturb(model.eval(), inputs, labels, None, generator))
        assert torch.get_rng_state().equal(state)
    assert points[0].equal(points[1])


def test_an_adversarial_objective_is_data() -> None:
    network = nn.Identity()
    objective = Adversarial(Mock(), Mock(), warm_start=True, others=(network,))
    assert objective.warm_start
    assert objective.others == (network,)
    assert not callable(objective)
    with pytest.raises(FrozenInstanceError):
        objective.warm_start = False  # type: ignore[misc]  # what is tested


def test_an_adversarial_objective_has_no_warm_start_by_default() -> None:
    objective = Adversarial(Mock(), Mock())
    assert (objective.warm_start, objective.others) == (False, ())


def test_a_part_of_an_objective_can_be_replaced() -> None:
    inner = madry(epsilon=0.5)

    def half(model: nn.Module, inputs: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        return 0.5 * inner.loss(model, inputs, points, labels)

    losses = []
    for objective in (inner, replace(inner, loss=half)):
        torch.manual_seed(0)
        losses.append(loss_of(objective, *problem()))
    torch.testing.assert_close(losses[1], 0.5 * losses[0])


def test_others_are_networks_and_a_warm_start_is_yes_or_no() -> None:
    with pytest.raises(InputError, match=r"others=\('zoo:mnist-cnn',\): expected networks"):
        Adversarial(Mock(), Mock(), others=("zoo:mnist-cnn",))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="warm_start=1: expected True or False"):
        Adversarial(Mock(), Mock(), warm_start=1)  # type: ignore[arg-type]
