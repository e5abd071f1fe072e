"""Gradients slightly inside the bounds, for models that lose them at the bounds.

The derivative of `clamp(x, 0, 1)` is 0 at exactly 0 and 1 in PyTorch 2.14, and that of a square
root is infinite at 0. Such a model has no usable gradient in any entry at a bound, and looks more
robust than it is. Its gradients slightly inside the bounds are right.
"""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from minnorm import boxes, geometry
from minnorm.access import Access, access_of
from minnorm.attacks.contract import AttackResult, Model
from minnorm.attacks.engine.autograd import differentiable
from minnorm.attacks.engine.problem import Problem
from minnorm.boxes import Bounds
from minnorm.doubts import Doubt
from minnorm.logits import output_of

_INSET = 2.0**-17
"""The distance from the bounds, as a share of their width, at which gradients are taken."""

_LARGEST_GAP = 16
"""How much larger than at the input the gap may be at another point of an attack."""

_RESTORED = 0.05
"""The share of the entries at a bound with a gradient only inside, from which on it is lost."""

_FEWEST = 2
"""The entries of a feature at a bound from which on they show that its gradient is lost there."""

_MOVED = 0.25
"""The share of the samples in which an entry is moved to a bound, to compare gradients there."""

_SAME = 0.2
"""The largest difference of two gradients that are the same, as a share of one."""

_CHECKED = frozenset({1, 10, 100, 1000})
"""The gradients of an attack that are checked, by number: a check waits for the device."""

_MOST_COMPARISONS = 2
"""The most comparisons of an attack, a gradient each, that find no gradient lost."""

LOST_GRADIENTS = Doubt(
    "lost-gradients",
    "The model's gradients are zero or not finite where an input is exactly at a bound, for "
    "example because the model clamps its inputs. The attacks take gradients slightly "
    "inside the bounds instead; what they find is verified by the model as given.",
)
"""The doubt about a model that loses gradients at the bounds."""


@dataclass(frozen=True)
class InsetGradients:
    """A model that attacks differentiate slightly inside the bounds.

    The attacks of this package evaluate `model` at the points that they report. For any other
    attack, calling this object returns the logits at the inputs; if they are to be differentiated,
    the logits slightly inside the bounds.

    Attributes:
        model: The classifier, which may be accelerated.
        bounds: The bounds of the inputs.
    """

    model: Model
    bounds: Bounds

    def __call__(self, inputs: Tensor, /) -> Tensor:
        """Return the logits of a batch."""
        if not (inputs.requires_grad and torch.is_grad_enabled()):
            return self.model(inputs)
        return self.model(inputs + (inset(inputs, self.bounds) - inputs).detach())

    @property
    def access(self) -> Access:
        """What the model offers to an attack."""
        return access_of(self.model)


@dataclass
class BoundWatch:
    """Whether an attack takes gradients inside the bounds; shared by all parts of a search.

    Attributes:
        active: Whether it does.
    """

    active: bool = False
    _gradients: int = field(default=0, repr=False)
    _comparisons: int = field(default=0, repr=False)

    def is_due(self) -> bool:
        """Count gradients, and return whether they are to be checked."""
        self._gradients += 1
        due = self._gradients in _CHECKED
        return due and not self.active and self._comparisons < _MOST_COMPARISONS

    def compare(
        self,
        gradients: Float[Tensor, "b *d"],
        inside: Float[Tensor, "b *d"],
        points: Float[Tensor, "b *d"],
        bounds: Bounds,
        nearest: Callable[[], Float[Tensor, "b *d"]],
    ) -> bool:
        """Compare gradients at the bounds with those inside, and warn if they are lost there.

        Args:
            gradients: The gradients at the points.
            inside: The gradients slightly inside the bounds.
            points: The points.
            bounds: The bounds of the inputs.
            nearest: See `are_lost`.

        Returns:
            Whether the attack takes gradients inside the bounds from now on.
        """
        self._comparisons += 1
        self.active = are_lost(gradients, inside, points, bounds, nearest)
        if self.active:
            warnings.warn(LOST_GRADIENTS.text, stacklevel=2)
        return self.active


def inset(
    points: Float[Tensor, "b *d"],
    bounds: Bounds,
    length: float | Float[Tensor, "b"] = math.inf,
    *,
    share: float = _INSET,
) -> Float[Tensor, "b *d"]:
    """Return the points, moved slightly inside the bounds where they are at one.

    How far depends on the largest distance of the sample's entries from the bound, since a bound
    may be far away from the data.

    Args:
        points: The points.
        bounds: The bounds of the inputs.
        length: The longest length that counts, see `Problem.usual_length`: one entry may be far
            larger than the perturbations of the others.
        share: How far they move, as a share of that distance; 0 for no farther than rounding needs.
    """
    if points.numel() == 0:
        return points
    low, high = bounds
    inside = points
    if _has_finite(low):
        inside = torch.maximum(inside, low + _gaps(points - low, low, bounds, length, share))
    if _has_finite(high):
        inside = torch.minimum(inside, high - _gaps(high - points, high, bounds, length, share))
    free = boxes.free(bounds)
    inside = inside if free is None else torch.where(free, inside, points)
    return inside.to(points.dtype)


