"""C&W: the L2 attack of Carlini and Wagner.

Carlini, Wagner: "Towards Evaluating the Robustness of Neural Networks", IEEE S&P 2017,
https://arxiv.org/abs/1608.04644; eq. 5 of Rony et al. (2019).
"""

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm.attacks import checks
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.optimizers import Adam
from minnorm.attacks.search import Search, search
from minnorm.geometry import Bounds, per_sample, rows


@dataclass(frozen=True)
class CarliniWagnerResult(AttackResult):
    """What the attack found, and with which constants.

    Attributes:
        constants: The constant C with which each adversarial was found, in the units in which the
            width of the bounds is 1; infinite where none was found, 0 where nothing had to change.
    """

    constants: Float[Tensor, "b"]


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
    bounds: Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> CarliniWagnerResult:
    """Finds adversarials of small L2 norm by a penalty whose weight is searched for (eq. 5).

    Minimises `distance^2 + C * max(margin + confidence, 0)` with Adam, `searches` times from the
    input, with a C of each sample's own: it is halved (or bisected) after a success and multiplied
    by 10 (or bisected) after a failure; the last of 10 searches or more repeats the smallest that
    worked. The variable is the inverse hyperbolic tangent of the
    input, so that the bounds hold by themselves; where a bound is infinite it is the input itself,
    clipped. Costs up to `searches * steps` gradients, and `searches` more forward passes.

    The paper's budgets are `searches=9, steps=10000`, `searches=4, steps=25`, and `searches=1,
    steps=100`; the authors advise `searches=4, steps=2000, step_size=1e-4, initial_constant=0.1`
    for ImageNet. Of a short budget the defaults find little, since C grows by 10 a search only and
    Adam moves by a step at most: take `initial_constant=1, step_size=0.3` or so on MNIST; the
    paper chose both by a grid search for each data set.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        steps: Largest number of steps of each search.
        searches: Number of constants tried.
        step_size: Adam's step.
        initial_constant: The first C, where the width of the bounds is 1.
        confidence: How much larger the adversarial class's logit has to be. Above 0, `success` says
            whether that was reached, and an input that is misclassified by less is moved too.
        abort_early: Let a sample leave a search when twice in a row its mean loss over a tenth of
            the steps (10 at least) is not a ten thousandth below the lowest such mean before; the
            host waits for the device as often.

    Returns:
        The closest adversarial of each sample among all points visited (of that confidence), and
        its constant.

    Raises:
        ValueError: If an argument is not as described.
    """
    checks.check_count("steps", steps)
    checks.check_count("searches", searches)
    checks.check_number("step_size", step_size, 0)
    checks.check_number("initial_constant", initial_constant, 0)
    checks.check_number("confidence", confidence, 0, inclusive=True)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        confidence=confidence,
    ) as state:
        constants = torch.full_like(state.incumbent.distances, initial_constant)
        low, high = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
        best = torch.full_like(constants, torch.inf)
        for number in range(searches):
            if number >= _REPEAT_FROM and number == searches - 1:
                # Of many searches the last one repeats the smallest constant that worked.
                constants = torch.where(high.isfinite(), high, constants)
            part = state.part()
            _minimize(part, constants, steps=steps, step_size=step_size, abort_early=abort_early)
            found = part.result()
            closer = found.distances < state.incumbent.distances
            best = torch.where(closer, constants, best)
            state.absorb(found)
            high = torch.where(found.success, torch.minimum(high, constants), high)
            low = torch.where(found.success, low, torch.maximum(low, constants))
            constants = torch.where(high.isfinite(), (low + high) / 2, constants * 10)
        result = state.result()
        best = torch.where(result.distances > 0, best, 0.0)
        return CarliniWagnerResult(result.adversarials, result.distances, result.success, best)


_REPEAT_FROM = 9


def _minimize(
    state: Search,
    constants: Float[Tensor, "b"],
    *,
    steps: int,
    step_size: float,
    abort_early: bool,
) -> None:
    """Minimises eq. 5 with given constants; the search keeps what it finds."""
    box = _Box.around(state)
    modifiers = torch.zeros_like(state.origins)
    adam = Adam(modifiers)
    # Means over a round: single losses go up and down, most of all at the beginning.
    mean, lowest = torch.zeros_like(constants), torch.full_like(constants, torch.inf)
    idle = torch.zeros_like(constants)
    length = max(steps // 10, _LEAST_ROUND)
    points = state.origins
    for step in range(steps):
        state.progress(step / steps)
        visit = state.visit(points)
        shifted = state.margins(visit.logits) + state.confidence
        pressing = constants * ((shifted > 0) | ~visit.adversarial)
        gradients = state.alive(visit.pull_back(state.margin_direction(visit.logits)))
        gradients = gradients * per_sample(pressing, points).to(points.dtype)
        perturbations = state.perturbations(points)
        gradients = gradients.add_(perturbations, alpha=2)
        modifiers = modifiers - step_size * adam.step(box.pulled(gradients, modifiers))
        if abort_early:
            squares = rows(perturbations).square().sum(1)
            mean = mean + (squares + constants * shifted.clamp_min(0)) / length
        if abort_early and (step + 1) % length == 0:
            idle = torch.where(mean < 0.9999 * lowest, 0, idle + 1)
            lowest = torch.minimum(lowest, mean)
            stay = state.keep(idle < _PATIENCE)
            mean, lowest, idle = torch.zeros_like(mean[stay]), lowest[stay], idle[stay]
            if len(stay) < len(modifiers):
                modifiers, constants, box = modifiers[stay], constants[stay], box.part(stay)
                adam.keep(stay)
            if len(stay) == 0:
                return
        points = box.points(modifiers)
    state.judge(points)


_LEAST_ROUND, _PATIENCE = 10, 2


@dataclass(frozen=True)
class _Box:
    """The change of variables that keeps points in the bounds.

    Attributes:
        starts: The variables of the origins; without bounds, the origins.
        bounds: The bounds.
    """

    starts: Tensor
    bounds: Bounds

    @classmethod
    def around(cls, state: Search) -> "_Box":
        low, high = state.bounds
        if not math.isfinite(high - low):
            return cls(state.origins, state.bounds)
        centred = (state.origins - low) * (2 / (high - low)) - 1
        # Nearly the bounds, not the bounds themselves, where the variable would be infinite.
        margin = max(1e-6, torch.finfo(centred.dtype).eps)
        return cls((centred.clamp_(-1, 1) * (1 - margin)).atanh_(), state.bounds)

    @property
    def _bounded(self) -> bool:
        return math.isfinite(self.bounds[1] - self.bounds[0])

    def points(self, modifiers: Tensor) -> Tensor:
        """Gives the points of the variables."""
        if not self._bounded:
            return (self.starts + modifiers).clamp_(*self.bounds)
        low, high = self.bounds
        centred = (self.starts + modifiers).tanh_()
        return centred.add_(1).mul_((high - low) / 2).add_(low).clamp_(low, high)

    def pulled(self, gradients: Tensor, modifiers: Tensor) -> Tensor:
        """Gives the gradients with respect to the variables."""
        if not self._bounded:
            return gradients
        return gradients * (1 - (self.starts + modifiers).tanh_().square_()) / 2

    def part(self, chosen: Tensor) -> "_Box":
        """Gives the variables of some of the samples."""
        return _Box(self.starts[chosen], self.bounds)
