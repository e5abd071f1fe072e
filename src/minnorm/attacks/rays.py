"""Rays from the inputs, that turn towards the normals of the boundary: what normal pursuit does.

See docs/normal-pursuit.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from minnorm import geometry
from minnorm.attacks.search import Search
from minnorm.geometry import per_sample
from minnorm.losses import difference_direction, likeliest_others, logit_differences


class Ray(NamedTuple):
    """A ray from each input, and how far along it to look; in units of the width of the bounds.

    The point at a length is clipped to the bounds, so that it may be nearer than that.

    Attributes:
        directions: Of L2 norm 1.
        lengths: Where the boundary is thought to be.
        whole: The margin at the point that the ray was first aimed from.
        left: The margin where the model was last asked, somewhere along the ray.
        rivals: The classes towards which the rays were first aimed.
    """

    directions: Float[Tensor, "b *d"]
    lengths: Float[Tensor, "b"]
    whole: Float[Tensor, "b"]
    left: Float[Tensor, "b"]
    rivals: Int64[Tensor, "b"]

    def part(self, chosen: Int64[Tensor, "k"]) -> "Ray":
        """Gives the rays of some of the samples."""
        return Ray(*(part[chosen] for part in self))


@dataclass(frozen=True)
class Pursuit:
    """What is done with rays.

    Attributes:
        state: The search.
        levels: The grid to which points are rounded, if any.
    """

    state: Search
    levels: int | None

    @property
    def longest(self) -> float:
        """The longest ray: where entries are at a bound it may be longer than the box is wide."""
        return min(_LONGEST, torch.finfo(self.state.origins.dtype).max / 16)

    def points(self, ray: Ray) -> Float[Tensor, "b *d"]:
        """Gives the points at the lengths of the rays."""
        lengths = per_sample(ray.lengths, ray.directions).to(ray.directions.dtype)
        return self.on_grid(self.state.points(ray.directions * lengths))

    def on_grid(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Rounds points to the grid."""
        return geometry.quantize(points, self.levels, self.state.bounds)

    def first_rays(self, points: Float[Tensor, "b *d"], number: int) -> list[Ray]:
        """Gives rays to where linear models put the boundaries of the likeliest classes.

        Costs a forward pass, and for each ray a backward and a forward pass. The linear models are
        those at the points, and the rays go to their nearest points from there.
        """
        state = self.state
        visit = state.visit(points)
        before, here = _finite(state.margins(visit.logits)), state.perturbations(points)
        models = []
        all_rivals = likeliest_others(visit.logits, state.labels, number).unbind(1)
        for place, rivals in enumerate(all_rivals, start=1):
            again = place < len(all_rivals)
            gradients = state.alive(visit.pull_back(self._rise(visit.logits, rivals), again=again))
            normals, slopes = _normals_and_slopes(gradients)
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
        """Gives the rays to where linear models put a boundary; costs a forward pass.

        Args:
            here: The perturbations at which the linear models were made.
            before: The margins there.
            normals: The normals of the boundaries.
            gaps: How far away along the normals the boundaries are.
            rivals: The classes beyond the boundaries; targeted, before them.
        """
        ahead = here + normals * per_sample(gaps, normals).to(normals.dtype)
        directions = geometry.unit(ahead, fallback=self.state.noise())
        rises = gaps + geometry.dot(normals, here)
        lengths = self._crossing(directions, normals, rises, geometry.norms(ahead))
        # A linear model that leads that far is a poor one: the ray shall grow step by step.
        farthest = geometry.farthest_corner(self.state.origins, self.state.bounds)
        lengths = torch.minimum(lengths, farthest / self.state.unit)
        ray = Ray(directions, lengths, before, before, rivals)
        after = _finite(self.state.margins_at(self.points(ray)))
        # The chord between the two margins; where the margin did not fall, a longer ray.
        ratio = before / (before - after)
        chord = torch.where((after < before) & (before > 0), ratio, _GROWTH)
        lengths = ray.lengths * chord.nan_to_num(_GROWTH).clamp(0.1, 3.0)
        return ray._replace(lengths=lengths.clamp_max(self.longest), left=after)

    def through(self, points: Float[Tensor, "b *d"], otherwise: Ray) -> Ray:
        """Gives the rays through those of the points that are adversarial, else other ones.

        The others are as long as can be, so that they are the first to be given up. Costs a forward
        pass.
        """
        across = self.state.judge(points)
        moves = self.state.perturbations(points)
        lengths = geometry.norms(moves)
        directions = geometry.unit(moves, fallback=self.state.noise())
        return Ray(
            torch.where(per_sample(across, moves), directions, otherwise.directions),
            torch.where(across, lengths, self.longest),
            *otherwise[2:],
        )

    def turned(self, ray: Ray, share: float, *, loyal: bool = False) -> Ray:
        """Takes a step: turns the rays towards the normals at their points, and finds the boundary.

        Costs a gradient and a forward pass.

        Args:
            ray: The rays.
            share: The share of the normals in the new directions.
            loyal: Whether the boundary is that of the class that each ray was first aimed at,
                instead of the nearest.
        """
        state = self.state
        points = self.points(ray)
        visit = state.visit(points)
        rivals = ray.rivals if loyal else None
        gradients = state.alive(visit.pull_back(self._rise(visit.logits, rivals)))
        normals, slopes = _normals_and_slopes(gradients)
        margins = self._margins(visit.logits, rivals)
        rises = margins / slopes + geometry.dot(normals, state.perturbations(points))
        directions = torch.lerp(ray.directions, normals, share)
        directions = geometry.unit(directions, fallback=state.noise())
        lengths = self._crossing(directions, normals, rises, ray.lengths)
        lengths = lengths.clamp(min=ray.lengths / 2, max=_GROWTH * ray.lengths)
        ahead = ray._replace(directions=directions, lengths=lengths.clamp_max(self.longest))
        return self._looked(ahead, slopes * geometry.dot(normals, directions), rivals)

    def _margins(
        self, logits: Float[Tensor, "b c"], rivals: Int64[Tensor, "b"] | None
    ) -> Float[Tensor, "b"]:
        """Gives the margins, of rivals alone or of all other classes at once."""
        state = self.state
        if rivals is None:
            return _finite(state.margins(logits))
        differences = logit_differences(logits, state.labels, rivals)
        return _finite(-differences if state.targeted else differences)

    def _rise(
        self, logits: Float[Tensor, "b c"], rivals: Int64[Tensor, "b"] | None
    ) -> Float[Tensor, "b c"]:
        """Gives the direction in logit space in which these margins fall.

        Targeted, the label has to overtake all other classes at once, so that it is their mean,
        weighted by their likelihoods; with the largest alone the rays would turn to and fro.
        """
        state = self.state
        if rivals is not None:
            pair = (state.labels, rivals) if state.targeted else (rivals, state.labels)
            return difference_direction(logits, *pair)
        if state.targeted:
            return state.cross_entropy_direction(logits)
        return -state.margin_direction(logits)

    def _looked(
        self, ray: Ray, falls: Float[Tensor, "b"], rivals: Int64[Tensor, "b"] | None
    ) -> Ray:
        """Mends the lengths, since the linear model errs, by a forward pass.

        Args:
            ray: The rays.
            falls: How fast the margin falls along them, by the linear model.
            rivals: The classes whose margins count, `None` for all at once.
        """
        points = self.points(ray)
        if rivals is None:
            left = _finite(self.state.margins_at(points))
        else:
            left = self._margins(self.state.logits_at(points), rivals)
        longest = _GROWTH * ray.lengths
        better = torch.where(falls > 0, ray.lengths + left / falls, longest)
        better = better.clamp(min=0.7 * ray.lengths, max=longest)
        return ray._replace(lengths=(better * (1 + _BEYOND)).clamp_max(self.longest), left=left)

    def settle(self, ray: Ray, probes: int) -> None:
        """Looks for the boundary along the rays, around their lengths, by forward passes."""
        near, far = torch.zeros_like(ray.lengths), torch.full_like(ray.lengths, torch.inf)
        before, beyond = torch.full_like(near, torch.nan), torch.full_like(near, torch.nan)
        lengths, width = ray.lengths, 0.004
        for _ in range(probes):
            margins = self.state.margins_at(self.points(ray._replace(lengths=lengths)))
            across = margins <= 0
            far, beyond = torch.where(across, lengths, far), torch.where(across, margins, beyond)
            near, before = torch.where(across, near, lengths), torch.where(across, before, margins)
            # A little beyond where the chord crosses, since a point before it is of no use.
            share = (1.15 * before / (before - beyond)).nan_to_num(0.5).clamp(0.15, 0.9)
            between = near + (far - near) * share
            found = self.state.incumbent.distances.isfinite()
            farther = lengths * torch.where(found, 1 + width, _GROWTH)
            outside = torch.where(across, lengths * (1 - width), farther)
            bracketed = (near > 0) & far.isfinite()
            lengths = torch.where(bracketed, between, outside).clamp_max(self.longest)
            width *= 3

    def shortest(self, rays: Sequence[Ray], number: int) -> list[Ray]:
        """Gives, for each sample, the rays whose points are nearest to the input."""
        if number >= len(rays):
            return list(rays)
        distances = [geometry.norms(self.state.perturbations(self.points(ray))) for ray in rays]
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
        """Gives the lengths at which a linear function has risen enough along the clipped rays."""
        state = self.state
        below, above = ((bound - state.origins) / state.unit for bound in state.bounds)
        lengths = guesses.clamp(min=_SHORTEST)
        for _ in range(_NEWTON_STEPS):
            moves = directions * per_sample(lengths, directions).to(directions.dtype)
            clipped = torch.maximum(torch.minimum(moves, above), below)
            missing = rises - geometry.dot(normals, clipped)
            slopes = geometry.dot(normals, directions * (clipped == moves))
            steps = torch.where(slopes > 1e-6, missing / slopes, 0.0)
            lengths = (lengths + steps).clamp(min=lengths / 2, max=3 * lengths)
        return lengths.clamp_max(self.longest)


_BEYOND = 0.001
"""How far beyond the boundary a ray ends, since a point before it is no adversarial."""

_GROWTH = 1.5
"""By how much a ray becomes longer at most, at each look."""

_NEWTON_STEPS = 4

_SHORTEST, _LONGEST = 1e-6, 1e6
"""Of a ray."""

_LARGEST = 1e30
"""Of a margin; larger ones, and NaN, count as this."""


def _normals_and_slopes(
    gradients: Float[Tensor, "b *d"],
) -> tuple[Float[Tensor, "b *d"], Float[Tensor, "b"]]:
    slopes = geometry.dual_norms(gradients, "l2")
    return geometry.on_sphere(gradients, torch.ones_like(slopes)), slopes


def _finite(values: Float[Tensor, "b"]) -> Float[Tensor, "b"]:
    wide = torch.promote_types(values.dtype, torch.float32)
    return values.to(wide).nan_to_num(_LARGEST, _LARGEST, -_LARGEST).clamp(-_LARGEST, _LARGEST)
