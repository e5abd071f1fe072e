"""The objectives: what they train on, and that they leave the model as it was."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.networks import Linear
from minnorm.attacks import ddn as attack
from minnorm.geometry import distances
from minnorm.training import Objective, clean, ddn, load_objective, madry

DEFENSES: dict[str, Callable[[], Objective]] = {
    "madry": lambda: madry(epsilon=0.5),
    "madry linf": lambda: madry(epsilon=0.1, norm="linf"),
    "ddn": lambda: ddn(max_norm=0.5, steps=20),
}


class Watched(nn.Module):
    """Keeps what it is trained on, and whether parameters were frozen when it was attacked."""

    def __init__(self) -> None:
        super().__init__()
        self.network = Linear(20, 5)
        self.dropout = nn.Dropout(0.5)
        self.frozen = nn.BatchNorm1d(20).eval()
        self.trained_on: list[Tensor] = []
        self.attacked_with_gradients = False

    def forward(self, inputs: Tensor) -> Tensor:
        if self.training:
            self.trained_on.append(inputs.detach().clone())
            return self.network(self.dropout(self.frozen(inputs)) * 1.0)  # type: ignore[no-any-return]
        self.attacked_with_gradients |= any(p.requires_grad for p in self.parameters())
        return self.network(self.frozen(inputs))  # type: ignore[no-any-return]


def problem() -> tuple[Watched, Tensor, Tensor]:
    model = Watched()
    inputs = torch.rand(12, 20, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        labels = model.eval()(inputs).argmax(1)
    model.train()
    model.frozen.eval()
    model.attacked_with_gradients = False
    return model, inputs, labels


def test_the_clean_objective_is_the_mean_cross_entropy() -> None:
    logits, labels = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    expected = -logits.log_softmax(1)[range(5), labels].mean()
    torch.testing.assert_close(clean()(nn.Identity(), logits, labels), expected)


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defense_trains_on_perturbed_inputs_alone(name: str) -> None:
    model, inputs, labels = problem()
    torch.manual_seed(3)
    loss = DEFENSES[name]()(model, inputs, labels)
    (points,) = model.trained_on
    norm, radius = ("linf", 0.1) if name == "madry linf" else ("l2", 0.5)
    moved = distances(points, inputs, norm)  # type: ignore[arg-type]
    assert (moved > 0).all()
    assert (moved <= radius * (1 + 1e-5)).all()
    assert points.min() >= 0
    assert points.max() <= 1
    with torch.no_grad():
        reached = cross_entropy(model.eval()(points), labels)
        assert reached > cross_entropy(model(inputs), labels) + 0.1
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.network.weight.grad is not None
    assert model.network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", DEFENSES)
def test_the_attack_sees_the_frozen_model_in_evaluation_mode(name: str) -> None:
    model, inputs, labels = problem()
    model.network.bias.requires_grad_(False)
    DEFENSES[name]()(model, inputs, labels)
    assert len(model.trained_on) == 1
    assert not model.attacked_with_gradients
    assert model.training
    assert model.dropout.training
    assert not model.frozen.training
    assert model.network.weight.requires_grad
    assert not model.network.bias.requires_grad


@pytest.mark.parametrize("name", DEFENSES)
def test_what_is_random_follows_from_the_global_seed(name: str) -> None:
    losses = []
    for seed in (1, 1, 2):
        model, inputs, labels = problem()
        torch.manual_seed(seed)
        losses.append(DEFENSES[name]()(model, inputs, labels).item())
    assert losses[0] == losses[1]
    assert losses[0] != losses[2]


def test_low_precision_leaves_the_update_its_gradients() -> None:
    model, inputs, labels = problem()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = madry(epsilon=0.5)(model, inputs, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.network.weight.grad is not None
    assert model.network.weight.grad.abs().sum() > 0


def test_the_samples_of_madry_begin_at_points_of_their_own() -> None:
    model, inputs, labels = problem()
    same = inputs[:1].expand(12, 20).contiguous()
    madry(epsilon=0.5, steps=1, step_size=1e-6)(model, same, labels[:1].expand(12))
    (points,) = model.trained_on
    assert len({tuple(point.tolist()) for point in points}) == 12


def test_ddn_trains_on_the_closest_adversarials_where_they_are_near_enough() -> None:
    model, inputs, labels = problem()
    ddn(max_norm=100.0, steps=50)(model, inputs, labels)
    (points,) = model.trained_on
    expected = attack(model.eval(), inputs, labels, steps=50)
    assert expected.success.all()
    torch.testing.assert_close(points, expected.adversarials)


def test_ddn_trains_on_the_input_where_the_model_errs_already() -> None:
    model, inputs, labels = problem()
    ddn(max_norm=0.5, steps=5)(model, inputs, (labels + 1) % 5)
    (points,) = model.trained_on
    assert torch.equal(points, inputs)


def test_an_objective_has_no_slice() -> None:
    with pytest.raises(ValueError, match="an objective has no slice"):
        load_objective("clean[:3]")
