"""Searches without gradients: what they read of the model, and how they confirm their result."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from attacks.engine.searches import column, entries, problem_of, small_problem, threshold
from attacks.querying import by_decisions, by_scores
from minnorm.acceleration import accelerate
from minnorm.attacks import ddn
from minnorm.attacks.engine.bisection import bisect
from minnorm.attacks.engine.inset import InsetGradients
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.queries.searches import (
    CONFIRMATION_QUERIES,
    DecisionSearch,
    DecisionsOnly,
    ScoreSearch,
)
from minnorm.errors import InputError
from minnorm.evaluation.running.judge import CountingModel


class OnlyDecisions(nn.Module):
    """A network that offers its decisions alone."""

    access = "decisions"

    def forward(self, inputs: Tensor) -> Tensor:
        return threshold(inputs)


def test_decisions_are_ones_for_the_predicted_classes_and_nan_for_none() -> None:
    logits = torch.tensor([[0.1, 0.3, 0.2], [5.0, 5.0, -1.0], [0.0, torch.nan, 9.0]])
    decisions = DecisionsOnly(lambda _: logits.double())(torch.zeros(3, 1))
    assert decisions.dtype == torch.float64
    assert decisions[:2].tolist() == [[0.0, 1.0, 0.0], [1.0, 0.0, 0.0]]  # the first one of a tie
    assert decisions[2].isnan().all()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (torch.zeros(2, dtype=torch.int64), "returned torch.int64"),
        (torch.zeros(2), r"shape \[2\]"),
        (torch.zeros(2, 0), r"shape \[2, 0\]"),
        (torch.zeros(2, 1), r"shape \[2, 1\]"),
    ],
    ids=["integers", "one dimension", "no class", "one class"],
)
def test_an_output_that_is_no_batch_of_logits_is_refused(output: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        by_decisions(lambda _: output, torch.zeros(2, 1), torch.zeros(2, dtype=torch.int64))


@pytest.mark.parametrize("kind", [ScoreSearch, DecisionSearch])
def test_there_are_no_gradients(kind: type[ScoreSearch]) -> None:
    search = kind(problem_of(column(0.2)), threshold)
    with pytest.raises(AssertionError, match="cannot use gradients"):
        search.visit(column(0.2))
    with pytest.raises(AssertionError, match="cannot use gradients"):
        search.part().visit(column(0.2))


def test_no_graph_is_recorded_and_the_model_is_called_as_it_is() -> None:
    def without_autograd(points: Tensor) -> Tensor:
        return threshold(torch.from_numpy(points.numpy()))  # fails if gradients are recorded

    found = by_decisions(without_autograd, column(0.2, 0.4), torch.tensor([0, 0]))
    assert found.success.all()
    with pytest.raises(InputError, match=r"cannot be differentiated .* NumPy"):
        ddn(without_autograd, column(0.2, 0.4), torch.tensor([0, 0]))


def test_bounds_that_are_loose_cost_no_gradient() -> None:
    model, inputs, labels = small_problem()
    counted = CountingModel(model)
    for attack in (by_decisions, by_scores):
        attack(counted, inputs / 1e3, labels, bounds=(-1e6, 1e6))
    assert counted.backwards == 0


def test_what_is_found_by_decisions_is_what_logits_show() -> None:
    model, inputs, labels = small_problem()
    decided, scored = by_decisions(model, inputs, labels), by_scores(model, inputs, labels)
    assert decided.success.all()
    assert torch.allclose(decided.distances, scored.distances, rtol=1e-6)
    same: list[Callable[[Tensor], Tensor]] = [
        lambda points: model(points).exp(),
        lambda points: 1e-3 * model(points) - 7,
        DecisionsOnly(model),
    ]
    for changed in same:
        again = by_decisions(changed, inputs, labels)
        assert torch.equal(again.adversarials, decided.adversarials)


class Shifting:
    """A threshold that rounds differently in batches of other sizes or at the end.

    Args:
        shift: By how much the boundary is farther away in the calls from number `since` on.
        since: The number of the first such call.
    """

    def __init__(self, shift: float, since: int) -> None:
        self.shift, self.since, self.calls = shift, since, 0

    def __call__(self, points: Tensor, /) -> Tensor:
        self.calls += 1
        return threshold(points - (self.shift if self.calls >= self.since else 0.0))


@pytest.mark.parametrize("share", [0.0, 5e-5, 5e-4, 5e-3])
def test_a_point_that_is_undone_grows_until_it_is_confirmed(share: float) -> None:
    # The boundary is at 0.5, and 0.3 away from the input: the point found is just beyond.
    model = Shifting(0.3 * share, since=2)
    search = DecisionSearch(problem_of(column(0.2, 0.9)), model)
    search.adversarial_at(column(0.5000001, 0.9))
    result = search.result()
    assert result.success.all()
    assert result.distances[1] == 0
    growths = {0.0: 0.0, 5e-5: 1e-4, 5e-4: 1e-3, 5e-3: 1e-2}
    assert float(result.distances[0]) == pytest.approx(0.3 * (1 + growths[share]), rel=1e-5)
    assert model.calls <= 1 + CONFIRMATION_QUERIES


def test_a_point_that_stays_undone_is_a_failure() -> None:
    search = DecisionSearch(problem_of(column(0.2)), Shifting(0.2, since=2))
    search.adversarial_at(column(0.5000001))
    result = search.result()
    assert entries(result.success) == [0.0]
    assert entries(result.distances) == [torch.inf]
    assert entries(result.adversarials) == pytest.approx([0.2])


def test_the_end_costs_one_query_of_each_sample() -> None:
    counted = CountingModel(threshold)
    search = DecisionSearch(problem_of(column(0.2, 0.3)), counted)
    search.adversarial_at(column(0.7, 0.8))
    bisect(search, 5)
    assert search.result().success.all()
    assert counted.forwards == 2 * (1 + 5 + 1)


def test_parts_and_dropped_samples_are_confirmed_with_the_whole_batch() -> None:
    model = Shifting(3e-5, since=4)
    search = DecisionSearch(problem_of(column(0.2, 0.3, 0.4)), model)
    search.adversarial_at(column(0.5000001, 0.1, 0.1))
    assert search.drop_found().tolist() == [1, 2]
    part = search.part(torch.tensor([1]))
    part.adversarial_at(column(0.5000001))
    search.absorb(part.result(), torch.tensor([1]))
    assert model.calls == 2
    search.adversarial_at(column(0.9, 0.4))
    result = search.result()
    assert result.success.all()
    assert torch.equal(threshold(result.adversarials - 3e-5).argmax(1), torch.ones(3).long())


def test_an_empty_batch_has_an_empty_result() -> None:
    result = by_decisions(threshold, torch.zeros(0, 1), torch.zeros(0, dtype=torch.int64))
    assert result.success.shape == (0,)


def test_a_model_that_offers_less_is_refused_with_what_would_do() -> None:
    model = OnlyDecisions().eval()
    inputs, labels = column(0.2, 0.4), torch.tensor([0, 0])
    assert by_decisions(model, inputs, labels).success.all()
    for attack, needed in ((ddn, "gradients"), (by_scores, "scores")):
        message = f"needs {needed}, but the model Sequential offers decisions only. Use [a-z]"
        with pytest.raises(InputError, match=message):
            attack(nn.Sequential(nn.Identity(), model).eval(), inputs, labels)


def test_an_accelerated_model_is_used_as_it_was_given() -> None:
    model, inputs, labels = small_problem()
    accelerated = accelerate(model, inputs, "plain")
    for attack in (by_decisions, by_scores):
        expected = attack(model, inputs, labels)
        assert torch.equal(attack(accelerated, inputs, labels).adversarials, expected.adversarials)
        inset = InsetGradients(accelerated, (0.0, 1.0))
        assert torch.equal(attack(inset, inputs, labels).adversarials, expected.adversarials)
    with open_search(
        accelerated, inputs, labels, targeted=False, bounds=(0, 1), generator=None, access="scores"
    ) as search:
        assert search.model is model
