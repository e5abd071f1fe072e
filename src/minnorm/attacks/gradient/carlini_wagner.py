"""C&W: the L2 attack of Carlini and Wagner.

Carlini, Wagner: "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017,
https://arxiv.org/abs/1608.04644; eq. 5 of Rony et al. (2019).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.adam import Adam
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.problem import Problem
from minnorm.attacks.engine.search import Search
from minnorm.boxes import Bounds, rows
from minnorm.checks import check_count, check_flag, check_number
from minnorm.geometry import per_sample
from minnorm.logits import unusual_scales

_REPEAT_FROM = 9
"""From this many searches on, the last one repeats the smallest constant that succeeded."""

_LEAST_ROUND, _PATIENCE = 10, 2
"""The fewest steps of a round, and the rounds without progress after which a sample is aborted."""


@dataclass(frozen=True)
class CarliniWagnerResult(AttackResult):
    """What the attack found, and with which constants.

    Attributes:
        constants: The constant C with which each adversarial was found, where the width of the
            bounds is 1; infinite if none was found, 0 if the input is misclassified from the start.
    """

    constants: Float[Tensor, "b"]


@accepts_accelerated
def carlini_wagner(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    steps: int = 1000,
    searches: int = 9,
    step_size: float = 0.01,
    initial_constant: float = 0.01,
    confidence: float = 0.0,
    abort_early: bool = True,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> CarliniWagnerResult:
    """Find adversarials of small L2 norm by a penalty whose weight is searched for (eq. 5).

    Minimizes `distance^2 + C * max(margin + confidence, 0)` with Adam, `searches` times from the
    input, with a constant C for each sample. C is halved (or bisected) after a success and
    multiplied by 10 (or bisected) after a failure; the last of 10 searches or more repeats the
    smallest that succeeded. The variable is the inverse hyperbolic tangent of the input, which
    keeps points inside the bounds; if a bound is infinite it is the input itself, clipped. Costs up
    to `searches * steps` gradients, and `searches` more forward passes.

    The paper's budgets are `searches=9, steps=10000`, `searches=4, steps=25`, and `searches=1,
    steps=100`. The authors recommend `searches=4, steps=2000, step_size=1e-4, initial_constant=0.1`
    for ImageNet. With a short budget the defaults find little, since C grows by 10 in each search
    only and Adam moves by at most a step: on MNIST use `initial_constant=1, step_size=0.3` or
    similar. The paper chose both by a grid search for each data set.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        steps: Largest number of steps of each search.
        searches: Number of constants tried.
        step_size: Adam's step.
        initial_constant: The first C, where the width of the bounds is 1.
        confidence: By how much the adversarial class's logit must be larger. Above 0, `success`
            means that this was reached, and inputs that are misclassified by less are moved too.
        abort_early: Let a sample leave a search early: when twice in a row its mean loss over a
            tenth of the steps (at least 10) is not a ten thousandth below the lowest mean before.
            The host waits for the device at each of these checks.

    Returns:
        The closest adversarial of each sample among all points visited (of that confidence), and
        its constant.

    Raises:
        InputError: If an argument is not as described.
    """
    check_count("steps", steps)
    check_count("searches", searches)
    check_number("step_size", step_size, 0)
    check_number("initial_constant", initial_constant, 0)
    check_number("confidence", confidence, 0, inclusive=True)
    check_flag("abort_early", abort_early)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        confidence=confidence,
        levels=levels,
    ) as search:
        constants = torch.full_like(search.incumbent.distances, initial_constant)
        low, high = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
        best = torch.full_like(constants, torch.inf)
        for number in range(searches):
            if number >= _REPEAT_FROM and number == searches - 1:
                constants = torch.where(high.isfinite(), high, constants)
            part = search.part()
            _minimize(part, constants, steps=steps, step_size=step_size, abort_early=abort_early)
            found = part.result()
            closer = found.distances < search.incumbent.distances
            best = torch.where(closer, constants, best)
            search.absorb(found)
            high = torch.where(found.success, torch.minimum(high, constants), high)
            low = torch.where(found.success, low, torch.maximum(low, constants))
            constants = torch.where(high.isfinite(), (low + high) / 2, constants * 10)
        result = search.result()
        moved = (result.distances > 0) & (search.incumbent.distances > 0)
        constants = torch.where(moved, best, 0.0)
        return CarliniWagnerResult(result.adversarials, result.distances, result.success, constants)


def _minimize(
    search: Search,
    constants: Float[Tensor, "b"],
    *,
    steps: int,
    step_size: float,
    abort_early: bool,
) -> None:
    """Minimize eq. 5 with the given constants; the search keeps what it finds."""
    box = _Box.around(search.problem)
    modifiers = torch.zeros_like(search.problem.origins)
    adam = Adam(modifiers)
    # Means over a round, since single losses fluctuate, most of all at the beginning.
    mean, lowest = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
    idle = torch.zeros_like(constants)
    length = max(steps // 10, _LEAST_ROUND)
    points = search.problem.origins
    scales: Tensor | None = None
    for step in range(steps):
        search.report_progress(step / steps)
        visit = search.visit(points)
        scales = unusual_scales(visit.logits) if scales is None else scales
        shifted = (search.goal.margins(visit.logits) + search.goal.confidence) / scales
        weights = constants * ~visit.adversarial
        directions = search.goal.margin_direction(visit.logits) / scales.unsqueeze(1)
        pulled = visit.pull_back(directions)
        gradients = search.with_directions(pulled)
        gradients = gradients * per_sample(weights, points).to(points.dtype)
        perturbations = search.problem.perturbations(points)
        gradients = gradients.add_(perturbations, alpha=2)
        modifiers = modifiers - step_size * adam.step(box.pulled(gradients, modifiers))
        if abort_early:
            squares = rows(perturbations).square().sum(1)
            mean = mean + (squares + constants * shifted.clamp_min(0)) / length
        if abort_early and (step + 1) % length == 0:
            idle = torch.where(mean < 0.9999 * lowest, 0, idle + 1)
            lowest = torch.minimum(lowest, mean)
            stay = search.drop(idle >= _PATIENCE)
            mean, lowest, idle = torch.zeros_like(mean[stay]), lowest[stay], idle[stay]
            if len(stay) < len(modifiers):
                modifiers, constants, box = modifiers[stay], constants[stay], box.part(stay)
                scales = scales[stay]
                adam.keep(stay)
            if len(stay) == 0:
                return
        points = search.problem.feasible_(box.points(modifiers))
    search.adversarial_at(points)


@dataclass(frozen=True)
class _Box:
    """The change of variables that keeps points in the bounds.

    Attributes:
        problem: The problem.
        starts: The variables of the inputs; the inputs where a bound is infinite or far away.
        bounded: Whether the variables are changed, for all samples, for each, `[b 1 ...]`, or for
            each feature: where a bound is far away, its variable would hardly move.
    """

    problem: Problem
    starts: Tensor
    bounded: bool | Tensor

    @classmethod
    def around(cls, problem: Problem) -> "_Box":
        low, high = problem.bounds
        width = high - low
        if not isinstance(width, Tensor) and math.isinf(width):
            return cls(problem, problem.origins, bounded=False)
        centered = (problem.origins - low) * (2 / width) - 1
        # Slightly inside the bounds: at the bounds the variable would be infinite.
        margin = max(1e-6, torch.finfo(centered.dtype).eps)
        variables = (centered.clamp_(-1, 1) * (1 - margin)).atanh_()
        if not isinstance(problem.unit, Tensor):
            return cls(problem, variables, bounded=True)
        bounded = (per_sample(problem.unit, variables) >= width) & (width > 0)
        return cls(problem, torch.where(bounded, variables, problem.origins), bounded)

    def points(self, modifiers: Tensor) -> Tensor:
        """Return the points of the variables."""
        if self.bounded is False:
            return self.problem.moved(self.starts, modifiers)
        low, high = self.problem.bounds
        points = (self.starts + modifiers).tanh_().add_(1).mul_((high - low) / 2).add_(low)
        if self.bounded is True:
            return points
        return torch.where(self.bounded, points, self.problem.moved(self.starts, modifiers))

    def pulled(self, gradients: Tensor, modifiers: Tensor) -> Tensor:
        """Return the gradients with respect to the variables."""
        if self.bounded is False:
            return gradients
        pulled = gradients * (1 - (self.starts + modifiers).tanh_().square_()) / 2
        if self.bounded is True:
            return pulled
        low, high = self.problem.bounds
        if isinstance(low, Tensor):  # the bounds of a feature may be narrower than the unit
            pulled = self.problem.in_units(pulled * (high - low))
        return torch.where(self.bounded, pulled, gradients)

    def part(self, chosen: Tensor) -> "_Box":
        """Return the variables of some of the samples."""
        bounded = self.bounded[chosen] if isinstance(self.bounded, Tensor) else self.bounded
        return _Box(self.problem.part(chosen), self.starts[chosen], bounded)
