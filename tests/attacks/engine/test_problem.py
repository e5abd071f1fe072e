"""The problem of an attack: units, feasible points, radii; and checks of its arguments."""

import math
import re
from collections.abc import Callable
from dataclasses import FrozenInstanceError
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from attacks.engine.searches import problem_of
from minnorm.acceleration import Accelerated
from minnorm.attacks import bounded, ddn
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.problem import (
    Problem,
    check_attack,
    check_evaluation_mode,
    check_problem,
)
from minnorm.attacks.engine.samples import check_levels, check_samples
from minnorm.boxes import Bounds
from minnorm.errors import InputError
from minnorm.geometry import Norm, dot, inner_radii, norms
from minnorm.logits import ACTIVE_DROPOUT
from minnorm.radii import ROUNDED_SHARE

EPS = torch.finfo(torch.float32).eps


def test_a_problem_has_defaults_and_is_frozen() -> None:
    problem = Problem(torch.zeros(1, 2), Goal(torch.tensor([0]), targeted=False))
    assert (problem.bounds, problem.norm, problem.radius_limit) == ((0.0, 1.0), "l2", math.inf)
    assert (problem.unit, problem.levels) == (1.0, None)
    with pytest.raises(FrozenInstanceError):
        problem.unit = 2.0  # type: ignore[misc]


def test_a_part_has_some_of_the_samples_and_is_otherwise_the_same() -> None:
    inputs = torch.arange(6.0).view(3, 2)
    settings: dict[str, Any] = {"norm": "linf", "radius_limit": 2.0, "unit": 3.0, "levels": 7}
    problem = problem_of(inputs, torch.tensor([4, 5, 6]), bounds=(0.0, 6.0), **settings)
    part = problem.part(torch.tensor([2, 0]))
    assert part.origins.tolist() == [[4, 5], [0, 1]]
    assert part.goal.labels.tolist() == [6, 4]
    assert part.bounds == (0.0, 6.0)
    assert {name: getattr(part, name) for name in settings} == settings


@pytest.mark.parametrize(
    ("bounds", "width"), [((0.0, 1.0), 1), ((-1.0, 1.0), 2), ((-8.0, 8.0), 16)]
)
def test_points_are_perturbed_in_units_and_clipped(bounds: Bounds, width: float) -> None:
    low = bounds[0]
    inputs = low + width * torch.tensor([[0.5, 0.25], [0.75, 0.0]])
    moves = torch.tensor([[0.25, -0.125], [0.5, -0.5]])
    problem = problem_of(inputs, bounds=bounds)
    points = problem.points(moves)
    expected = torch.tensor([[0.75, 0.125], [1.0, 0.0]])
    assert torch.equal(points, low + width * expected)
    clipped = torch.tensor([[0.25, -0.125], [0.25, 0.0]])
    assert torch.equal(problem.perturbations(points), clipped)
    # Neither the inputs nor the perturbations change.
    assert torch.equal(problem.origins, low + width * torch.tensor([[0.5, 0.25], [0.75, 0.0]]))
    assert moves.tolist() == [[0.25, -0.125], [0.5, -0.5]]


def test_feasible_points_are_clipped() -> None:
    problem = problem_of(torch.zeros(1, 3), bounds=(-1.0, 2.0))
    assert problem.feasible_(torch.tensor([[-5.0, 0.3, 5.0]])).tolist() == [
        [-1, pytest.approx(0.3), 2]
    ]


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_feasible_points_are_rounded_to_the_levels(norm: Norm) -> None:
    problem = problem_of(torch.zeros(1, 4), bounds=(-1.0, 1.0), levels=5, norm=norm)
    points = problem.feasible_(torch.tensor([[-3.0, -0.2, 0.3, 0.8]]))
    assert points.tolist() == [[-1, 0, 0.5, 1]]
    assert problem.level == 0.5


def test_within_a_limited_linf_radius_an_entry_goes_back_a_level_instead_of_outside() -> None:
    inputs = torch.tensor([[0.5, 0.5, 0.5, 0.5, 0.0, 1.0]])
    moves = torch.tensor([[0.3, -0.3, 0.1, -0.35, 0.35, -0.35]])
    settings: dict[str, Any] = {"levels": 5, "radius_limit": 0.35}
    limited = problem_of(inputs, norm="linf", **settings)
    # 0.85 would become 1.0, at a distance of 0.5.
    assert limited.points(moves).tolist() == [[0.75, 0.25, 0.5, 0.25, 0.25, 0.75]]
    moves = torch.tensor([[0.49, -0.49, 0.1, -0.4, 0.4, -0.4]])
    assert limited.points(moves).tolist() == [[0.75, 0.25, 0.5, 0.25, 0.25, 0.75]]
    by_l2 = problem_of(inputs, norm="l2", **settings)
    assert by_l2.points(moves).tolist() == [[1.0, 0.0, 0.5, 0.0, 0.5, 0.5]]
    free = problem_of(inputs, norm="linf", levels=5)
    assert free.points(moves).tolist() == [[1.0, 0.0, 0.5, 0.0, 0.5, 0.5]]


