"""C&W: its transcription, its constants, its confidence and its early abort."""

import inspect
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.gradient.models import Tied
from attacks.gradient.stepwise import (
    SAMPLES,
    TARGETED,
    UNTARGETED,
    check_closest,
    check_same,
    one_sample,
    visited,
)
from attacks.networks import Recorded, problem
from minnorm.attacks import Model, carlini_wagner
from minnorm.boxes import Interval
from minnorm.evaluation.running.judge import CountingModel
from minnorm.logits import margins
from reference.carlini_wagner import carlini_wagner_of_one_sample
from reference.common import is_adversarial

SHORT: dict[str, Any] = {"searches": 5, "steps": 15, "step_size": 0.1}


@pytest.mark.parametrize(
    "settings",
    [
        {**SHORT, **UNTARGETED},
        {**SHORT, "initial_constant": 3.0, **TARGETED},
        # The tenth search repeats the smallest constant that succeeded, the ninth does not.
        {**SHORT, "searches": 9, "steps": 5, "initial_constant": 1.0, **UNTARGETED},
        {**SHORT, "searches": 10, "steps": 5, "initial_constant": 1.0, **TARGETED},
        {**SHORT, "searches": 11, "steps": 5, "initial_constant": 1.0, **UNTARGETED},
    ],
    ids=str,
)
def test_transcription(settings: dict[str, Any]) -> None:
    settings = dict(settings)
    bounds, targeted = settings.pop("bounds"), settings["targeted"]
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)
        expected, constants = carlini_wagner_of_one_sample(model, x, y, **settings)
        found, result = visited(
            carlini_wagner, model, x, y, bounds=bounds, abort_early=False, **settings
        )
        check_same(found, expected)
        check_closest(result, model, expected, x, y, targeted=targeted)
        hits = [
            (float((point - x).norm()), constant)
            for point, constant in zip(expected, constants, strict=True)
            if is_adversarial(model, point, y, targeted=targeted)
        ]
        constant = min(hits, key=lambda hit: hit[0])[1] if hits else torch.inf
        assert float(result.constants) == pytest.approx(constant)


@pytest.mark.parametrize("box", [UNTARGETED, TARGETED], ids=["untargeted", "targeted"])
def test_transcription_with_a_confidence(box: dict[str, Any]) -> None:
    settings = {**SHORT, "confidence": 0.3, "initial_constant": 3.0}
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=box["targeted"])
        expected, _ = carlini_wagner_of_one_sample(
            model, x, y, targeted=box["targeted"], **settings
        )
        found, _ = visited(carlini_wagner, model, x, y, abort_early=False, **box, **settings)
        check_same(found, expected)


def test_by_default_there_are_nine_searches_of_1000_steps() -> None:
    assert inspect.signature(carlini_wagner).parameters["steps"].default == 1000
    model, inputs, labels = problem((20,), batch=1)
    recorded = Recorded(model)
    carlini_wagner(recorded, inputs, labels, steps=2)
    assert len(recorded.batches) == 9 * 3


@pytest.mark.parametrize(
    ("index", "steps", "confidence"), [(1, 60, 0.0), (3, 115, 0.0), (1, 115, 0.3)]
)
def test_transcription_of_the_early_abort(index: int, steps: int, confidence: float) -> None:
    settings: dict[str, Any] = {
        "searches": 2,
        "steps": steps,
        "step_size": 0.2,
        "initial_constant": 3.0,
        "confidence": confidence,
    }
    model, x, y = one_sample(index, targeted=False)
    expected, _ = carlini_wagner_of_one_sample(
        model, x, y, targeted=False, abort_early=True, **settings
    )
    found, _ = visited(carlini_wagner, model, x, y, bounds=(-1.0, 3.0), **settings)
    check_same(found, expected)
    assert len(found) < 2 * (steps + 1)


@pytest.mark.slow
def test_an_early_abort_saves_gradients_and_changes_little() -> None:
    model, inputs, labels = problem((20,), batch=10)
    settings: dict[str, Any] = {
        "steps": 110,
        "searches": 2,
        "step_size": 0.1,
        "initial_constant": 1.0,
    }
    spent, found = [], []
    for abort_early in (False, True):
        counted = CountingModel(model)
        result = carlini_wagner(counted, inputs, labels, abort_early=abort_early, **settings)
        spent.append(counted.backwards)
        found.append(result.distances.mean())
    assert spent[0] == 10 * 2 * 110
    assert spent[1] < 0.8 * spent[0]
    assert found[1] < 1.02 * found[0]


@pytest.mark.parametrize(
    ("bounds", "steps", "most"), [((0.0, 1.0), 500, 400), ((-torch.inf, torch.inf), 100, 31)]
)
def test_samples_that_are_misclassified_from_the_start_cost_little(
    bounds: Interval, steps: int, most: int
) -> None:
    model, inputs, labels = problem((20,), batch=5)
    counted = CountingModel(model)
    settings: dict[str, Any] = {"steps": steps, "searches": 1, "step_size": 1e-3}
    carlini_wagner(counted, inputs, (labels + 1) % 5, bounds=bounds, **settings)
    assert counted.backwards <= 5 * most


