"""The problem that an attack solves, and the checks of the arguments of an attack."""

import inspect
import math
from dataclasses import dataclass, replace
from functools import partial
from numbers import Real
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from minnorm import geometry
from minnorm.acceleration.accelerated import check_callable, original
from minnorm.attacks.engine.goal import Goal
from minnorm.checks import check_count
from minnorm.errors import InputError
from minnorm.geometry import Bounds, Norm, per_sample
from minnorm.logits import parts_in_training_mode
from minnorm.radii import ROUNDED_SHARE

LOOSE = 100.0
"""The bounds are loose where their width is this many times a usual perturbation: the distance to
the decision boundary, or the radius of an attack."""

USUAL_UNIT = 5.0
"""The unit of length where bounds are loose, as a multiple of a usual perturbation."""

_SLIGHT = 1e-3
"""The excess over the bounds, as a share of their width, that is likely an error of rounding."""


@dataclass(frozen=True)
class Problem:
    """The problem that an attack solves.

    Perturbations and radii are in units of `unit`, since the papers' hyper-parameters are for
    inputs in 0..1; points, bounds and distances are in units of the inputs. The unit is a number,
    or one number for each sample where the bounds are loose, see `engine.units`.

    Attributes:
        origins: The inputs under attack, `[b *d]`.
        goal: The labels, and whether they are target classes.
        bounds: The lowest and the highest value of an input.
        norm: The norm of the distances.
        radius_limit: The largest distance of an adversarial that counts; infinite for no limit.
        unit: The unit of length, a number or `[b]`.
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
        return replace(self, origins=self.origins[rows], goal=self.goal.part(rows), unit=unit)

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
        points = points.clamp_(*self.bounds)
        if self.levels is None:
            return points
        points = geometry.quantize(points, self.levels, self.bounds)
        if self.norm != "linf" or math.isinf(self.radius_limit):
            return points
        moves = points - self.origins
        back = torch.where(moves.abs() > self.measured_limit, moves.sign(), 0.0)
        return geometry.quantize(points - self.level * back, self.levels, self.bounds)

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
        length = self.usual_length
        if isinstance(length, Tensor):
            return torch.where(length < geometry.span(self.bounds), length, torch.inf)
        return length if length < geometry.span(self.bounds) else math.inf

    @property
    def level(self) -> float:
        """The distance between two neighboring levels, in units of the inputs; 0 without levels."""
        return 0.0 if self.levels is None else geometry.span(self.bounds) / (self.levels - 1)

    @property
    def measured_limit(self) -> float:
        """The radius limit for distances as they are measured.

        A distance may equal the radius exactly, so rounding errors must not decide.
        """
        if self.levels is None:
            return self.radius_limit * (1 + ROUNDED_SHARE)
        eps = torch.finfo(self.origins.dtype).eps
        return self.radius_limit + 2 * eps * max(abs(bound) for bound in self.bounds)

    def radii(self) -> Float[Tensor, "b"]:
        """Return radii, in units, of balls whose points stay within the limit when rounded."""
        inner = geometry.inner_radii(
            self.radius_limit,
            self.origins,
            self.bounds,
            self.norm,
            self.level,
            reach=self._reach,
        )
        return inner / self.unit

    def least_step(self) -> Float[Tensor, "b"]:
        """Return the length of a step, in units, that the rounding of the points does not undo."""
        # A quarter of the gap, which is that of the largest entry: most entries have a finer one.
        gaps = geometry.rounding(self.origins, self.bounds, self._reach) / 4
        # Levels are evenly spaced: each entry must move by more than half a level.
        gaps = gaps.clamp_min(0.51 * self.level) / self.unit
        entries = math.prod(self.origins.shape[1:])
        return gaps * (math.sqrt(entries) if self.norm == "l2" else 1.0)

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
        raise InputError(f"the model is in training mode{where}: call model.eval() first.")


def check_problem(model: object, inputs: Any, labels: Any, bounds: Any, starts: Any = None) -> None:
    """Check the arguments that every attack takes.

    Raises:
        InputError: If the model is not callable; see `check_evaluation_mode` and `check_samples`.
    """
    check_callable(model)
    check_evaluation_mode(model)
    check_samples(inputs, labels, bounds, starts)


def check_bounds(bounds: Any) -> None:
    """Check the bounds of the inputs.

    Raises:
        InputError: If they are not two numbers in ascending order.
    """
    pair = isinstance(bounds, tuple | list) and len(bounds) == 2
    numbers = pair and all(
        isinstance(bound, Real) and not isinstance(bound, bool) for bound in bounds
    )
    if not numbers or not bounds[0] < bounds[1]:
        raise InputError(f"bounds={bounds}: expected (low, high), two numbers with low < high.")


def check_samples(inputs: Any, labels: Any, bounds: Any, starts: Any = None) -> None:
    """Check the tensors that every attack takes.

    Raises:
        InputError: If one is not a tensor, a shape or dtype is wrong, the bounds are not an
            interval, or an input or a start is NaN or outside the bounds.
    """
    check_bounds(bounds)
    for name, values in (("inputs", inputs), ("labels", labels), ("starts", starts)):
        if not isinstance(values, Tensor) and not (name == "starts" and values is None):
            raise InputError(
                f"{name} are a {type(values).__name__}; expected a torch tensor, for example "
                f"torch.as_tensor({name})."
            )
    if inputs.ndim < 1 or not inputs.is_floating_point():
        raise InputError(
            f"inputs have shape {list(inputs.shape)} and dtype {inputs.dtype}; expected floating "
            "point values [b, ...]."
        )
    if labels.shape != inputs.shape[:1] or labels.dtype != torch.int64:
        add = "add the dimension of the batch to both, inputs[None] and labels[None]"
        single = f" For a single sample, {add}." if labels.ndim == 0 else ""
        raise InputError(
            f"labels have shape {list(labels.shape)} and dtype {labels.dtype}; expected int64 of "
            f"shape [{len(inputs)}], one for each input.{single}"
        )
    if labels.device != inputs.device:
        raise InputError(
            f"inputs are on {inputs.device}, labels on {labels.device}; expected the same device."
        )
    if inputs.numel() == 0 and len(inputs) > 0:
        raise InputError(f"inputs have shape {list(inputs.shape)}: the samples hold no values.")
    _check_inside("inputs", inputs, bounds)
    if starts is not None:
        if starts.shape != inputs.shape or starts.dtype != inputs.dtype:
            raise InputError(
                f"starts are {starts.dtype} of shape {list(starts.shape)}; expected the same as "
                f"the inputs, {inputs.dtype} of shape {list(inputs.shape)}."
            )
        _check_inside("starts", starts, bounds)


def check_levels(levels: Any, bounds: Any) -> None:
    """Check the number of levels that an attack rounds to, `None` for no rounding.

    Raises:
        InputError: If it is below 2, or the bounds are infinite.
    """
    if levels is None:
        return
    check_count("levels", levels, least=2)
    if not math.isfinite(bounds[1] - bounds[0]):
        raise InputError(f"levels={levels} needs finite bounds, not {bounds}: use levels=None.")


def _check_inside(name: str, values: Tensor, bounds: Any) -> None:
    if values.numel() == 0:
        return
    # aminmax propagates NaN, and every comparison with NaN is false.
    least, most = (float(value) for value in values.detach().aminmax())
    # The bounds are rounded to the dtype of the values: float32 cannot hold 0.1. Values in float64
    # may have been float32 before.
    dtypes = (values.dtype, torch.float32)
    low = min(float(torch.tensor(bounds[0], dtype=dtype)) for dtype in dtypes)
    high = max(float(torch.tensor(bounds[1], dtype=dtype)) for dtype in dtypes)
    if not low <= least <= most <= high or math.isinf(least) or math.isinf(most):
        if math.isnan(least):
            raise InputError(f"{name} hold NaN: remove those samples or fix them.")
        excess = max(bounds[0] - least, most - bounds[1])
        if 0 < excess <= _SLIGHT * geometry.span(bounds):
            raise InputError(
                f"{name} are up to {excess:.2g} outside the bounds {bounds}: clamp them "
                f"({name}.clamp{tuple(bounds)})."
            )
        raise InputError(
            f"{name} range from {least:g} to {most:g}, outside the bounds {bounds}: scale them "
            "(normalization belongs in the model), or set the bounds that they have."
        )
