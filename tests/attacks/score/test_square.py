"""Square: its transcription, its windows, and where it finds what there is to find."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.gradient.stepwise import SAMPLES, check_closest, check_same, one_sample, visited
from attacks.networks import Linear, Recorded, problem
from minnorm.attacks import load_attack, square
from minnorm.attacks.engine.queries import random_search
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds
from minnorm.errors import InputError
from minnorm.evaluation.running.judge import CountingModel
from minnorm.geometry import Norm
from reference.linear import optimal_distances
from reference.square import square_of_one_sample


@pytest.mark.parametrize(
    ("norm", "targeted", "loss", "bounds"),
    [
        ("l2", False, "margin", (0.0, 1.0)),
        ("l2", True, "cross-entropy", (-1.0, 3.0)),
        ("linf", False, "cross-entropy", (0.0, 1.0)),
        ("linf", True, "margin", (-1.0, 3.0)),
    ],
)
def test_transcription(
    norm: Norm, targeted: bool, loss: Any, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[list[list[float]]] = []
    original = random_search.uniform_numbers

    def recorded(search: Search, number: int, each: int) -> list[list[float]]:
        drawn.append(original(search, number, each))
        return drawn[-1]

    monkeypatch.setattr(random_search, "uniform_numbers", recorded)
    # So small that the sample does not leave before the end.
    epsilon = 0.05 if norm == "l2" else 0.005
    low, high = (float(bound) for bound in bounds)
    for index in SAMPLES:
        drawn.clear()
        model, x, y = one_sample(index, targeted=targeted, shape=(2, 12, 12))
        found, result = visited(
            square, model, x, y, targeted=targeted, bounds=bounds, norm=norm, loss=loss,
            epsilon=epsilon * (high - low), budget=60, initial_share=0.2,
        )  # fmt: skip
        steps, (start,) = drawn
        expected = square_of_one_sample(
            model, x, y, targeted=targeted, norm=norm, epsilon=epsilon, loss=loss,
            first_share=0.2, start_draws=start, draws=steps,
        )  # fmt: skip
        check_same(found, [x, *expected])
        check_closest(result, model, found, x, y, targeted=targeted, norm=norm)


def test_samples_that_are_found_stop_costing_queries() -> None:
    model, inputs, labels = problem((3, 8, 8), batch=20, network=Linear)
    counted = CountingModel(model)
    result = square(counted, inputs, labels, epsilon=6.0, budget=1000)
    assert result.success.all()
    assert counted.forwards < 60 * len(inputs)
    assert counted.backwards == 0
    counted = CountingModel(model)
    result = square(counted, inputs, labels, epsilon=0.01, budget=50)
    missing = int((~result.success).sum())
    assert missing > 15
    assert 50 * missing <= counted.forwards <= 50 * len(inputs)


def test_restarts_find_more() -> None:
    model, inputs, labels = problem((1, 8, 8), batch=60, network=Linear)
    once, often = (
        square(model, inputs, labels, epsilon=0.4, budget=30, restarts=restarts).success
        for restarts in (1, 6)
    )
    assert (often >= once).all()
    assert often.sum() > once.sum()


@pytest.mark.parametrize("shape", [(60,), (1, 8, 8), (3, 5, 4), (2, 2, 4, 4)], ids=str)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_it_succeeds_a_little_beyond_the_optimum(shape: tuple[int, ...], norm: Norm) -> None:
    model, inputs, labels = problem(shape, batch=12, classes=2, network=Linear)
    optima = optimal_distances(model.weight, model.bias, inputs, labels, norm=norm)
    # In L2 the smallest windows are 3 pixels wide: they are too large for noise.
    radius = float(optima.max()) * (2.0 if norm == "l2" else 1.4)
    assert square(model, inputs, labels, epsilon=radius, norm=norm, budget=1000).success.all()
    below = square(model, inputs, labels, epsilon=0.99 * float(optima.min()), norm=norm, budget=50)
    assert not below.success.any()


def test_all_of_the_radius_is_used_inside_the_bounds() -> None:
    inputs = torch.zeros(1, 1, 10, 10).double()
    recorded = Recorded(lambda points: points.flatten(1)[:, :2] * 0 + torch.tensor([1.0, 0.0]))
    square(recorded, inputs, torch.tensor([0]), epsilon=2.0, budget=40)
    lengths = torch.cat(recorded.batches[1:]).flatten(1).norm(dim=1)
    assert torch.allclose(lengths, torch.full_like(lengths, 2.0), rtol=1e-2)


@pytest.mark.parametrize(("norm", "most"), [("l2", 5), ("linf", 0)])
def test_few_queries_are_wasted_on_features_that_cannot_change(norm: Norm, most: int) -> None:
    """Of 58, windows anywhere in the image waste about 50."""
    inputs = torch.full((2, 2, 16, 16), 0.5).double()
    mask = torch.zeros(2, 1, 16, 16, dtype=torch.bool)
    mask[0, 0, :4, 2:6] = mask[1, 0, 9:12, 12:] = True  # at other places of each sample
    slopes = torch.randn(512, generator=torch.Generator().manual_seed(0)).double()
    labels = torch.zeros(2, dtype=torch.int64)

    def robust(points: Tensor) -> Tensor:
        scores = points.flatten(1) @ slopes
        return torch.stack([scores + 1000, torch.zeros_like(scores)], dim=1)

    recorded = Recorded(robust)
    settings: Any = {"epsilon": 0.2, "norm": norm, "budget": 60, "initial_share": 0.05}
    square(recorded, inputs, labels, mask=mask, **settings)
    for row in range(2):
        _, best, *candidates = [batch[row] for batch in recorded.batches]
        wasted = 0
        for candidate in candidates:
            wasted += bool((candidate - best).abs().max() < 1e-4)
            if candidate.flatten() @ slopes <= best.flatten() @ slopes:
                best = candidate
        assert wasted <= most
        alone = Recorded(robust)
        square(alone, inputs[:1], labels[:1], mask=mask[row : row + 1], **settings)
        assert torch.equal(torch.cat(alone.batches), torch.stack([*recorded.batches])[:, row])


def test_the_words_of_other_libraries_are_understood() -> None:
    attack: Any = load_attack("Square(eps=8/255, norm=Linf, n_queries=100, p_init=0.5, loss=ce)")
    assert attack.func is square
    assert attack.keywords == {
        "epsilon": 8 / 255, "norm": "linf", "budget": 100, "initial_share": 0.5,
        "loss": "cross-entropy",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"budget": 1}, "budget=1: expected a whole number of at least 2"),
        ({"initial_share": 0.0}, "initial_share=0.0: expected a number above 0"),
        ({"initial_share": 1.5}, "initial_share=1.5: expected a number"),
        ({"loss": "dlr"}, "loss='dlr': expected one of 'margin', 'cross-entropy'"),
        ({"restarts": 0}, "restarts=0"),
        ({"norm": "l1"}, "expected 'l2' or 'linf'"),
    ],
)
def test_bad_arguments_are_refused(change: dict[str, Any], message: str) -> None:
    model, inputs, labels = problem((5,))
    bare: Any = square
    while hasattr(bare, "__wrapped__"):
        bare = bare.__wrapped__
    with pytest.raises(InputError, match=message):
        bare(model, inputs, labels, epsilon=1.0, **change)


def test_scores_that_are_flat_do_not_stop_it() -> None:
    def flat(points: Tensor) -> Tensor:
        rise = (points.flatten(1).sum(1) - 34).relu()
        return torch.stack([torch.full_like(rise, 1e-3), rise], dim=1)

    inputs = torch.full((4, 1, 8, 8), 0.5)
    labels = torch.zeros(4, dtype=torch.int64)
    assert square(flat, inputs, labels, epsilon=0.2, norm="linf", budget=400).success.all()