def test_without_finite_bounds_the_variable_is_the_input() -> None:
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=False)
        unit = natural_unit(model, x, y)
        in_units, _ = carlini_wagner_of_one_sample(
            partial(of_scaled, model, unit), x / unit, y, targeted=False, bounded=False, **SHORT
        )
        expected = [unit * point for point in in_units]
        recorded = Recorded(model)
        result = carlini_wagner(
            recorded,
            x[None],
            torch.tensor([y]),
            bounds=(-torch.inf, torch.inf),
            abort_early=False,
            **SHORT,
        )
        found = [batch[0] for batch in recorded.batches[1:]]  # the first one is for the unit
        check_same(found, expected)
        check_closest(result, model, expected, x, y, targeted=False)


def of_scaled(model: Model, unit: float, points: Tensor) -> Tensor:
    logits: Tensor = model(unit * points)
    return logits


def natural_unit(model: Model, x: Tensor, y: int) -> float:
    """Return five times the distance to the boundary in the linear model at the input."""
    variables = x[None].clone().requires_grad_()
    logits = model(variables)[0]
    margin = logits[y] - max(logit for label, logit in enumerate(logits) if label != y)
    (slope,) = torch.autograd.grad(margin, variables)
    return 5 * float(margin.detach().abs() / slope.norm())


def test_a_single_finite_bound_clips() -> None:
    model, inputs, labels = problem((20,))
    result = carlini_wagner(
        model, inputs, labels, steps=50, searches=3, step_size=0.3, bounds=(0.0, torch.inf)
    )
    assert (result.adversarials >= 0).all()
    assert (result.adversarials == 0).any()
    assert (result.adversarials > 1).any()


@pytest.mark.parametrize("bounds", [(20.0, 20.1), (0.0, 1.0)])
def test_inputs_at_the_bounds_can_move(bounds: Interval) -> None:
    model, inputs, _ = problem((20,))
    low, high = bounds

    def shifted(points: Tensor) -> Tensor:
        logits: Tensor = model((points - low) / (high - low))
        return logits

    inputs = (low + (high - low) * inputs.round()).clamp(low, high)
    labels = shifted(inputs).argmax(1)
    result = carlini_wagner(
        shifted, inputs, labels, steps=40, searches=3, step_size=0.2, bounds=bounds
    )
    assert result.adversarials.isfinite().all()
    assert result.success.all()


def test_confidence_is_a_margin_beyond_the_boundary() -> None:
    model, inputs, labels = problem((20,))
    settings: dict[str, Any] = {"steps": 30, "searches": 4, "step_size": 0.1}
    plain = carlini_wagner(model, inputs, labels, **settings)
    sure = carlini_wagner(model, inputs, labels, confidence=0.2, **settings)
    assert sure.success.all()
    assert (margins(model(sure.adversarials), labels) <= -0.2).all()
    assert (margins(model(plain.adversarials), labels) > -0.2).any()
    assert (sure.distances > plain.distances).all()
    # No single step goes as far as this.
    farther = carlini_wagner(model, inputs, labels, confidence=1.5, **settings)
    assert farther.success.all()
    assert (farther.distances > sure.distances).all()


@pytest.mark.parametrize("confidence", [0.0, 0.3])
def test_the_constant_is_zero_where_nothing_had_to_change(confidence: float) -> None:
    model, inputs, labels = problem((20,))
    labels[::2] = model(inputs[::2]).argmin(1)
    found = carlini_wagner(
        model, inputs, labels, confidence=confidence, steps=30, searches=4, step_size=0.1
    )
    assert (found.distances[::2] == 0).all()
    assert (found.constants[::2] == 0).all()
    assert (found.constants[1::2] > 0).all()


def test_the_constant_is_zero_where_an_input_is_only_rounded() -> None:
    model, inputs, _ = problem((20,))
    wrong = model(inputs).argmin(1)
    found = carlini_wagner(model, inputs, wrong, levels=64, steps=2, searches=2)
    assert (found.distances > 0).all()
    assert (found.constants == 0).all()


@pytest.mark.parametrize("bounds", [(0.0, 1.0), (-torch.inf, torch.inf)])
def test_leaves_an_input_at_which_two_classes_tie(bounds: Interval) -> None:
    inputs = torch.full((1, 4), 0.25)
    settings: dict[str, Any] = {"steps": 50, "searches": 3, "bounds": bounds}
    assert carlini_wagner(Tied().eval(), inputs, torch.tensor([0]), **settings).success.all()


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("steps=0", {"steps": 0}),
        ("searches=0", {"searches": 0}),
        ("step_size=0", {"step_size": 0}),
        ("initial_constant=0", {"initial_constant": 0}),
        ("confidence=-1", {"confidence": -1}),
    ],
)
def test_bad_parameters_are_refused(message: str, arguments: dict[str, Any]) -> None:
    model, inputs, labels = problem((20,))
    with pytest.raises(ValueError, match=message):
        inspect.unwrap(carlini_wagner)(model, inputs, labels, **arguments)