def test_going_back_a_level_stays_on_the_grid_of_any_bounds() -> None:
    inputs = torch.tensor([[0.0, 0.0]])
    limited = problem_of(inputs, bounds=(-1.0, 3.0), levels=5, norm="linf", radius_limit=0.9)
    # The levels are -1, 0, 1, 2, 3.
    assert limited.feasible_(torch.tensor([[0.9, -0.9]])).tolist() == [[0, 0]]


def test_an_entry_exactly_at_the_radius_stays_there() -> None:
    inputs = torch.arange(0, 256).view(1, -1) / 255
    limited = problem_of(inputs, levels=256, norm="linf", radius_limit=8 / 255)
    for sign in (1, -1):
        moved = limited.points(torch.full_like(inputs, sign * 8 / 255))
        expected = (torch.arange(0, 256) + sign * 8).clamp(0, 255)
        assert (255 * moved[0]).round().tolist() == expected.tolist()


def test_the_level_is_the_gap_of_the_grid_and_0_without_one() -> None:
    inputs = torch.zeros(1, 2)
    assert problem_of(inputs).level == 0
    assert problem_of(inputs, levels=256).level == 1 / 255
    assert problem_of(inputs, levels=3, bounds=(-4.0, 4.0)).level == 4


def test_the_measured_limit_allows_for_rounding() -> None:
    inputs = torch.zeros(1, 2)
    assert problem_of(inputs, radius_limit=0.25).measured_limit == 0.25 * (1 + ROUNDED_SHARE)
    assert problem_of(inputs).measured_limit == math.inf
    on_grid = problem_of(inputs, radius_limit=0.25, levels=9, bounds=(-3.0, 1.0))
    assert on_grid.measured_limit == 0.25 + 6 * EPS
    assert problem_of(inputs, levels=9).measured_limit == math.inf


