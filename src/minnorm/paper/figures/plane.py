"""A classifier of points in the plane, on which the steps of an attack can be seen.

A small smooth network, trained on two interleaved half circles. Nothing about it is random: the
same points and the same first weights give the same classifier.
"""

import math
from itertools import pairwise

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from minnorm.attacks import Model

BOUNDS = (-6.0, 6.0)
"""The lowest and the highest coordinate of a point."""

_RADIUS = 3.0
_POINTS = 40
"""The radius of the half circles, and the training points on each."""

_HIDDEN = 12
_STEPS = 150
_STEP_SIZE = 0.02
_DECAY = 0.01

_ANGLES = 720
_RADII = 400
_BISECTIONS = 50
_ZOOMS = 6


def half_circles() -> tuple[Float[Tensor, "n 2"], Int64[Tensor, "n"]]:
    """Return the training points, and their classes."""
    angles = torch.linspace(0, math.pi, _POINTS, dtype=torch.float64)
    upper = torch.stack([angles.cos() - 0.5, angles.sin() - 0.25], 1)
    labels = torch.arange(2).repeat_interleave(_POINTS)
    return _RADIUS * torch.cat([upper, -upper]), labels


def plane_classifier() -> nn.Module:
    """Return the trained classifier of the plane, in float64; this takes about a second."""
    points, labels = half_circles()
    sizes = (2, _HIDDEN, _HIDDEN, 2)
    # Without values at first: they would come from the global random numbers.
    layers = [nn.Linear(*pair, dtype=torch.float64, device="meta") for pair in pairwise(sizes)]
    model = nn.Sequential(layers[0], nn.Tanh(), layers[1], nn.Tanh(), layers[2])
    model.to_empty(device="cpu")
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            values = torch.randn(weight.shape, generator=generator, dtype=torch.float64)
            weight.copy_(values / math.sqrt(weight.shape[-1]) if weight.ndim > 1 else values / 10)
    with torch.enable_grad():
        optimizer = torch.optim.Adam(model.parameters(), _STEP_SIZE, weight_decay=_DECAY)
        for _ in range(_STEPS):
            optimizer.zero_grad()
            torch.autograd.backward(nn.functional.cross_entropy(model(points), labels))
            optimizer.step()
    return model.requires_grad_(False).eval()


def closest_point(model: Model, point: Float[Tensor, "2"], label: int) -> Float[Tensor, "2"]:
    """Return the closest adversarial of a point, by a search over all directions.

    On each of 720 rays the first of 400 lengths that is adversarial is refined by bisection; then
    the same is done between the neighbors of the best ray, and so on.

    Args:
        model: The classifier.
        point: The point.
        label: Its class.
    """
    middle, width = 0.0, math.pi
    for _ in range(_ZOOMS):
        angles = middle + torch.linspace(-width, width, _ANGLES + 1, dtype=torch.float64)
        rays = torch.stack([angles.cos(), angles.sin()], 1)
        lengths = _first_lengths(model, point, label, rays)
        best = int(lengths.argmin())
        middle, width = float(angles[best]), 2 * width / _ANGLES
    return point + lengths[best] * rays[best]


def _first_lengths(
    model: Model, point: Float[Tensor, "2"], label: int, rays: Float[Tensor, "r 2"]
) -> Float[Tensor, "r"]:
    """Return the length at which each ray reaches another class, infinite if it does not."""
    longest = math.hypot(*(max(abs(float(x) - bound) for bound in BOUNDS) for x in point))
    steps = torch.linspace(0, longest, _RADII + 1, dtype=torch.float64)
    points = point + steps[:, None, None] * rays
    inside = ((points >= BOUNDS[0]) & (points <= BOUNDS[1])).all(2)
    hits = inside & (model(points.reshape(-1, 2)).argmax(1) != label).reshape(inside.shape)
    first = hits.int().argmax(0)
    far = steps[first]
    near = steps[(first - 1).clamp_min(0)]
    for _ in range(_BISECTIONS):
        between = (near + far) / 2
        across = model(point + between[:, None] * rays).argmax(1) != label
        near, far = torch.where(across, near, between), torch.where(across, between, far)
    return torch.where(hits.any(0), far, math.inf)
