"""Searches without gradients: a query is a forward pass of one sample."""

from typing import Any, Never

import torch
from jaxtyping import Float
from torch import Tensor

from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.engine.coarse import CONFIRM_GROWTHS, moved_away
from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.search import Search
from minnorm.logits import output_of, predictions
from minnorm.models.averaged import Averaged, averaged_part

CONFIRMATION_QUERIES = len(CONFIRM_GROWTHS)
"""The most queries of a sample that the end of a `DecisionSearch` costs, beside those of `levels`;
usually it costs one. An attack with a budget keeps them in reserve."""


class DecisionsOnly:
    """A model that hides its logits: the rows are 1 for the predicted class, and 0 elsewhere.

    A row with NaN, which is no class, becomes NaN. An output that is no batch of logits is returned
    as it is, so that the search can say what is wrong.

    Args:
        model: The classifier.
    """

    def __init__(self, model: Model) -> None:
        self._model = model

    def __call__(self, inputs: Tensor, /) -> Any:
        """Return the decisions for a batch, `[b c]`."""
        logits: object = self._model(inputs)
        if not isinstance(logits, Tensor) or not logits.is_floating_point():
            return logits
        if logits.ndim != 2 or logits.shape[1] == 0:
            return logits
        classes = predictions(logits).unsqueeze(1)
        rows = torch.zeros_like(logits).scatter_(1, classes.clamp_min(0), 1.0)
        return torch.where(classes < 0, torch.nan, rows)

    @property
    def averaged(self) -> Averaged | None:
        """The part of the model that averages over draws, if there is one."""
        return averaged_part(self._model)


class ScoreSearch(Search):
    """A search that reads logits and no gradients."""

    def visit(self, points: Float[Tensor, "b *d"]) -> Never:  # noqa: ARG002 - as in `Search`
        """Refuse: an attack on scores or decisions has no gradients."""
        raise AssertionError("an attack that is marked with `needs` cannot use gradients")


class DecisionSearch(ScoreSearch):
    """A search that reads predicted classes only.

    Decisions do not tell how certain they are, and what such an attack finds is on the decision
    boundary, where another summation order, as in a batch of another size, may change them. At the
    end the model confirms all points once more, and perturbations that are not confirmed grow.

    Args:
        problem: The problem to solve.
        model: The classifier.
        seed: The seed of all random numbers.
    """

    def __init__(self, problem: Problem, model: Model, seed: int = 0) -> None:
        decisions = model if isinstance(model, DecisionsOnly) else DecisionsOnly(model)
        super().__init__(problem, decisions, seed)

    def _begin(self, problem: Problem, seed: int) -> "DecisionSearch":
        return type(self)(problem, self.model, seed)

    def _finalized(self, result: AttackResult, whole: Problem) -> AttackResult:
        return super()._finalized(self._confirmed(result, whole), whole)

    def _confirmed(self, result: AttackResult, whole: Problem) -> AttackResult:
        if len(result.success) == 0:
            return result
        incumbent = Incumbent(whole.origins, whole.norm, whole.measured_limit)
        found, missing = result.adversarials, result.success
        for growth in CONFIRM_GROWTHS:
            rows = missing.nonzero().squeeze(1)
            if len(rows) == 0:
                break
            # The first time the whole batch, since its size may decide how sums are rounded.
            rows = torch.arange(len(missing), device=rows.device) if growth == 0 else rows
            problem = whole.part(rows)
            points = moved_away(problem, found[rows], growth)
            adversarial, _ = problem.goal.decide(output_of(self.model, points))
            incumbent.offer(points, adversarial & result.success[rows], rows=rows)
            missing = result.success & ~incumbent.distances.isfinite()
        return incumbent.result()