def _has_finite(bound: float | Tensor) -> bool:
    return isinstance(bound, Tensor) or math.isfinite(bound)


def _gaps(
    depths: Float[Tensor, "b *d"],
    bound: float | Tensor,
    bounds: Bounds,
    length: float | Float[Tensor, "b"],
    share: float,
) -> Float[Tensor, "b ..."]:
    """Return how far points are moved from a bound, given the distances of the entries from it."""
    eps = torch.finfo(depths.dtype).eps
    share = max(share, 4 * eps)
    if isinstance(bound, Tensor):
        depths = depths.where(depths.isfinite(), 0.0)
    reach = geometry.norms(depths, "linf")
    reach = torch.where(reach > 0, reach, boxes.spans(bounds, depths)).clamp_max(length)
    reach = reach.to(depths.dtype)
    if not isinstance(bound, Tensor):
        gaps = (share * reach).clamp_min(4 * eps * abs(bound))
        return geometry.per_sample(gaps, depths)
    # The bounds of a feature may be narrower than the reach of the others.
    low, high = bounds
    reaches = torch.minimum(geometry.per_sample(reach, depths), torch.as_tensor(high - low))
    size = bound.abs()
    return torch.maximum(share * reaches, 4 * eps * size.where(size.isfinite(), 0.0))


def keeps_decisions(problem: Problem) -> bool:
    """Return whether points moved inside the bounds can be reported themselves.

    Rounded points must stay on their levels, and in half precision the points would move too far.
    """
    return problem.levels is None and problem.origins.dtype in (torch.float32, torch.float64)


def at_bounds(points: Float[Tensor, "b *d"], bounds: Bounds) -> Bool[Tensor, "b *d"]:
    """Return which entries are at a bound; an entry that cannot change is not."""
    at_low, at_high = _at_either(points, bounds)
    return at_low | at_high


def _at_either(points: Tensor, bounds: Bounds) -> tuple[Tensor, Tensor]:
    """Return which entries are at the low bound, and which at the high one."""
    low, high = bounds
    free = boxes.free(bounds)
    if free is None:
        return points <= low, points >= high
    return (points <= low) & free, (points >= high) & free


def may_be_lost(
    gradients: Float[Tensor, "b *d"], points: Float[Tensor, "b *d"], bounds: Bounds
) -> Bool[Tensor, ""]:
    """Return whether a feature has no usable gradient at a bound, though other entries have one.

    A gradient that is infinite or NaN at a bound counts by itself.
    """
    usable = _usable(gradients)
    there = at_bounds(points, bounds)
    suspicious = (there & ~gradients.isfinite()).any()
    for side in _at_either(points, bounds):
        suspicious |= ((_by_feature(side) > 0) & (_by_feature(usable & side) == 0)).any()
    free = boxes.free(bounds)
    everywhere = there.all() if free is None else (there | ~free).all()
    return suspicious & (usable.any() | everywhere)


def are_lost(
    gradients: Float[Tensor, "b *d"],
    inside: Float[Tensor, "b *d"],
    points: Float[Tensor, "b *d"],
    bounds: Bounds,
    nearest: Callable[[], Float[Tensor, "b *d"]],
) -> bool:
    """Return whether gradients are lost at the bounds: in many entries, or always in one feature.

    A feature is a channel of images, or a column of a table. A ReLU with a tiny bias may have a
    kink between the bounds and the points inside: where the gradients are the same nearer to the
    bounds, none are lost.

    Args:
        gradients: The gradients at the points.
        inside: The gradients slightly inside the bounds.
        points: The points.
        bounds: The bounds of the inputs.
        nearest: Returns the gradients at the points of `inset` that are nearest to the bounds; it
            is called only if those inside differ.
    """
    return _lack(gradients, inside, points, bounds) and _lack(gradients, nearest(), points, bounds)


def _lack(
    gradients: Float[Tensor, "b *d"],
    inside: Float[Tensor, "b *d"],
    points: Float[Tensor, "b *d"],
    bounds: Bounds,
) -> bool:
    """Return whether gradients at the bounds lack what those inside have."""
    there = at_bounds(points, bounds)
    if lost_share(gradients, inside, there) > _RESTORED:
        return True
    expected, usable = _usable(inside) & there, _usable(gradients)
    lost = (expected & ~gradients.isfinite()).any()
    for side in _at_either(points, bounds):
        known = _by_feature(expected & side)
        lost |= ((known >= _FEWEST) & (_by_feature(expected & side & usable) == 0)).any()
    return bool(lost)


