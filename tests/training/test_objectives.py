"""The objectives: what they train on, and that they leave the model as it was."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from attacks.networks import Linear
from minnorm.attacks import ddn as attack
from minnorm.geometry import distances
from minnorm.training import (
    OBJECTIVES,
    Adversarial,
    Objective,
    clean,
    closest,
    ddn,
    ensemble,
    fgsm,
    load_objective,
    madry,
    trades,
)
from minnorm.training.objectives.contract import under_attack
from minnorm.training.objectives.memory import Memory

FIXED = f"{__name__}:another"

DEFENSES: dict[str, Callable[[], Objective]] = {
    "madry": lambda: madry(epsilon=0.5),
    "madry linf": lambda: madry(epsilon=0.1, norm="linf"),
    "ddn": lambda: ddn(max_norm=0.5, steps=20),
    "closest": lambda: closest(max_norm=0.5),
    "closest linf": lambda: closest(max_norm=0.1, attack="fmn(norm='linf', steps=30)"),
}

MIXED: dict[str, Callable[[], Objective]] = {
    "fgsm": lambda: fgsm(epsilon=0.1, weight=0.3),
    "fgsm l2": lambda: fgsm(epsilon=0.5, norm="l2", weight=0.3),
    "ensemble": lambda: ensemble(models=[FIXED], epsilon=0.1, weight=0.3),
    "trades": lambda: trades(epsilon=0.1),
    "trades l2": lambda: trades(epsilon=0.5, norm="l2"),
}


def another() -> nn.Module:
    return Linear(20, 5, seed=7).eval()


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


SMOOTHED = {
    "clean": "clean(label_smoothing={})",
    "madry": "madry(epsilon=0.3, label_smoothing={})",
    "ddn": "ddn(max_norm=0.5, steps=5, label_smoothing={})",
    "closest": "closest(max_norm=0.5, attack='ddn(steps=5)', label_smoothing={})",
    "fgsm": "fgsm(epsilon=0.1, label_smoothing={})",
    "ensemble": f"ensemble(models=['{FIXED}'], epsilon=0.1, label_smoothing={{}})",
    "trades": "trades(epsilon=0.1, label_smoothing={})",
}


def test_every_objective_can_smooth_labels() -> None:
    assert SMOOTHED.keys() == OBJECTIVES.keys()


@pytest.mark.parametrize("name", SMOOTHED)
def test_smoothed_labels_add_the_mean_over_the_classes(name: str) -> None:
    # (1 - s) J(y) + s mean_k J(k) is linear in s: what half of it adds is half of what it adds.
    losses = []
    for share in (0.0, 0.2, 0.4):
        model, inputs, labels = problem()
        model.dropout.p = 0
        torch.manual_seed(3)
        losses.append(load_objective(SMOOTHED[name].format(share))(model, inputs, labels).item())
    assert abs(losses[1] - losses[0]) > 1e-3
    assert losses[2] - losses[1] == pytest.approx(losses[1] - losses[0], rel=1e-3)


def test_a_warm_start_needs_an_attack_that_takes_starts() -> None:
    closest(max_norm=0.5, attack="normal_pursuit(budget=20)", warm_start=True)
    with pytest.raises(ValueError, match="'superdeepfool' takes no starts"):
        closest(max_norm=0.5, attack="superdeepfool", warm_start=True)


@pytest.mark.parametrize("share", [-0.1, 1.0, "no"])
def test_a_share_that_is_none_is_refused(share: object) -> None:
    for spec in SMOOTHED.values():
        with pytest.raises(
            ValueError, match=r"label_smoothing=.*: expected a number of at least 0"
        ):
            load_objective(spec.format(repr(share)))


def of_a_user(*, weight: float) -> Objective:
    return lambda model, inputs, labels: weight * cross_entropy(model(inputs), labels)


def no_objective() -> str:
    return "no"


def test_an_objective_of_the_user_is_named_by_its_function() -> None:
    model, inputs, labels = problem()
    model.dropout.p = 0
    half = load_objective(f"{__name__}:of_a_user(weight=0.5)")(model, inputs, labels)
    torch.testing.assert_close(half, 0.5 * clean()(model, inputs, labels))
    with pytest.raises(ValueError, match=r"no_objective' gave str, expected an objective"):
        load_objective(f"{__name__}:no_objective")
    with pytest.raises(ValueError, match="of_a_user"):
        load_objective(f"{__name__}:of_a_user(width=0.5)")


@pytest.mark.parametrize("name", DEFENSES)
def test_a_defense_trains_on_perturbed_inputs_alone(name: str) -> None:
    model, inputs, labels = problem()
    torch.manual_seed(3)
    loss = DEFENSES[name]()(model, inputs, labels)
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
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.network.weight.grad is not None
    assert model.network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("name", [*DEFENSES, *MIXED])
def test_the_attack_sees_the_frozen_model_in_evaluation_mode(name: str) -> None:
    model, inputs, labels = problem()
    model.network.bias.requires_grad_(False)
    {**DEFENSES, **MIXED}[name]()(model, inputs, labels)
    assert len(model.trained_on) == 1
    assert not model.attacked_with_gradients
    assert model.training
    assert model.dropout.training
    assert not model.frozen.training
    assert model.network.weight.requires_grad
    assert not model.network.bias.requires_grad


@pytest.mark.parametrize("name", DEFENSES)
def test_what_is_random_follows_from_the_global_seed(name: str) -> None:
    seen = []
    for seed in (1, 1, 2):
        model, inputs, labels = without_dropout()
        torch.manual_seed(seed)
        DEFENSES[name]()(model, inputs, labels)
        seen += model.trained_on
    assert seen[0].equal(seen[1])
    assert seen[0].equal(seen[2]) == (not name.startswith("madry"))


def test_low_precision_leaves_the_update_its_gradients() -> None:
    model, inputs, labels = problem()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = madry(epsilon=0.5)(model, inputs, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    assert model.network.weight.grad is not None
    assert model.network.weight.grad.abs().sum() > 0


@pytest.mark.parametrize("steps", [1, 3])
def test_trades_begins_in_full_precision(steps: int) -> None:
    seen = []
    for low in (False, True):
        model, inputs, labels = without_dropout()
        torch.manual_seed(0)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=low):
            trades(epsilon=0.5, norm="l2", steps=steps)(model, inputs, labels)
        seen.append(model.trained_on[0][12:] - inputs)
    # Where the first step leads decides the rest.
    cosines = torch.cosine_similarity(seen[0], seen[1])
    assert cosines.min() > (0.999999 if steps == 1 else 0.99)


def test_a_warm_start_inside_another_objective_is_refused() -> None:
    model, inputs, labels = problem()
    with pytest.raises(ValueError, match="warm_start=True: nothing is remembered"):
        madry(epsilon=0.5, warm_start=True)(model, inputs, labels)


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


def without_dropout() -> tuple[Watched, Tensor, Tensor]:
    model, inputs, labels = problem()
    model.dropout.p = 0.0
    return model, inputs, labels


@pytest.mark.parametrize("name", MIXED)
def test_some_defenses_train_on_the_inputs_too(name: str) -> None:
    model, inputs, labels = problem()
    MIXED[name]()(model, inputs, labels)
    (seen,) = model.trained_on
    assert torch.equal(seen[:12], inputs)
    norm, radius = ("l2", 0.5) if name.endswith("l2") else ("linf", 0.1)
    moved = distances(seen[12:], inputs, norm)  # type: ignore[arg-type]
    assert (moved > 0).all()
    assert (moved <= radius * (1 + 1e-5)).all()
    assert seen.min() >= 0
    assert seen.max() <= 1


def test_fgsm_takes_one_step_along_the_sign_and_weighs_the_losses() -> None:
    model, inputs, labels = without_dropout()
    loss = fgsm(epsilon=0.1, weight=0.3)(model, inputs, labels)
    variables = inputs.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(
        cross_entropy(model.eval()(variables), labels, reduction="sum"), variables
    )
    points = (inputs + 0.1 * gradients.sign()).clamp(0, 1)
    torch.testing.assert_close(model.trained_on[0][12:], points)
    expected = 0.3 * cross_entropy(model(inputs), labels)
    expected += 0.7 * cross_entropy(model(points), labels)
    torch.testing.assert_close(loss, expected)


def test_an_ensemble_draws_its_source_for_each_batch() -> None:
    objective = ensemble(models=[FIXED], epsilon=0.1)
    expected = []
    for source in (problem()[0].eval(), another()):
        _, inputs, labels = problem()
        variables = inputs.clone().requires_grad_()
        (gradients,) = torch.autograd.grad(
            cross_entropy(source(variables), labels, reduction="sum"), variables
        )
        expected.append((inputs + 0.1 * gradients.sign()).clamp(0, 1))
    drawn = []
    torch.manual_seed(0)
    for _ in range(40):
        model, inputs, labels = problem()
        objective(model, inputs, labels)
        points = model.trained_on[0][12:]
        drawn.append([torch.allclose(points, one, atol=1e-6) for one in expected])
    assert all(sum(hits) == 1 for hits in drawn)
    assert 8 <= sum(hits[1] for hits in drawn) <= 32


def test_others_are_networks() -> None:
    with pytest.raises(ValueError, match=r"others=\['zoo:mnist-cnn'\]: expected networks"):
        Adversarial(Mock(), Mock(), others=["zoo:mnist-cnn"])  # type: ignore[list-item]


@pytest.mark.parametrize("models", [[], 5, "zoo:mnist-cnn", ["zoo:no-such-network"]])
def test_an_ensemble_needs_models(models: object) -> None:
    with pytest.raises(ValueError, match=r"models=|no-such-network"):
        ensemble(models=models, epsilon=0.1)  # type: ignore[arg-type]


def test_an_ensemble_runs_no_pickles(tmp_path: Path) -> None:
    torch.save(another(), tmp_path / "net.pt")
    with pytest.raises(ValueError, match=r"models: .*net.pt.* would run code.*convert it"):
        ensemble(models=[f"{tmp_path}/net.pt + {FIXED}"], epsilon=0.1)


def test_trades_looks_for_another_answer_and_weighs_the_divergence() -> None:
    model, inputs, labels = without_dropout()
    loss = trades(epsilon=0.5, norm="l2", beta=3.0)(model, inputs, labels)
    points = model.trained_on[0][12:]

    def divergences(moved: Tensor) -> Tensor:
        p, q = (model.eval()(one).softmax(1) for one in (inputs, moved))
        result: Tensor = (p * (p / q).log()).sum(1)
        return result

    random = inputs + 0.5 * nn.functional.normalize(torch.randn_like(inputs))
    assert divergences(points).mean() > 2 * divergences(random.clamp(0, 1)).mean()
    expected = cross_entropy(model(inputs), labels) + 3 * divergences(points).mean()
    torch.testing.assert_close(loss, expected)


def test_trades_trains_both_answers() -> None:
    model, inputs, labels = without_dropout()
    trades(epsilon=0.5, norm="l2", beta=3.0)(model, inputs, labels).backward()  # type: ignore[no-untyped-call]
    points = model.trained_on[0][12:]
    found = model.network.weight.grad
    model.zero_grad()
    p, q = (model.eval()(one).softmax(1) for one in (inputs, points))
    expected = cross_entropy(model(inputs), labels) + 3 * (p * (p / q).log()).sum(1).mean()
    expected.backward()
    torch.testing.assert_close(found, model.network.weight.grad)


def test_adversarials_that_are_too_far_are_scaled_to_the_largest_norm() -> None:
    model, inputs, labels = problem()
    found = attack(model.eval(), inputs, labels, steps=50)
    limit = float(found.distances.median())
    model.train()
    ddn(max_norm=limit, steps=50)(model, inputs, labels)
    (points,) = model.trained_on
    shares = (limit / found.distances).clamp(max=1)[:, None]
    assert (shares < 1).sum() == 6
    torch.testing.assert_close(points, inputs + shares * (found.adversarials - inputs))


def started_from(starts: Tensor, inputs: Tensor, **settings: Any) -> tuple[Watched, Tensor]:
    """Gives the points that the Madry defense reaches from given ones, and the model."""
    model, _, labels = problem()
    objective = madry(epsilon=0.5, warm_start=True, **settings)
    assert isinstance(objective, Adversarial)
    objective.memory = Memory(12)
    objective.memory.turn_to(torch.arange(12), inputs, lambda images: images)
    objective.memory.keep(inputs, starts)
    objective(model, inputs, labels)
    return model, model.trained_on[0]


def test_madry_goes_on_from_where_the_samples_were() -> None:
    _, inputs, labels = problem()
    starts = (inputs + 0.05 * torch.randn(inputs.shape)).clamp(0, 1)
    _, points = started_from(starts, inputs, steps=1, step_size=1e-6)
    torch.testing.assert_close(points, starts, rtol=0, atol=1e-3)  # it is kept in float16
    model, points = started_from(inputs, inputs, steps=1, step_size=0.02)
    variables = inputs.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(
        cross_entropy(model.eval()(variables), labels, reduction="sum"), variables
    )
    expected = inputs + 0.02 * gradients / gradients.norm(dim=1, keepdim=True)
    torch.testing.assert_close(points, expected.clamp(0, 1))


def test_madry_begins_anywhere_in_the_ball() -> None:
    model, inputs, labels = problem()
    middle = torch.full_like(inputs, 0.5)  # nothing is clipped
    shares = []
    for _ in range(20):
        madry(epsilon=0.4, steps=1, step_size=1e-6)(model, middle, labels)
        shares.append(distances(model.trained_on.pop(), middle) / 0.4)
    assert torch.cat(shares).max() <= 1 + 1e-4
    uniform = torch.cat(shares) ** 20  # so it is, in 20 dimensions
    assert uniform.mean() == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("fgsm(epsilon=0)", "epsilon=0"),
        ("fgsm(epsilon=0.1, weight=1.0)", "weight=1.0"),
        ("fgsm(epsilon=0.1, norm='l0')", "l0"),
        ("trades(epsilon=0.1, beta=0)", "beta=0"),
        ("trades(epsilon=0.1, steps=0)", "steps=0"),
        ("closest(max_norm=0)", "max_norm=0"),
        ("closest(max_norm=1, attack='dnn')", "dnn"),
        ("ddn(max_norm=1, gamma=2)", "gamma=2"),
    ],
)
def test_what_is_not_as_described_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_objective(spec)


class WithAHead(nn.Module):
    """A network of a user's, whose part is called as the wrappers call what they wrap."""

    def __init__(self) -> None:
        super().__init__()
        self.module = nn.Sequential(nn.Flatten(), nn.Linear(4, 3))
        self.head = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.head(self.module(inputs))
        return logits


def test_a_network_whose_part_is_called_module_is_attacked_as_a_whole() -> None:
    network = WithAHead()
    with under_attack(network) as target:
        assert target is network
        assert not network.training