@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_radii_are_inner_radii_in_units(norm: Norm) -> None:
    inputs = 8 * torch.rand(2, 5, generator=torch.Generator().manual_seed(0))
    settings: dict[str, Any] = {"bounds": (0.0, 8.0), "norm": norm, "radius_limit": 2.0}
    for levels, level in ((None, 0.0), (17, 0.5)):
        problem = problem_of(inputs, levels=levels, **settings)
        expected = inner_radii(2.0, inputs, (0.0, 8.0), norm, level) / 8
        assert torch.equal(problem.radii(), expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_least_step_is_a_quarter_of_a_rounding_or_half_a_level_in_each_entry(
    dtype: torch.dtype,
) -> None:
    inputs = torch.full((2, 3, 3), 0.5, dtype=dtype)
    eps = torch.finfo(dtype).eps
    assert problem_of(inputs, norm="linf").least_step().tolist() == [eps / 4] * 2
    assert problem_of(inputs, norm="l2").least_step().tolist() == pytest.approx([3 * eps / 4] * 2)
    wide = problem_of(inputs, bounds=(0.0, 32.0), norm="linf")
    assert wide.least_step().tolist() == [eps / 4] * 2
    on_grid = problem_of(inputs, bounds=(0.0, 32.0), levels=9, norm="linf")
    # More than half a level, or rounding undoes the step.
    assert on_grid.least_step().tolist() == pytest.approx([0.51 * 4 / 32] * 2)
    flat = problem_of(torch.full((2,), 0.5, dtype=dtype))
    assert flat.least_step().tolist() == [eps / 4] * 2


BOXES: list[Bounds] = [(0.0, 1.0), (-3.0, -2.5), (0.0, 255.0), (5.0, math.inf)]


@given(
    st.sampled_from(BOXES),
    st.sampled_from(["l2", "linf"]),
    st.integers(0, 2**32),
    st.floats(-0.2, 1.0),
)
def test_to_halfspace_is_no_longer_than_any_step_that_rises_enough(
    bounds: Bounds, norm: Norm, seed: int, share: float
) -> None:
    low, high = bounds
    unit = high - low if math.isfinite(high) else 1.0
    generator = torch.Generator().manual_seed(seed)
    point = low + unit * torch.rand(1, 2, generator=generator, dtype=torch.float64)
    normal = torch.randn(1, 2, generator=generator, dtype=torch.float64)
    axis = torch.linspace(0, 1 if math.isfinite(high) else 3, 61, dtype=torch.float64)
    steps = torch.cartesian_prod(axis, axis) - (point - low) / unit
    rises = steps @ normal[0]
    rise = share * rises.max()
    problem = problem_of(point, bounds=bounds, norm=norm)
    found = problem.to_halfspace(point, normal, rise.view(1))
    length = float(norms(found, norm))
    assert float(dot(normal, found)) >= float(rise) - 1e-9
    shortest = norms(steps[rises >= rise - 1e-12], norm).min()
    assert length <= float(shortest) + 1e-9
    moved = point + unit * found
    assert float(moved.min()) >= low - 1e-9 * unit
    assert float(moved.max()) <= high + 1e-9 * unit
    if share <= 0:
        assert length == 0


def test_to_halfspace_works_without_bounds() -> None:
    problem = problem_of(torch.zeros(1, 2), bounds=(-math.inf, math.inf))
    steps = problem.to_halfspace(
        torch.tensor([[-7.0, 9.0]]), torch.tensor([[3.0, 4.0]]), torch.tensor([50.0])
    )
    torch.testing.assert_close(steps, torch.tensor([[6.0, 8.0]]))


def test_to_halfspace_begins_at_the_points() -> None:
    problem = problem_of(torch.tensor([[2.0, 2.0]]), bounds=(0.0, 4.0))
    steps = problem.to_halfspace(
        torch.tensor([[3.0, 1.0]]), torch.tensor([[1.0, 1.0]]), torch.tensor([0.6])
    )
    # The first entry has only a quarter of the width to move.
    torch.testing.assert_close(steps, torch.tensor([[0.25, 0.35]]))


def test_to_halfspace_is_exact_in_a_box_far_from_zero() -> None:
    low, room = 1e6, 0.3125
    point = low + torch.tensor([[room, 1.5]])
    problem = problem_of(point, bounds=(low, low + 3))
    steps = problem.to_halfspace(point, torch.tensor([[-1.0, 1.0]]), torch.tensor([0.6]))
    torch.testing.assert_close(steps, torch.tensor([[-room / 3, 0.6 - room / 3]]))


class Callback:
    """An attack that is an object."""

    def __call__(
        self,
        model: Any,
        inputs: Any,
        labels: Any,
        *,
        targeted: bool = False,
        bounds: Bounds = (0.0, 1.0),
        generator: Any = None,
    ) -> None:
        """Attack nothing."""


@pytest.mark.parametrize(
    "attack",
    [ddn, partial(ddn, steps=3), bounded(ddn, 0.5), Callback(), Callback().__call__, max],
    ids=["function", "partial", "combinator", "object", "method", "no signature"],
)
def test_a_function_with_the_arguments_of_an_attack_is_one(attack: object) -> None:
    check_attack(attack)


MISSPELLED: dict[str, Any] = {"stepz": 3}

ADVICE = (
    "it is called with (model, inputs, labels, targeted=..., bounds=..., generator=...), and must "
    "take all of these. Set other parameters with functools.partial; call a combinator first, for "
    "example bounded(ddn, epsilon=0.5)."
)


def without_generator(model: Any, inputs: Any, labels: Any, *, targeted: bool, bounds: Any) -> None:
    """Take too few arguments."""


def with_epsilon(
    model: Any, inputs: Any, labels: Any, *, epsilon: float, targeted: Any, bounds: Any,
    generator: Any,
) -> None:  # fmt: skip
    """Need one argument more."""


@pytest.mark.parametrize(
    ("attack", "start"),
    [
        (
            "ddn",
            "'ddn' is not an attack: expected a function such as minnorm.attacks.ddn. "
            "minnorm.attacks.load_attack turns a spec into one.",
        ),
        (None, "None is not an attack"),
        (nn.Linear(2, 2), "a Linear is a model, not an attack: expected"),
        (without_generator, "without_generator cannot be called as an attack (got an unexpected "),
        (with_epsilon, "with_epsilon cannot be called as an attack (missing a required "),
        (bounded, "bounded cannot be called as an attack ("),
        (partial(ddn, **MISSPELLED), "ddn cannot be called as an attack (partial object "),
    ],
    ids=["spec", "none", "model", "too few", "too many", "combinator", "partial"],
)
def test_anything_else_is_not_an_attack(attack: object, start: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(start)}") as raised:
        check_attack(attack)
    if "(" in start:
        assert str(raised.value).endswith(ADVICE)


def test_a_model_may_be_in_evaluation_mode_or_a_function() -> None:
    check_evaluation_mode(nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval())
    check_evaluation_mode(lambda inputs: inputs)


@pytest.mark.parametrize("layer", [nn.BatchNorm1d(3), nn.Dropout(), nn.Linear(3, 3)])
def test_a_part_in_training_mode_is_refused_by_its_name(layer: nn.Module) -> None:
    model = nn.Sequential(nn.Linear(3, 3), layer).eval()
    layer.train()
    kind = type(layer).__name__
    message = f"the model is in training mode (its part '1', a {kind}): call model.eval() first."
    if kind == "Dropout":
        message += f" {ACTIVE_DROPOUT}"
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_evaluation_mode(model)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_evaluation_mode(Accelerated(model, lambda given: given, None, "none", ()))
    with pytest.raises(
        InputError, match=r"^the model is in training mode: call model\.eval\(\) first\.$"
    ):
        check_evaluation_mode(model.train())


def test_a_problem_is_checked_whole() -> None:
    inputs, labels = torch.zeros(2, 3), torch.tensor([0, 1])
    model = nn.Linear(3, 2).eval()
    check_problem(model, inputs, labels, (0.0, 1.0))
    check_problem(model, inputs, labels, (0.0, 1.0), starts=inputs + 1)
    bad: list[tuple[str, Callable[[], None]]] = [
        ("the model is a str; expected a function from inputs to logits, for example a "
         "torch.nn.Module or the result of minnorm.load_model.",
         lambda: check_problem("zoo:mnist-cnn", inputs, labels, (0.0, 1.0))),
        ("the model is in training mode: call model.eval() first.",
         lambda: check_problem(nn.Linear(3, 2), inputs, labels, (0.0, 1.0))),
        ("starts range from 2 to 2, outside the bounds (0.0, 1.0)",
         lambda: check_problem(model, inputs, labels, (0.0, 1.0), starts=inputs + 2)),
    ]  # fmt: skip
    for message, call in bad:
        with pytest.raises(InputError, match=f"^{re.escape(message)}"):
            call()


@pytest.mark.parametrize("bounds", [[0, 1], (np.float32(0), np.int64(1))])
def test_bounds_are_any_two_real_numbers(bounds: Any) -> None:
    check_samples(torch.tensor([[0.0, 1.0]]), torch.tensor([0]), bounds)


@pytest.mark.parametrize("levels", [None, 2, 256, np.int64(16)])
def test_levels_from_2_pass(levels: int | None) -> None:
    check_levels(levels, (0.0, 1.0))


def test_no_levels_are_needed_for_infinite_bounds() -> None:
    check_levels(None, (0.0, math.inf))


@pytest.mark.parametrize("levels", [1, 0, -3, 2.0, True, "8"])
def test_fewer_levels_than_2_are_refused(levels: object) -> None:
    message = f"levels={levels!r}: expected a whole number of at least 2."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_levels(levels, (0.0, 1.0))


@pytest.mark.parametrize(
    "bounds", [(0.0, math.inf), (-math.inf, 1.0), (-math.inf, math.inf), (-1e308, 1e308)]
)
def test_levels_need_finite_bounds(bounds: Bounds) -> None:
    message = f"levels=8 needs finite bounds, not {bounds}: use levels=None."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_levels(8, bounds)


def test_nothing_that_is_checked_is_changed() -> None:
    inputs = torch.rand(2, 3, requires_grad=True)
    check_problem(lambda given: given, inputs, torch.tensor([0, 1]), (0.0, 1.0), inputs)
    assert inputs.requires_grad
    assert inputs.grad is None


def _grid(origins: Tensor) -> Problem:
    return problem_of(origins, levels=4, norm="linf", radius_limit=0.2)


@given(st.integers(0, 2**32))
def test_points_within_a_linf_radius_are_never_outside_if_the_input_is_on_the_grid(
    seed: int,
) -> None:
    generator = torch.Generator().manual_seed(seed)
    origins = torch.randint(4, (3, 5), generator=generator) / 3
    moves = 0.2 * (2 * torch.rand(3, 5, generator=generator) - 1)
    problem = _grid(origins)
    found = problem.points(moves)
    assert torch.equal(found, origins)  # the next level is a third away