def _by_feature(entries: Bool[Tensor, "b *d"]) -> Int64[Tensor, "n"]:
    """Count entries by feature, the dimension after that of the batch."""
    entries = entries if entries.ndim > 1 else entries.unsqueeze(1)
    return entries.sum([number for number in range(entries.ndim) if number != 1])


def lost_share(
    gradients: Float[Tensor, "b *d"],
    inside: Float[Tensor, "b *d"],
    at_bounds: Bool[Tensor, "b *d"],
) -> float:
    """Return the share of the entries at a bound whose gradient is lost there.

    It is lost if it is usable inside, and not the same at the bound: 0, infinite, NaN, or half of
    it, which is the derivative of `torch.maximum` of two equal numbers.

    Args:
        gradients: The gradients at the points.
        inside: The gradients slightly inside the bounds.
        at_bounds: Which entries of the points are at a bound.
    """
    expected = _usable(inside) & at_bounds
    same = (gradients - inside).abs() <= _SAME * inside.abs()  # false for NaN
    lost = expected & ~same
    return float(lost.sum() / expected.sum().clamp_min(1))


def loses_gradients(model: Model, inputs: Float[Tensor, "b *d"], bounds: Bounds) -> bool:
    """Return whether a model loses its gradients at the bounds; costs four gradients, or six.

    Args:
        model: The classifier.
        inputs: Some samples. The test also uses copies with entries moved to the bounds at random.
        bounds: The bounds of the inputs.
    """
    if inputs.numel() == 0 or not any(_has_finite(bound) for bound in bounds):
        return False
    bounds = boxes.for_batch(bounds, inputs)
    samples = (inputs, _with_entries_at_bounds(inputs, bounds))
    twice = boxes.part(bounds, torch.arange(len(inputs), device=inputs.device).repeat(2))

    def gradients_at(*moved: Tensor) -> Tensor:
        return torch.cat([_gradients_of_logits(model, points) for points in moved])

    return are_lost(
        gradients_at(*samples),
        gradients_at(*(inset(points, bounds) for points in samples)),
        torch.cat(samples),
        twice,
        lambda: gradients_at(*(inset(points, bounds, share=0.0) for points in samples)),
    )


def _with_entries_at_bounds(inputs: Tensor, bounds: Bounds) -> Tensor:
    """Return the inputs with a quarter of the entries at each bound that is near, at random.

    Each entry is at each of these bounds in a quarter of the samples, or in one. A bound is near if
    it is closer to the data than these are wide; features count as shares of their width.
    """
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(inputs.shape, generator=generator, dtype=torch.float32)
    # The places of the samples in a random order of each entry, from 0 to 1.
    drawn = (drawn.argsort(0).argsort(0) / max(len(inputs) - 1, 1)).to(inputs.device)
    low, high = bounds
    width = torch.as_tensor(high - low, device=inputs.device)
    free, width = width > 0, width.where(width.isfinite(), 1.0)
    points = inputs
    for bound, chosen in ((low, drawn < _MOVED), (high, drawn > 1 - _MOVED)):
        movable = (free & torch.as_tensor(bound, device=inputs.device).isfinite()).expand_as(inputs)
        gaps = ((inputs - bound).abs() / width)[movable]
        if len(gaps) > 0 and gaps.amin() <= gaps.amax() - gaps.amin():
            points = torch.where(movable & chosen, bound, points)
    return points


def _gradients_of_logits(model: Model, points: Tensor) -> Tensor:
    """Return the gradients of the sums of the logits, weighted so that they do not cancel."""
    logits, pull_back = differentiable(model, points)
    weights = torch.arange(1, logits.shape[1] + 1, device=logits.device) % 5 + 1
    return pull_back(weights.to(logits.dtype).expand_as(logits).contiguous())


def restore_origins(model: Model, result: AttackResult, problem: Problem) -> AttackResult:
    """Move entries that differ from the input by the inset alone back, where it stays adversarial.

    Costs a forward pass.

    Args:
        model: The classifier as given.
        result: What an attack has found.
        problem: The problem of the whole batch.
    """
    if not keeps_decisions(problem):
        return result
    origins = problem.origins
    gaps = (inset(origins, problem.bounds, problem.usual_length) - origins).abs()
    unmoved = (result.adversarials - origins).abs() <= _LARGEST_GAP * gaps
    points = torch.where(unmoved, origins, result.adversarials)
    adversarial, _ = problem.goal.decide(output_of(model, points))
    kept = result.success & adversarial
    points = torch.where(geometry.per_sample(kept, points), points, result.adversarials)
    moved = geometry.distances(points, origins, problem.norm)
    return AttackResult(points, moved.where(result.success, torch.inf), result.success)


def _usable(gradients: Tensor) -> Tensor:
    return gradients.isfinite() & (gradients != 0)
