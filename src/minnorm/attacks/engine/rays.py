"""Rays from the inputs that turn towards the normals of the boundary: the steps of normal pursuit.

See docs/normal-pursuit.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.engine.autograd import ordinary
from minnorm.attacks.engine.search import Search
from minnorm.geometry import per_sample
from minnorm.logits import difference_direction, likeliest_others, logit_differences

_BEYOND = 0.001
"""How far beyond the boundary a ray ends, as a share of its length: a point before the boundary is
not adversarial."""

_GROWTH = 1.5
"""The largest factor by which a ray grows at once."""

_NEWTON_STEPS = 4

_SHORTEST, _LONGEST = 1e-6, 1e6
"""The lengths that a ray may have."""

_LARGEST = 1e30
"""The largest margin; larger ones, and NaN, count as this."""


class Ray(NamedTuple):
    """A ray from each input, and the length at which the boundary is expected; in units.

    The point at a length is clipped to the bounds, so it may be nearer than that.

    Attributes:
        directions: The directions, of L2 norm 1.
        lengths: The lengths.
        whole: The margin at the point from which the ray was first aimed.
        left: The last margin that was measured along the ray.
        rivals: The classes towards which the rays were first aimed.
    """

    directions: Float[Tensor, "b *d"]
    lengths: Float[Tensor, "b"]
    whole: Float[Tensor, "b"]
    left: Float[Tensor, "b"]
    rivals: Int64[Tensor, "b"]

    def part(self, chosen: Int64[Tensor, "k"]) -> "Ray":
        """Return the rays of some of the samples."""
        return Ray(*(part[chosen] for part in self))


@dataclass(frozen=True)
class Pursuit:
    """The operations on rays.

    Attributes:
        search: The search; it keeps every adversarial that is met.
    """

    search: Search

    @property
    def longest(self) -> float:
        """The longest ray. If the bounds clip entries it may exceed the width of the box."""
        return min(_LONGEST, torch.finfo(self.search.problem.origins.dtype).max / 16)

    def points(self, ray: Ray) -> Float[Tensor, "b *d"]:
        """Return the points at the lengths of the rays."""
        lengths = per_sample(ray.lengths, ray.directions).to(ray.directions.dtype)
        return self.search.problem.points(ray.directions * lengths)

    def first_rays(self, points: Float[Tensor, "b *d"], number: int) -> list[Ray]:
        """Return rays to the boundaries of the most likely classes, in linear models at the points.

        Costs a forward pass, and for each ray a backward and a forward pass.

        Args:
            points: Where the linear models are made.
            number: The number of rays, each towards another class.
        """
        search = self.search
        visit = search.visit(points)
        before = _finite(search.goal.margins(visit.logits))
        here = search.problem.perturbations(points)
        models = []
        all_rivals = likeliest_others(visit.logits, search.goal.labels, number).unbind(1)
        for place, rivals in enumerate(all_rivals, start=1):
            again = place < len(all_rivals)
            pulled = visit.pull_back(self._descent(visit.logits, rivals), again=again)
            normals, slopes = _normals_and_slopes(search.with_directions(pulled))
            gaps = self._margins(visit.logits, rivals) / slopes
            models.append((normals, gaps.clamp(-self.longest, self.longest), rivals))
        return [self._aimed(here, before, *model) for model in models]

    def _aimed(
        self,
        here: Float[Tensor, "b *d"],
        before: Float[Tensor, "b"],
        normals: Float[Tensor, "b *d"],
        gaps: Float[Tensor, "b"],
        rivals: Int64[Tensor, "b"],
    ) -> Ray:
        """Return the rays to the boundary of a linear model; costs a forward pass.

        Args:
            here: The perturbations at which the linear model was made.
            before: The margins there.
            normals: The normals of the boundary.
            gaps: The distance of the boundary along the normals.
            rivals: The classes beyond the boundary; in a targeted attack, before it.
        """
        problem = self.search.problem
        ahead = here + normals * per_sample(gaps, normals).to(normals.dtype)
        directions = geometry.unit(ahead, fallback=self.search.noise())
        rises = gaps + geometry.dot(normals, here)
        lengths = self._crossing(directions, normals, rises, geometry.norms(ahead))
        # A linear model that reaches so far is a poor one: let the ray grow step by step.
        farthest = geometry.farthest_corner(problem.origins, problem.bounds)
        lengths = torch.minimum(lengths, farthest / problem.unit)
        ray = Ray(directions, lengths, before, before, rivals)
        after = _finite(self.search.margins_at(self.points(ray)))
        # The chord between the two margins; where the margin did not fall, a longer ray.
        ratio = before / (before - after)
        chord = torch.where((after < before) & (before > 0), ratio, _GROWTH)
        lengths = ray.lengths * chord.nan_to_num(_GROWTH).clamp(0.1, 3.0)
        return ray._replace(lengths=lengths.clamp_max(self.longest), left=after)

    def through(self, starts: Float[Tensor, "b *d"], otherwise: Ray) -> Ray:
        """Return the rays through the adversarial starts; for the other samples, return other rays.

        The other rays get the largest length, so that they are dropped first. Costs a forward pass.

        Args:
            starts: Points inside the bounds.
            otherwise: The other rays.
        """
        problem = self.search.problem
        points = problem.feasible_(ordinary(starts).clone())
        across = self.search.adversarial_at(points)
        moves = problem.perturbations(points)
        lengths = geometry.norms(moves)
        directions = geometry.unit(moves, fallback=self.search.noise())
        return Ray(
            torch.where(per_sample(across, moves), directions, otherwise.directions),
            torch.where(across, lengths, self.longest),
            *otherwise[2:],
        )

    def turned(self, ray: Ray, share: float, *, fixed_class: bool = False) -> Ray:
        """Take a step: turn the rays towards the normals at their points, and correct the lengths.

        Costs a gradient and a forward pass.

        Args:
            ray: The rays.
            share: The share of the normals in the new directions.
            fixed_class: Whether to follow the boundary of the class that each ray was first aimed
                at, instead of the nearest boundary.
        """
        search = self.search
        points = self.points(ray)
        visit = search.visit(points)
        rivals = ray.rivals if fixed_class else None
        pulled = visit.pull_back(self._descent(visit.logits, rivals))
        normals, slopes = _normals_and_slopes(search.with_directions(pulled))
        margins = self._margins(visit.logits, rivals)
        rises = margins / slopes + geometry.dot(normals, search.problem.perturbations(points))
        directions = torch.lerp(ray.directions, normals, share)
        directions = geometry.unit(directions, fallback=search.noise())
        lengths = self._crossing(directions, normals, rises, ray.lengths)
        lengths = lengths.clamp(min=ray.lengths / 2, max=_GROWTH * ray.lengths)
        ahead = ray._replace(directions=directions, lengths=lengths.clamp_max(self.longest))
        return self._corrected(ahead, slopes * geometry.dot(normals, directions), rivals)

    def _margins(
        self, logits: Float[Tensor, "b c"], rivals: Int64[Tensor, "b"] | None
    ) -> Float[Tensor, "b"]:
        """Return the margins against the rivals alone, or against all other classes."""
        goal = self.search.goal
        if rivals is None:
            return _finite(goal.margins(logits))
        differences = logit_differences(logits, goal.labels, rivals)
        return _finite(-differences if goal.targeted else differences)

    def _descent(
        self, logits: Float[Tensor, "b c"], rivals: Int64[Tensor, "b"] | None
    ) -> Float[Tensor, "b c"]:
        """Return the direction in logit space in which these margins fall.

        In a targeted attack, the logit of the target must exceed those of all other classes, so the
        direction is the mean over these classes, weighted by their probabilities. With the largest
        logit alone the rays would oscillate.
        """
        goal = self.search.goal
        if rivals is not None:
            pair = (goal.labels, rivals) if goal.targeted else (rivals, goal.labels)
            return difference_direction(logits, *pair)
        if goal.targeted:
            return goal.cross_entropy_direction(logits)
        return -goal.margin_direction(logits)

    def _corrected(
        self, ray: Ray, slopes: Float[Tensor, "b"], rivals: Int64[Tensor, "b"] | None
    ) -> Ray:
        """Correct the lengths for the error of the linear model, by a forward pass.

        Args:
            ray: The rays.
            slopes: How fast the margin falls along them in the linear model.
            rivals: The classes whose margins count; `None` for all other classes.
        """
        points = self.points(ray)
        if rivals is None:
            left = _finite(self.search.margins_at(points))
        else:
            left = self._margins(self.search.logits_at(points), rivals)
        longest = _GROWTH * ray.lengths
        better = torch.where(slopes > 0, ray.lengths + left / slopes, longest)
        better = better.clamp(min=0.7 * ray.lengths, max=longest)
        return ray._replace(lengths=(better * (1 + _BEYOND)).clamp_max(self.longest), left=left)

    def settle(self, ray: Ray, probes: int) -> None:
        """Search for the boundary along the rays, around their lengths, by forward passes."""
        near, far = torch.zeros_like(ray.lengths), torch.full_like(ray.lengths, torch.inf)
        before, beyond = torch.full_like(near, torch.nan), torch.full_like(near, torch.nan)
        lengths, width = ray.lengths, 0.004
        for _ in range(probes):
            margins = self.search.margins_at(self.points(ray._replace(lengths=lengths)))
            across = margins <= 0
            far, beyond = torch.where(across, lengths, far), torch.where(across, margins, beyond)
            near, before = torch.where(across, near, lengths), torch.where(across, before, margins)
            # A little beyond the zero of the chord, since a point before the boundary
            # is not adversarial.
            share = (1.15 * before / (before - beyond)).nan_to_num(0.5).clamp(0.15, 0.9)
            between = near + (far - near) * share
            found = self.search.incumbent.distances.isfinite()
            farther = lengths * torch.where(found, 1 + width, _GROWTH)
            outside = torch.where(across, lengths * (1 - width), farther)
            bracketed = (near > 0) & far.isfinite()
            lengths = torch.where(bracketed, between, outside).clamp_max(self.longest)
            width *= 3

    def shortest(self, rays: Sequence[Ray], number: int) -> list[Ray]:
        """Return the `number` rays of each sample whose points are nearest to the input."""
        if number >= len(rays):
            return list(rays)
        moves = [self.search.problem.perturbations(self.points(ray)) for ray in rays]
        distances = [geometry.norms(move) for move in moves]
        order = torch.stack(distances).argsort(dim=0, stable=True)[:number]
        parts = [torch.stack(part) for part in zip(*rays, strict=True)]
        samples = torch.arange(order.shape[1], device=order.device)
        return [Ray(*(part[place, samples] for part in parts)) for place in order]

    def _crossing(
        self,
        directions: Float[Tensor, "b *d"],
        normals: Float[Tensor, "b *d"],
        rises: Float[Tensor, "b"],
        guesses: Float[Tensor, "b"],
    ) -> Float[Tensor, "b"]:
        """Return the lengths at which a linear function has risen enough along the clipped rays."""
        problem = self.search.problem
        below, above = (problem.in_units(bound - problem.origins) for bound in problem.bounds)
        lengths = guesses.clamp(min=_SHORTEST)
        for _ in range(_NEWTON_STEPS):
            moves = directions * per_sample(lengths, directions).to(directions.dtype)
            clipped = torch.maximum(torch.minimum(moves, above), below)
            missing = rises - geometry.dot(normals, clipped)
            slopes = geometry.dot(normals, directions * (clipped == moves))
            steps = torch.where(slopes > 1e-6, missing / slopes, 0.0)
            lengths = (lengths + steps).clamp(min=lengths / 2, max=3 * lengths)
        return lengths.clamp_max(self.longest)


def _normals_and_slopes(
    gradients: Float[Tensor, "b *d"],
) -> tuple[Float[Tensor, "b *d"], Float[Tensor, "b"]]:
    slopes = geometry.dual_norms(gradients, "l2")
    return geometry.scale_to_norm(gradients, torch.ones_like(slopes)), slopes


def _finite(values: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    finite = geometry.wide(values).nan_to_num(_LARGEST, _LARGEST, -_LARGEST)
    return finite.clamp(-_LARGEST, _LARGEST)
