"""Edges that several attacks share: huge and tiny logits, half precision, restarts, rounding."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.cases import Attack, attack_of, effort
from attacks.hard_models import Constant
from attacks.networks import Recorded, problem
from minnorm import attacks
from minnorm.attacks import ATTACKS, AttackResult, apgd, fab, pgd
from minnorm.boxes import Bounds
from minnorm.evaluation.running.judge import CountingModel


def median(result: AttackResult) -> float:
    return float(result.distances.median())


@pytest.mark.parametrize("name", ["alma", "ddn", "deepfool", "fab", "fmn", "superdeepfool"])
@pytest.mark.slow
def test_logits_of_any_size_have_the_same_boundary(name: str) -> None:
    model, inputs, labels = problem((20,), batch=60)
    attack: Attack = partial(ATTACKS[name], **({"steps": 100} if name == "alma" else {}))
    plain = attack(model, inputs, labels)
    # The cross-entropy of nearly equal logits leads away from all classes at once.
    slack = 1.5 if name == "ddn" else 1.1
    for size in (1e-24, 1e20):
        scaled = attack(_scaled(model, size), inputs, labels)
        assert scaled.success.all()
        assert median(scaled) < slack * median(plain)


def _scaled(model: Callable[[Tensor], Tensor], size: float) -> Callable[[Tensor], Tensor]:
    return lambda points: model(points) * size


@pytest.mark.parametrize(
    "attack",
    [partial(attacks.carlini_wagner, searches=5), attacks.pdgd],
    ids=["carlini_wagner", "pdgd"],
)
@pytest.mark.slow
def test_adam_works_in_float16(attack: Attack) -> None:
    settings: dict[str, Any] = {"steps": 60, "step_size": 0.05}
    model, inputs, _ = problem((20,), batch=20)
    model.weight.data[:, :5] = 0  # entries without a gradient
    labels = model(inputs).argmax(1)
    exact = attack(model, inputs, labels, **settings)
    half = attack(model.half(), inputs.half(), model(inputs.half()).argmax(1), **settings)
    assert half.success.all()
    assert median(half) < 1.1 * median(exact)


@pytest.mark.parametrize("name", ["deepfool", "fab"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_steps_are_not_lost_in_rounding(name: str, dtype: torch.dtype) -> None:
    model, inputs, labels = problem((3, 8, 8), batch=50, dtype=dtype)
    assert ATTACKS[name](model, inputs, labels).success.float().mean() > 0.95


@pytest.mark.parametrize(
    ("name", "bounds"),
    [
        ("deepfool", (0.0, torch.inf)),
        ("superdeepfool", (-torch.inf, torch.inf)),
        ("superdeepfool", (0.0, 1.0)),
        ("fab", (0.0, torch.inf)),
        ("fab", (-torch.inf, torch.inf)),
    ],
)
def test_steps_are_not_lost_in_the_rounding_of_large_inputs(name: str, bounds: Bounds) -> None:
    size = 1.0 if bounds == (0.0, 1.0) else 100.0
    model, inputs, labels = problem((3, 8, 8), batch=50, dtype=torch.bfloat16)
    found = ATTACKS[name](lambda x: model(x / size), inputs * size, labels, bounds=bounds)
    assert found.success.float().mean() > 0.9


@pytest.mark.parametrize(
    "attack",
    [
        partial(fab, steps=5),
        partial(pgd, epsilon=0.06, steps=2, step_size=0.02),
        partial(apgd, epsilon=0.06, steps=1),
    ],
    ids=["fab", "pgd", "apgd"],
)
def test_restarts_cost_more_and_find_more(attack: Attack) -> None:
    model, inputs, labels = problem((20,), batch=50)
    once, often = CountingModel(model), CountingModel(model)
    one, many = (
        attack(counted, inputs, labels, restarts=restarts)
        for counted, restarts in ((once, 1), (often, 5))
    )
    assert often.backwards > 2 * once.backwards
    assert (many.distances <= one.distances).all()
    assert (many.distances < one.distances).any()


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_adversarials_hold_in_batches_of_any_size(name: str) -> None:
    # An attack may end so near the boundary of a piecewise linear model that the order of sums,
    # which depends on the size of the batch, decides.
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(size, generator=generator) for size in ((100, 10), (10, 5)))

    def model(points: Tensor) -> Tensor:
        logits: Tensor = (points @ first).relu() @ second
        return logits

    inputs = torch.rand(8 if name == "lbfgs" else 300, 100, generator=generator)
    labels = model(inputs).argmax(1)
    found = attack_of(name)(model, inputs, labels)
    assert found.success.float().mean() > 0.9
    alone = torch.cat([model(point.unsqueeze(0)) for point in found.adversarials]).argmax(1)
    assert ((alone != labels) == found.success).all()


@pytest.mark.parametrize("name", sorted(ATTACKS))
def test_random_directions_come_from_the_generator(name: str) -> None:
    attack = attack_of(name)
    short = {effort(attack): 30} if effort(attack) else {}

    def visited(seed: int) -> list[Tensor]:
        recorded = Recorded(Constant(connected=True).eval())
        inputs, labels = torch.full((1, 4), 0.4), torch.tensor([0])
        attack(recorded, inputs, labels, generator=torch.Generator().manual_seed(seed), **short)
        return recorded.batches

    first, again, other = (visited(seed) for seed in (1, 1, 2))
    assert all(torch.equal(one, two) for one, two in zip(first, again, strict=True))
    assert not all(torch.equal(one, two) for one, two in zip(first, other, strict=False))
