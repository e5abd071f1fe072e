"""APGD: projected gradient ascent that chooses its step sizes, and its minimum-norm form.

Croce, Hein: "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", ICML 2020, https://arxiv.org/abs/2003.01690. Line numbers are those of its
algorithm 1.
"""

import math
from collections.abc import Callable, Iterator
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks import checks
from minnorm.attacks._deepfool import likeliest_rivals
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.search import Search, search
from minnorm.geometry import per_sample
from minnorm.losses import (
    check_classes_of_ratio,
    targeted_logits_ratio,
    value_and_direction,
)

Loss: TypeAlias = Literal["cross-entropy", "dlr", "targeted-dlr"]
"""The losses that APGD climbs."""


def apgd(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    steps: int = 100,
    restarts: int = 1,
    loss: Loss = "cross-entropy",
    candidates: int = 9,
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Looks for adversarials within a given distance, without a step size to be chosen.

    Gradient ascent with momentum from a random point of the ball (the same perturbation for all
    samples of the batch). The step is twice the radius at first; at fixed points of time it is
    halved, and the ascent goes back to its best point, for those samples whose loss rises too
    seldom. A sample leaves the batch at these times when an adversarial has been found. Costs
    `steps` gradients and one forward pass for each restart (and candidate class, for
    `targeted-dlr`), and one more for the inputs.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        epsilon: The radius of the ball, in units of the inputs.
        norm: `l2` or `linf`.
        steps: Number of steps of each restart.
        restarts: How often to begin anew.
        loss: `cross-entropy`; `dlr`, the difference of logits ratio (3 classes at least); or
            `targeted-dlr`, the same towards one candidate class after the other (4 classes at
            least, not when `targeted`).
        candidates: How many classes `targeted-dlr` aims at, the likeliest ones for the input.

    Returns:
        The closest of the adversarials visited; all are within `epsilon`.

    Raises:
        ValueError: If an argument is not as described, or the loss is not defined for the model's
            number of classes.
    """
    checks.check_number("epsilon", epsilon, 0)
    _check(steps, restarts, candidates, loss, norm, targeted=targeted)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm,
        within=epsilon,
    ) as state:
        maximize(
            state, state.radii(), steps=steps, restarts=restarts, loss=loss, candidates=candidates
        )
        return state.result()


def apgd_min_norm(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    targeted: bool = False,
    norm: geometry.Norm = "l2",
    steps: int = 100,
    searches: int = 10,
    initial_norm: float = 1.0,
    restarts: int = 1,
    loss: Loss = "cross-entropy",
    candidates: int = 9,
    bounds: geometry.Bounds = (0.0, 1.0),
    generator: Generator | None = None,
) -> AttackResult:
    """Finds adversarials of small norm: APGD at one radius after the other.

    Each sample has a radius of its own. It doubles until APGD finds an adversarial, and is from
    then on the mean of the largest radius at which APGD has failed and the distance of the closest
    adversarial. APGD may fail at a radius beyond that distance; the next one is then beyond it too,
    and whatever is found there closer than before counts. Costs `searches` times what `apgd` does.

    Args:
        model, inputs, labels, targeted, bounds, generator: As for every attack, see `Attack`.
        norm, steps, restarts, loss, candidates: See `apgd`.
        searches: Number of radii tried.
        initial_norm: The first radius, in units of the width of the bounds.

    Returns:
        The closest adversarial of each sample among all points visited.

    Raises:
        ValueError: As `apgd`.
    """
    checks.check_count("searches", searches)
    checks.check_number("initial_norm", initial_norm, 0)
    _check(steps, restarts, candidates, loss, norm, targeted=targeted)
    with search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        generator=generator,
        norm=norm,
    ) as state:
        radii = torch.full_like(state.incumbent.distances, initial_norm)
        low = torch.zeros_like(radii)
        for _ in range(searches):
            part = state.part()
            maximize(part, radii, steps=steps, restarts=restarts, loss=loss, candidates=candidates)
            found = part.result()
            low = torch.where(found.success, low, torch.maximum(low, radii))
            state.absorb(found)
            high = state.incumbent.distances / state.unit
            radii = torch.where(high.isfinite(), (low + high) / 2, 2 * radii)
        return state.result()


def _check(
    steps: int, restarts: int, candidates: int, loss: str, norm: geometry.Norm, *, targeted: bool
) -> None:
    checks.check_count("steps", steps)
    checks.check_count("restarts", restarts)
    checks.check_count("candidates", candidates)
    geometry.check_ball(norm)
    if loss not in _ASCENTS and loss != "targeted-dlr":
        raise ValueError(f"loss={loss!r}: expected 'cross-entropy', 'dlr' or 'targeted-dlr'.")
    if loss == "targeted-dlr" and targeted:
        raise ValueError(
            "loss='targeted-dlr' chooses its targets by itself; a targeted attack takes 'dlr'."
        )


Ascent: TypeAlias = Callable[[Search, Tensor, Tensor], tuple[Tensor, Tensor]]
"""`(search, logits, targets) -> (values to be climbed, their direction in logit space)`."""


def _cross_entropy(state: Search, logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    # The odds rise and fall with the cross-entropy, but are not rounded to zero where it is.
    index = state.labels.unsqueeze(1)
    others = logits.scatter(1, index, -torch.inf).logsumexp(1)
    odds = others - logits.gather(1, index).squeeze(1)
    return (-odds if state.targeted else odds), state.cross_entropy_direction(logits)


def _ratio(state: Search, logits: Tensor, _: Tensor) -> tuple[Tensor, Tensor]:
    values, directions = state.logits_ratios(logits)
    return -values, -directions


def _targeted_ratio(state: Search, logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    return value_and_direction(
        lambda variables: -targeted_logits_ratio(variables, state.labels, targets), logits
    )


_ASCENTS: dict[str, Ascent] = {
    "cross-entropy": _cross_entropy,
    "dlr": _ratio,
    "targeted-dlr": _targeted_ratio,
}


def maximize(
    state: Search,
    radii: Float[Tensor, "b"],
    *,
    steps: int,
    restarts: int,
    loss: Loss,
    candidates: int,
) -> None:
    """Looks for adversarials within the radii, which are in units of the width of the bounds."""
    logits = state.visit(state.origins).logits
    check_classes_of_ratio(logits.shape[1], {"dlr": 3, "targeted-dlr": 4}.get(loss, 2))
    rivals = likeliest_rivals(state, logits, candidates if loss == "targeted-dlr" else 1)
    for _ in range(restarts):
        for number in range(rivals.shape[1]):
            stay = state.keep_unfound()
            radii, rivals = radii[stay], rivals[stay]
            if len(stay) == 0:
                return
            part = state.part()
            _ascend(part, radii, rivals[:, number], steps=steps, ascent=_ASCENTS[loss])
            state.absorb(part.result())


def _checkpoints(steps: int) -> Iterator[int]:
    """Gives the steps at which the step size is looked at (section 3.2)."""
    share, gap = 0.22, 0.22
    while (step := math.ceil(share * steps)) < steps:
        yield step
        gap = max(gap - 0.03, 0.06)
        share += gap


def _ascend(
    state: Search,
    radii: Float[Tensor, "b"],
    targets: Int64[Tensor, "b"],
    *,
    steps: int,
    ascent: Ascent,
) -> None:
    previous = points = state.points_in_ball(radii)
    rates = 2 * radii  # line 1
    best_values = torch.full_like(radii, -torch.inf)
    best_points, best_gradients = points, torch.zeros_like(points)
    values = best_values
    rises = torch.zeros_like(radii)
    best_before, halved_before = best_values, torch.ones_like(radii, dtype=torch.bool)
    since, checkpoints = 0, set(_checkpoints(steps))
    for step in range(steps):
        state.progress(step / steps)
        visit = state.visit(points)
        new_values, directions = ascent(state, visit.logits, targets)
        gradients = visit.pull_back(directions)
        new_values = new_values.nan_to_num(-torch.inf, torch.inf, -torch.inf)
        if step > 0:
            rises += new_values > values
        values = new_values
        better = values > best_values  # line 12
        best_values = torch.where(better, values, best_values)
        best_points = torch.where(per_sample(better, points), points, best_points)
        best_gradients = torch.where(per_sample(better, points), gradients, best_gradients)
        if step in checkpoints:  # lines 13 to 16
            seldom = rises < 0.75 * (step - since)
            stuck = ~halved_before & (best_values <= best_before)
            halve = seldom | stuck
            rates = torch.where(halve, rates / 2, rates)
            back = per_sample(halve, points)
            points = torch.where(back, best_points, points)
            gradients = torch.where(back, best_gradients, gradients)
            values = torch.where(halve, best_values, values)
            best_before, halved_before = best_values, halve
            rises, since = torch.zeros_like(rises), step
            stay = state.keep_unfound()
            if len(stay) == 0:
                return
            if len(stay) < len(radii):
                radii, rates, targets, values = (
                    part[stay] for part in (radii, rates, targets, values)
                )
                points, previous, gradients = points[stay], previous[stay], gradients[stay]
                best_points, best_gradients = best_points[stay], best_gradients[stay]
                best_values, best_before = best_values[stay], best_before[stay]
                rises, halved_before = rises[stay], halved_before[stay]
        moves = geometry.steepest(gradients, state.noise(), state.norm)
        here, before = state.perturbations(points), state.perturbations(previous)
        moves = moves * per_sample(rates, moves).to(moves.dtype)
        ahead = _inside(state, here + moves, radii)  # line 7
        if step > 0:  # line 8
            ahead = _inside(state, here + 0.75 * (ahead - here) + 0.25 * (here - before), radii)
        previous, points = points, state.points(ahead)
    state.judge(points)


def _inside(
    state: Search, perturbations: Float[Tensor, "b *d"], radii: Float[Tensor, "b"]
) -> Float[Tensor, "b *d"]:
    """Projects onto the ball, then clips to the bounds."""
    inside = geometry.into_ball(perturbations, radii, state.norm)
    return state.perturbations(state.points(inside))
