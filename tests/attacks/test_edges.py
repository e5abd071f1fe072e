"""What single attacks do at the edges: huge and tiny numbers, half precision, their own options."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.cases import takes
from attacks.networks import Linear, problem
from minnorm import attacks
from minnorm.attacks.search import search
from minnorm.evaluation.judge import CountingModel
from minnorm.losses import margins

GEOMETRIC = ["alma", "ddn", "deepfool", "fab", "fmn", "superdeepfool"]


def median(distances: Tensor) -> float:
    return float(distances.median())


@pytest.mark.parametrize("size", [1e-24, 1e20])
@pytest.mark.parametrize("name", GEOMETRIC)
def test_logits_of_any_size_have_the_same_boundary(name: str, size: float) -> None:
    model, inputs, labels = problem((20,), batch=60)
    attack: Callable[..., attacks.AttackResult] = attacks.ATTACKS[name]
    settings = {"steps": 100} if name == "alma" else {}
    plain = attack(model, inputs, labels, **settings)
    scaled = attack(lambda x: model(x) * size, inputs, labels, **settings)
    assert scaled.success.all()
    # The cross-entropy of nearly equal logits leads away from all classes at once.
    slack = 1.5 if name == "ddn" else 1.1
    assert median(scaled.distances) < slack * median(plain.distances)


@pytest.mark.parametrize("classes", [2, 5, 10])
def test_fmn_does_not_stall_where_clipping_takes_much_away(classes: int) -> None:
    model, inputs, labels = problem((20,), batch=100, classes=classes, network=Linear)
    assert attacks.fmn(model, inputs, labels).success.all()


@pytest.mark.parametrize("name", ["carlini_wagner", "pdgd"])
def test_adam_works_in_float16(name: str) -> None:
    attack: Callable[..., attacks.AttackResult] = attacks.ATTACKS[name]
    settings: dict[str, Any] = {"steps": 100, "step_size": 0.05}
    model, inputs, labels = problem((20,), batch=20)
    model.weight.data[:, :5] = 0  # entries without a gradient
    labels = model(inputs).argmax(1)
    exact = attack(model, inputs, labels, **settings)
    half = attack(model.half(), inputs.half(), model(inputs.half()).argmax(1), **settings)
    assert half.success.all()
    assert median(half.distances) < 1.1 * median(exact.distances)


@pytest.mark.parametrize("name", ["deepfool", "fab"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_steps_are_not_lost_in_rounding(name: str, dtype: torch.dtype) -> None:
    model, inputs, labels = problem((3, 8, 8), batch=50, dtype=dtype)
    assert attacks.ATTACKS[name](model, inputs, labels).success.float().mean() > 0.95


def test_carlini_wagner_starts_inside_of_any_bounds() -> None:
    model, inputs, _ = problem((20,))
    low, high = 20.0, 20.1

    def shifted(points: Tensor) -> Tensor:
        logits: Tensor = model((points - low) / (high - low))
        return logits

    inputs = (low + (high - low) * inputs.round()).clamp(low, high)  # all of them at a bound
    labels = shifted(inputs).argmax(1)
    result = attacks.carlini_wagner(
        shifted, inputs, labels, steps=100, step_size=0.1, bounds=(low, high)
    )
    assert result.adversarials.isfinite().all()
    assert result.success.all()


def test_confidence_is_a_margin_beyond_the_boundary() -> None:
    model, inputs, labels = problem((20,))
    settings: dict[str, Any] = {"steps": 100, "searches": 6, "step_size": 0.05}
    plain = attacks.carlini_wagner(model, inputs, labels, **settings)
    sure = attacks.carlini_wagner(model, inputs, labels, confidence=0.2, **settings)
    assert sure.success.all()
    assert (margins(model(sure.adversarials), labels) <= -0.2).all()
    assert (margins(model(plain.adversarials), labels) > -0.2).any()
    assert (sure.distances > plain.distances).all()
    # No step is so long that it gets that far by itself.
    farther = attacks.carlini_wagner(model, inputs, labels, confidence=1.5, **settings)
    assert farther.success.all()
    assert (farther.distances > sure.distances).all()


def test_the_constant_is_zero_where_nothing_had_to_change() -> None:
    model, inputs, labels = problem((20,))
    labels[::2] = (labels[::2] + 1) % 5
    found = attacks.carlini_wagner(model, inputs, labels, steps=50, step_size=0.05)
    assert (found.constants[::2] == 0).all()
    assert (found.constants[1::2] > 0).all()


def test_an_early_abort_saves_gradients_and_costs_little() -> None:
    model, inputs, labels = problem((20,), batch=20)
    settings: dict[str, Any] = {"steps": 300, "searches": 4, "step_size": 0.05}
    spent, found = [], []
    for abort_early in (False, True):
        counted = CountingModel(model)
        result = attacks.carlini_wagner(
            counted, inputs, labels, abort_early=abort_early, initial_constant=1.0, **settings
        )
        spent.append(counted.backwards)
        found.append(result.distances.mean())
    assert spent[1] < 0.8 * spent[0]
    assert found[1] < 1.02 * found[0]


def test_what_is_already_misclassified_costs_carlini_wagner_little() -> None:
    model, inputs, labels = problem((20,), batch=5)
    counted = CountingModel(model)
    attacks.carlini_wagner(counted, inputs, (labels + 1) % 5, steps=1000, searches=1)
    assert counted.backwards <= 5 * 700


@pytest.mark.parametrize("classes", [3, 5])
def test_the_targeted_ratio_has_a_gradient_for_the_third_likeliest_class(classes: int) -> None:
    model, inputs, _ = problem((20,), batch=50, classes=classes)
    third = model(inputs).argsort(1, descending=True)[:, 2]
    with search(model, inputs, third, targeted=True, bounds=(0.0, 1.0), generator=None) as state:
        values, directions = state.logits_ratios(model(inputs))
    assert (values > 0).all()
    assert (directions.norm(dim=1) > 0).all()
    by_ratio, by_entropy = (
        attacks.apgd_min_norm(model, inputs, third, targeted=True, steps=20, loss=loss)
        for loss in ("dlr", "cross-entropy")
    )
    assert median(by_ratio.distances) < 1.1 * median(by_entropy.distances)


@pytest.mark.parametrize(
    "attack",
    [
        partial(attacks.fab, steps=5),
        partial(attacks.pgd, epsilon=0.06, steps=2, step_size=0.02),
        partial(attacks.apgd, epsilon=0.06, steps=1),
    ],
    ids=["fab", "pgd", "apgd"],
)
def test_restarts_cost_more_and_find_more(attack: Callable[..., attacks.AttackResult]) -> None:
    model, inputs, labels = problem((20,), batch=50)
    once, often = CountingModel(model), CountingModel(model)
    one, many = (
        attack(counted, inputs, labels, restarts=restarts)
        for counted, restarts in ((once, 1), (often, 5))
    )
    assert often.backwards > 2 * once.backwards
    assert (many.distances <= one.distances).all()
    assert (many.distances < one.distances).any()


def test_fab_one_by_one_goes_to_each_rival_by_itself() -> None:
    model, inputs, labels = problem((20,), batch=50)
    together, alone = CountingModel(model), CountingModel(model)
    attacks.fab(together, inputs, labels, steps=5)
    attacks.fab(alone, inputs, labels, steps=5, one_by_one=True)
    # As many gradients, but each by a forward pass of its own, and each rival has its own points.
    assert alone.backwards == together.backwards
    assert alone.forwards > 2 * together.forwards


class Tied(torch.nn.Module):
    """Two classes that tie at a sum of 1, and a third one that is far away."""

    def forward(self, inputs: Tensor) -> Tensor:
        total = inputs.sum(1) - 1
        return torch.stack([total, -total, total - 3], dim=1)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_fmn_leaves_a_tie(dtype: torch.dtype, norm: str) -> None:
    inputs = torch.full((1, 4), 0.25, dtype=dtype)
    found = attacks.fmn(Tied().eval(), inputs, torch.tensor([0]), norm=norm)  # type: ignore[arg-type]
    assert found.success.all()
    assert found.distances.item() < 0.1


def test_carlini_wagner_leaves_a_tie() -> None:
    inputs = torch.full((1, 4), 0.25)
    assert attacks.carlini_wagner(Tied().eval(), inputs, torch.tensor([0]), steps=50).success.all()


def test_alma_knows_how_near_two_classes_are() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=100, classes=2)
    found = attacks.alma(model, inputs, labels, steps=100)
    reached = attacks.ddn(model, inputs, labels, steps=300)
    assert found.distances.mean() < 1.1 * reached.distances.mean()


@pytest.mark.parametrize("bounds", [(0.0, torch.inf), (-torch.inf, torch.inf), (0.0, 1.0)])
@pytest.mark.parametrize("name", ["deepfool", "fab", "superdeepfool"])
def test_steps_are_as_long_as_the_inputs_need(name: str, bounds: tuple[float, float]) -> None:
    size = 1.0 if bounds == (0.0, 1.0) else 100.0
    model, inputs, labels = problem((3, 8, 8), batch=50, dtype=torch.bfloat16)
    found = attacks.ATTACKS[name](lambda x: model(x / size), inputs * size, labels, bounds=bounds)
    assert found.success.float().mean() > 0.9


def test_fab_survives_a_rise_that_the_box_cannot_hold() -> None:
    def nearly_flat(points: Tensor) -> Tensor:
        rise = points[:, 0] + 1e-20 * points[:, 1] + 0.5 * points[:, 3]
        return torch.stack([torch.full_like(rise, 10.0), rise.clamp_max(1e3)], dim=1)

    def strict(points: Tensor) -> Tensor:
        assert points.isfinite().all()
        return nearly_flat(points)

    found = attacks.fab(strict, torch.full((2, 4), 0.5), torch.tensor([0, 0]), steps=10)
    assert not found.success.any()


def test_the_targeted_ratio_aims_at_one_class_after_the_other() -> None:
    def third_is_near(points: Tensor) -> Tensor:
        near = 4 * points[:, 0] - 2.8
        high = torch.full_like(near, 0.9) - 0.1 * points[:, 1]
        return torch.stack([torch.ones_like(near), high - 0.5, near, near - 9, near - 9], dim=1)

    settings: dict[str, Any] = {"epsilon": 0.6, "steps": 20, "loss": "targeted-dlr"}
    inputs, labels = torch.full((2, 3), 0.5), torch.tensor([0, 0])
    assert not attacks.apgd(third_is_near, inputs, labels, candidates=1, **settings).success.any()
    assert attacks.apgd(third_is_near, inputs, labels, candidates=2, **settings).success.all()


def test_lbfgs_searches_for_its_constant() -> None:
    model, inputs, labels = problem((20,))
    once, often = (
        attacks.lbfgs(model, inputs, labels, searches=searches, bisections=0)
        for searches in (1, 10)
    )
    assert often.distances.mean() < 0.9 * once.distances.nan_to_num(posinf=10.0).mean()


def test_many_bisections_leave_the_decision_to_the_model() -> None:
    model, inputs, labels = problem((1, 4, 4), batch=60)
    found = attacks.superdeepfool(model, inputs, labels, bisections=30)
    one_by_one = torch.cat([model(point[None]).argmax(1) for point in found.adversarials])
    assert torch.equal(one_by_one != labels, found.success)


@pytest.mark.parametrize("name", sorted(attacks.ATTACKS))
def test_what_is_found_holds_in_batches_of_any_size(name: str) -> None:
    # Piecewise linear models are hit so exactly that the order of sums could decide.
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(size, generator=generator) for size in ((100, 10), (10, 5)))

    def model(points: Tensor) -> Tensor:
        logits: Tensor = (points @ first).relu() @ second
        return logits

    inputs = torch.rand(300, 100, generator=generator)
    if name == "lbfgs":
        inputs = inputs[:20]
    labels = model(inputs).argmax(1)
    needed = {"epsilon": 1.0} if takes(attacks.ATTACKS[name], "epsilon") else {}
    found = attacks.ATTACKS[name](model, inputs, labels, **needed)
    alone = torch.cat([model(point.unsqueeze(0)) for point in found.adversarials]).argmax(1)
    assert ((alone != labels) == found.success).all()
