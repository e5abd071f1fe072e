"""The problem that an attack solves, and the checks of the arguments of an attack."""

import inspect
import math
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn

from minnorm import boxes, geometry
from minnorm.acceleration.accelerated import check_callable, original
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.samples import check_samples
from minnorm.boxes import Bounds
from minnorm.errors import InputError
from minnorm.geometry import Norm, per_sample
from minnorm.logits import ACTIVE_DROPOUT, DROPOUT, parts_in_training_mode
from minnorm.radii import ROUNDED_SHARE

LOOSE = 100.0
"""The bounds are loose where their width is this many times a usual perturbation: the distance to
the decision boundary, or the radius of an attack."""

USUAL_UNIT = 5.0
"""The unit of length where bounds are loose, as a multiple of a usual perturbation."""


@dataclass(frozen=True)
class Problem:
    """The problem that an attack solves.

    Perturbations and radii are in units of `unit`, since the papers' hyper-parameters are for
    inputs in 0..1; points, bounds and distances are in units of the inputs. The unit is a number,
    or one number for each sample where the bounds are loose, see `engine.units`.

    Attributes:
        origins: The inputs under attack, `[b *d]`.
        goal: The labels, and whether they are target classes.
        bounds: The lowest and the highest value of an input: two numbers, or two tensors as
            `boxes.for_batch` returns them.
        norm: The norm of the distances.
        radius_limit: The largest distance of an adversarial that counts; infinite for no limit.
        unit: The unit of length, a number or `[b]`; always `[b]` if the bounds are tensors.
        levels: The number of evenly spaced values from low to high that points are rounded to;
            `None` for no rounding.
    """

    origins: Float[Tensor, "b *d"]
    goal: Goal
    bounds: Bounds = (0.0, 1.0)
    norm: Norm = "l2"
    radius_limit: float = math.inf
    unit: float | Float[Tensor, "b"] = 1.0
    levels: int | None = None

    def part(self, rows: Int64[Tensor, "k"]) -> "Problem":
        """Return the problem of some of the samples."""
        unit = self.unit[rows] if isinstance(self.unit, Tensor) else self.unit
        return replace(
            self,
            origins=self.origins[rows],
            goal=self.goal.part(rows),
            bounds=boxes.part(self.bounds, rows),
            unit=unit,
        )

    @property
    def free(self) -> Bool[Tensor, "..."] | None:
        """Which features can change, `None` for all of them."""
        return boxes.free(self.bounds)

    def along_free(self, directions: Float[Tensor, "#b *d"]) -> Float[Tensor, "#b *d"]:
        """Return directions, such as gradients or noise, without the features that cannot change.

        Otherwise these would take a part of the length of a step.
        """
        free = self.free
        return directions if free is None else torch.where(free, directions, 0.0)

    def points(self, perturbations: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the feasible points at these perturbations, given in units."""
        return self.feasible_(self.moved(self.origins, perturbations))

    def moved(
        self, points: Float[Tensor, "b *d"], steps: Float[Tensor, "b *d"], factor: float = 1.0
    ) -> Float[Tensor, "b *d"]:
        """Return the points after steps in units, times a factor; neither clipped nor rounded."""
        if isinstance(self.unit, Tensor):
            units = per_sample(factor * self.unit, steps).to(steps.dtype)
            return torch.addcmul(points, steps, units)  # rounds as the line below
        return torch.add(points, steps, alpha=factor * self.unit)

    def in_inputs(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Multiply values by the unit: lengths in units become lengths in units of the inputs."""
        if isinstance(self.unit, Tensor):
            return values * per_sample(self.unit, values).to(values.dtype)
        return values if self.unit == 1 else values * self.unit

    def in_units(self, values: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Divide values by the unit; the inverse of `in_inputs`."""
        if isinstance(self.unit, Tensor):
            return values / per_sample(self.unit, values).to(values.dtype)
        return values if self.unit == 1 else values / self.unit

    def perturbations(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the perturbations of the points, in units."""
        return self.in_units(points - self.origins)

    def feasible_(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        """Return the points clipped to the bounds and rounded to the levels.

        With a limited Linf radius, an entry that rounding moves outside goes back by one level.
        The points may be overwritten.
        """
        points = boxes.clip_(points, self.bounds)
        if self.levels is not None:
            points = self._rounded(points)
        # The value itself, bit by bit: clipping to equal bounds may return -0 for 0, or NaN.
        free = self.free
        return points if free is None else torch.where(free, points, self.origins)

    def _rounded(self, points: Float[Tensor, "b *d"]) -> Float[Tensor, "b *d"]:
        points = boxes.quantize(points, self.levels, self.bounds)
        if self.norm != "linf" or math.isinf(self.radius_limit):
            return points
        moves = points - self.origins
        limit = self.measured_limit
        limit = per_sample(limit, moves) if isinstance(limit, Tensor) else limit
        back = torch.where(moves.abs() > limit, moves.sign(), 0.0)
        return boxes.quantize(points - self.level * back, self.levels, self.bounds)

    @property
    def usual_length(self) -> float | Float[Tensor, "b"]:
        """A length of the order of perturbations where bounds are loose, else the width."""
        if isinstance(self.unit, Tensor):
            return self.unit
        radius = self.radius_limit
        return USUAL_UNIT * radius if LOOSE * radius < self.unit else self.unit

    @property
    def _reach(self) -> float | Float[Tensor, "b"]:
        """How far from the inputs a bound counts: points are not expected beyond it."""
        length, width = self.usual_length, boxes.spans(self.bounds, self.origins)
        if isinstance(length, Tensor) or isinstance(width, Tensor):
            lengths, widths = torch.as_tensor(length), torch.as_tensor(width)
            return torch.where(lengths < widths, lengths, torch.inf)
        return length if length < width else math.inf

    @property
    def level(self) -> float | Float[Tensor, "..."]:
        """The distance between two neighboring levels, in units of the inputs; 0 without levels.

        For tensor bounds it is that of each feature, in the shape of the bounds.
        """
        if self.levels is None:
            return 0.0
        low, high = self.bounds
        return (high - low) / (self.levels - 1)

    @property
    def measured_limit(self) -> float | Float[Tensor, "b"]:
        """The radius limit for distances as they are measured.

        A distance may equal the radius exactly, so rounding errors must not decide.
        """
        if self.levels is None:
            return self.radius_limit * (1 + ROUNDED_SHARE)
        eps = torch.finfo(self.origins.dtype).eps
        return self.radius_limit + 2 * eps * boxes.largest(self.bounds, self.origins)

    @property
    def _free_values(self) -> Float[Tensor, "b *d"]:
        """The inputs; 0 for features that cannot change, whose rounding does not matter."""
        return self.along_free(self.origins)

    @property
    def entries(self) -> float | Float[Tensor, "b"]:
        """The number of entries that can change."""
        free = self.free
        if free is None:
            return math.prod(self.origins.shape[1:])
        return boxes.rows(free.expand_as(self.origins)).sum(1, dtype=torch.float32)

    def radii(self) -> Float[Tensor, "b"]:
        """Return radii, in units, of balls whose points stay within the limit when rounded."""
        inner = geometry.inner_radii(
            self.radius_limit,
            self._free_values,
            self.bounds,
            self.norm,
            self._widest_level,
            reach=self._reach,
            entries=self.entries,
        )
        return inner / self.unit

    @property
    def _widest_level(self) -> float | Float[Tensor, "b"]:
        level = self.level
        if not isinstance(level, Tensor):
            return level
        return boxes.rows(level).amax(1).expand(len(self.origins))

    def least_step(self) -> Float[Tensor, "b"]:
        """Return the length of a step, in units, that the rounding of the points does not undo."""
        # A quarter of the gap, which is that of the largest entry: most entries have a finer one.
        gaps = geometry.rounding(self._free_values, self.bounds, self._reach) / 4
        # Levels are evenly spaced: each entry must move by more than half a level.
        gaps = gaps.clamp_min(0.51 * self._widest_level) / self.unit
        if self.norm != "l2":
            return gaps
        entries = self.entries
        return gaps * (entries.sqrt() if isinstance(entries, Tensor) else math.sqrt(entries))

    def to_halfspace(
        self,
        points: Float[Tensor, "b *d"],
        normals: Float[Tensor, "b *d"],
        rises: Float[Tensor, "b"],
    ) -> Float[Tensor, "b *d"]:
        """Return the smallest steps from the points, in units, that raise a linear function.

        See `geometry.to_halfspace`.

        Args:
            points: Where the steps begin.
            normals: The gradients of the linear function, in units.
            rises: By how much it must rise.
        """
        if isinstance(self.unit, Tensor):
            slopes = self.in_units(normals)
            steps = geometry.to_halfspace(points, slopes, rises, self.bounds, self.norm)
            return self.in_units(steps)
        assert boxes.is_interval(self.bounds)  # noqa: S101 - with tensors the unit is a tensor
        low, high = self.bounds
        origin = low if math.isfinite(low) else 0.0
        box = ((low - origin) / self.unit, (high - origin) / self.unit)
        return geometry.to_halfspace((points - origin) / self.unit, normals, rises, box, self.norm)


def check_attack(attack: object) -> None:
    """Check that something can be called as an attack.

    Raises:
        InputError: If it is not a function, or takes other arguments.
    """
    if not callable(attack):
        raise InputError(
            f"{attack!r} is not an attack: expected a function such as minnorm.attacks.ddn. "
            "minnorm.attacks.load_attack turns a spec into one."
        )
    if isinstance(attack, nn.Module):
        raise InputError(
            f"a {type(attack).__name__} is a model, not an attack: expected a function such as "
            "minnorm.attacks.ddn."
        )
    try:
        signature = inspect.signature(attack)
        signature.bind(..., ..., ..., targeted=False, bounds=(0.0, 1.0), generator=None)
    except (TypeError, ValueError) as error:
        if isinstance(error, ValueError) and not isinstance(attack, partial):
            return  # some callables have no signature
        function = attack.func if isinstance(attack, partial) else attack
        raise InputError(
            f"{getattr(function, '__name__', function)!s} cannot be called as an attack ({error}): "
            "it is called with (model, inputs, labels, targeted=..., bounds=..., generator=...), "
            "and must take all of these. Set other parameters with functools.partial; call a "
            "combinator first, for example bounded(ddn, epsilon=0.5)."
        ) from error


def check_evaluation_mode(model: object) -> None:
    """Check that no part of a module is in training mode.

    Batch norm would mix the samples of a batch and change its statistics, dropout would give other
    logits each time, and other modules may compute something else.

    Raises:
        InputError: If one is.
    """
    model = original(model)
    if not isinstance(model, nn.Module):
        return
    for name, part in parts_in_training_mode(model).items():
        where = f" (its part {name!r}, a {type(part).__name__})" if name else ""
        defense = f" {ACTIVE_DROPOUT}" if name and isinstance(part, DROPOUT) else ""
        raise InputError(f"the model is in training mode{where}: call model.eval() first.{defense}")


def check_problem(
    model: object, inputs: Any, labels: Any, bounds: Any, starts: Any = None, *, mask: Any = None
) -> None:
    """Check the arguments that every attack takes.

    Raises:
        InputError: If the model is not callable; see `check_evaluation_mode` and `check_samples`.
    """
    check_callable(model)
    check_evaluation_mode(model)
    check_samples(inputs, labels, bounds, starts, mask=mask)
