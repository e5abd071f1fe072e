"""Logits and labels: predictions, decisions, margins, losses and their directions."""

import math
import re
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy

from minnorm.errors import InputError
from minnorm.logits import (
    Model,
    beyond_rounding,
    check_classes_of_ratio,
    check_labels,
    check_logits,
    cross_entropy_direction,
    deciding_sizes,
    difference_direction,
    is_adversarial,
    is_exported,
    likeliest_others,
    logit_differences,
    logit_sizes,
    logits_ratio,
    margin_direction,
    margins,
    near_the_top,
    parts_in_training_mode,
    predictions,
    targeted_logits_ratio,
    unusual_scales,
    value_and_direction,
)


@st.composite
def decisions(draw: st.DrawFn) -> tuple[Tensor, Tensor]:
    """Draw logits [b c] in float64 of 0 to 5 samples and 2 to 6 classes, and labels [b]."""
    batch, classes = draw(st.integers(0, 5)), draw(st.integers(2, 6))
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    scale = 10.0 ** draw(st.integers(-3, 1))
    logits = scale * torch.randn(batch, classes, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (batch,), generator=generator)


@given(decisions())
def test_predictions_are_the_largest_logits(problem: tuple[Tensor, Tensor]) -> None:
    logits, _ = problem
    assert torch.equal(predictions(logits), logits.argmax(1))


def test_logits_with_a_nan_predict_no_class() -> None:
    logits = torch.tensor([[math.nan, 1.0], [1.0, math.nan], [0.0, 1.0], [math.inf, -math.inf]])
    assert predictions(logits).tolist() == [-1, -1, 1, 0]


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("label", [0, 1, 2])
def test_logits_with_a_nan_are_never_adversarial(label: int, targeted: bool) -> None:
    logits = torch.zeros(3, 3).fill_diagonal_(math.nan)
    logits[:, 2] = 9.0
    logits[2] = math.nan
    assert not is_adversarial(logits, torch.full((3,), label), targeted).any()


@given(decisions())
def test_margins_are_below_zero_exactly_when_the_sample_is_misclassified(
    problem: tuple[Tensor, Tensor],
) -> None:
    logits, labels = problem
    assert torch.equal(margins(logits, labels) < 0, is_adversarial(logits, labels, targeted=False))
    assert torch.equal(margins(logits, labels) > 0, is_adversarial(logits, labels, targeted=True))


@given(decisions())
def test_margins_are_the_own_logit_less_the_largest_other(problem: tuple[Tensor, Tensor]) -> None:
    logits, labels = problem
    expected = [
        row[label] - max(value for index, value in enumerate(row) if index != label)
        for row, label in zip(logits.tolist(), labels.tolist(), strict=True)
    ]
    assert margins(logits, labels).tolist() == expected


def test_a_tie_belongs_to_the_first_class() -> None:
    logits, labels = torch.ones(2, 2), torch.tensor([0, 1])
    assert is_adversarial(logits, labels, targeted=False).tolist() == [False, True]
    assert margins(logits, labels).tolist() == [0, 0]


@given(decisions())
def test_the_cross_entropy_direction_is_that_of_the_gradient(
    problem: tuple[Tensor, Tensor],
) -> None:
    logits, labels = problem
    logits.requires_grad_()
    loss = cross_entropy(logits, labels, reduction="sum")
    (gradient,) = torch.autograd.grad(loss, logits)
    with torch.no_grad():
        direction = cross_entropy_direction(logits, labels)
        left_out = 1 - logits.softmax(1).gather(1, labels[:, None])
    torch.testing.assert_close(direction * left_out, gradient, rtol=1e-9, atol=1e-12)
    # Where the factor itself is little more than rounding, it is the gradient that is wrong.
    sound = left_out.squeeze(1) > 1e-6
    angles = cosine_similarity(direction[sound], gradient[sound], eps=1e-30)
    torch.testing.assert_close(angles, torch.ones_like(angles), rtol=1e-6, atol=0)


@pytest.mark.parametrize("margin", [20.0, 1e3, 1e30])
def test_the_cross_entropy_direction_of_saturated_logits_is_not_zero(margin: float) -> None:
    logits = torch.tensor([[margin, 0.0, 0.0]], requires_grad=True)
    labels = torch.tensor([0])
    (gradient,) = torch.autograd.grad(cross_entropy(logits, labels), logits)
    assert not gradient[0, 0]  # the reason for the direction: float32 has no gradient left here
    assert cross_entropy_direction(logits.detach(), labels).tolist() == [[-1, 0.5, 0.5]]


def test_the_cross_entropy_direction_of_two_classes_is_from_one_to_the_other() -> None:
    direction = cross_entropy_direction(
        torch.tensor([[5.0, -2.0], [0.0, 90.0]]), torch.tensor([0, 0])
    )
    assert direction.tolist() == [[-1, 1], [-1, 1]]


def test_directions_leave_the_logits_alone() -> None:
    logits = torch.tensor([[1.0, 2.0]])
    labels = torch.tensor([0])
    cross_entropy_direction(logits, labels)
    margin_direction(logits, labels)
    difference_direction(logits, labels, 1 - labels)
    margins(logits, labels)
    assert logits.tolist() == [[1, 2]]


@given(decisions())
def test_the_margin_direction_is_the_gradient_of_the_margins(
    problem: tuple[Tensor, Tensor],
) -> None:
    logits, labels = problem
    _, gradients = value_and_direction(lambda variables: margins(variables, labels), logits)
    assert torch.equal(margin_direction(logits, labels), gradients)


def test_the_margin_direction_of_a_tie_is_towards_the_first_of_the_others() -> None:
    logits, labels = torch.tensor([[2.0, 2.0, 2.0], [1.0, 2.0, 2.0]]), torch.tensor([1, 0])
    assert margin_direction(logits, labels).tolist() == [[-1, 1, 0], [1, -1, 0]]


@given(decisions(), st.integers(1, 7))
def test_the_likeliest_others_are_sorted_and_leave_out_the_label(
    problem: tuple[Tensor, Tensor], number: int
) -> None:
    logits, labels = problem
    found = likeliest_others(logits, labels, number)
    for row, label, others in zip(logits.tolist(), labels.tolist(), found.tolist(), strict=True):
        order = sorted(range(len(row)), key=row.__getitem__, reverse=True)
        assert others == [one for one in order if one != label][:number]


def test_the_likeliest_others_of_nan_logits_are_other_classes() -> None:
    logits = torch.tensor([[math.nan, math.nan, 1.0], [-math.inf, 3.0, math.inf]])
    found = likeliest_others(logits, torch.tensor([2, 1]), 2)
    assert sorted(found[0].tolist()) == [0, 1]
    assert found[1].tolist() == [2, 0]


@given(decisions())
def test_logit_differences_and_their_direction(problem: tuple[Tensor, Tensor]) -> None:
    logits, ones = problem
    others = (ones + 1) % logits.shape[1]
    expected = [
        row[one] - row[other]
        for row, one, other in zip(logits.tolist(), ones.tolist(), others.tolist(), strict=True)
    ]
    values, direction = value_and_direction(
        lambda variables: logit_differences(variables, ones, others), logits
    )
    assert values.tolist() == expected
    assert torch.equal(difference_direction(logits, ones, others), direction)


def test_the_difference_of_a_class_with_itself_counts_as_the_class() -> None:
    one = torch.tensor([1])
    assert difference_direction(torch.zeros(1, 3), one, one).tolist() == [[0, 1, 0]]


LOGITS = torch.tensor([[4.0, 1.0, 3.0, 0.0, -2.0]])


@pytest.mark.parametrize(
    ("label", "expected"), [(0, 1 / 3), (2, -1 / 3), (1, -1.0), (3, -4 / 3), (4, -2.0)]
)
def test_the_logits_ratio_is_the_margin_over_the_range_of_the_three_largest(
    label: int, expected: float
) -> None:
    labels = torch.tensor([label])
    for constant_range in (False, True):
        found = logits_ratio(LOGITS, labels, constant_range=constant_range)
        assert found.item() == pytest.approx(expected)
    scaled = logits_ratio(1000 * LOGITS - 7, labels)
    assert scaled.item() == pytest.approx(expected)


@pytest.mark.parametrize(
    ("label", "target", "expected"),
    [(0, 2, 1 / 3.5), (0, 4, 6 / 3.5), (2, 0, -1 / 3.5), (1, 4, 3 / 3.5), (3, 3, 0.0)],
)
def test_the_targeted_ratio_is_the_difference_over_the_range_of_the_four_largest(
    label: int, target: int, expected: float
) -> None:
    labels, targets = torch.tensor([label]), torch.tensor([target])
    found = targeted_logits_ratio(LOGITS, labels, targets)
    assert found.item() == pytest.approx(expected)
    scaled = targeted_logits_ratio(1000 * LOGITS - 7, labels, targets)
    assert scaled.item() == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ratios_of_equal_logits_are_finite(dtype: torch.dtype) -> None:
    labels, targets = torch.tensor([1, 1]), torch.tensor([2, 4])
    logits = torch.ones(2, 5, dtype=dtype)
    logits[1, 4] = 0.0  # the four largest logits are equal, the target is a fifth
    tiny = torch.finfo(dtype).tiny
    assert logits_ratio(logits, labels).tolist() == [0, 0]
    assert targeted_logits_ratio(logits, labels, targets).tolist() == [0, 1 / tiny]
    _, direction = value_and_direction(
        lambda variables: targeted_logits_ratio(variables, labels, targets), logits
    )
    assert direction.isfinite().all()


def test_the_ratio_of_the_third_likeliest_class_has_a_gradient_only_with_a_constant_range() -> None:
    labels = torch.tensor([1])
    gradients = [
        value_and_direction(
            lambda variables, constant=constant: logits_ratio(  # type: ignore[misc]
                variables, labels, constant_range=constant
            ),
            LOGITS,
        )[1]
        for constant in (False, True)
    ]
    assert torch.allclose(gradients[0], torch.zeros(1, 5))
    by_default = value_and_direction(lambda variables: logits_ratio(variables, labels), LOGITS)[1]
    assert torch.equal(by_default, gradients[0])
    assert gradients[1].tolist() == [[pytest.approx(-1 / 3), pytest.approx(1 / 3), 0, 0, 0]]


def test_ratios_need_enough_classes() -> None:
    message = (
        "this ratio of logits needs at least {} classes, the model has {}: use "
        "loss='cross-entropy'."
    )
    labels = torch.tensor([0])
    logits_ratio(torch.eye(1, 3), labels)
    targeted_logits_ratio(torch.eye(1, 4), labels, labels)
    check_classes_of_ratio(3, 3)
    with pytest.raises(InputError, match=f"^{re.escape(message.format(3, 2))}$"):
        logits_ratio(torch.eye(1, 2), labels)
    with pytest.raises(InputError, match=f"^{re.escape(message.format(4, 3))}$"):
        targeted_logits_ratio(torch.eye(1, 3), labels, labels)


def test_a_value_and_its_direction_come_without_a_graph_in_any_autograd_mode() -> None:
    logits = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    for mode in (torch.enable_grad(), torch.no_grad()):
        with mode:
            values, direction = value_and_direction(lambda one: one.square().sum(1), logits)
        assert values.tolist() == [5, 10]
        assert direction.tolist() == [[2, 4], [6, -2]]
        assert not values.requires_grad
        assert not direction.requires_grad
    assert not logits.requires_grad


def test_a_model_is_a_function_or_a_module() -> None:
    assert isinstance(lambda inputs: inputs, Model)
    assert isinstance(torch.nn.Identity(), Model)
    assert not isinstance("zoo:mnist-cnn", Model)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_logits_of_two_classes_or_more_pass(dtype: torch.dtype) -> None:
    for classes in (2, 10):
        logits = torch.zeros(3, classes, dtype=dtype)
        check_logits(logits, torch.tensor([0, classes - 1, 1]))
        check_logits(logits[:0], torch.zeros(0, dtype=torch.int64))


_PREDICTED = (
    " A function that only predicts becomes a model with "
    "minnorm.models.predict_only(function, ...)."
)
_ONE_LOGIT = " If it is the logit of class 1 of two, wrap the model: minnorm.models.binary(model)."


@pytest.mark.parametrize(
    ("logits", "message", "advice"),
    [
        (
            None,
            "the model returned NoneType; expected a floating point tensor of logits.",
            _PREDICTED,
        ),
        (
            [[0.0]],
            "the model returned list; expected a floating point tensor of logits.",
            _PREDICTED,
        ),
        (
            (torch.zeros(2, 5),),
            "the model returned tuple; expected a floating point tensor of logits.",
            _PREDICTED,
        ),
        (
            torch.zeros(2, 5, dtype=torch.int64),
            "the model returned torch.int64; expected a floating point tensor of logits.",
            _PREDICTED,
        ),
        (
            torch.zeros(2, 5, dtype=torch.complex64),
            "the model returned torch.complex64; expected a floating point tensor of logits.",
            _PREDICTED,
        ),
        (
            torch.zeros(2),
            "the model returned an output of shape [2] for 2 inputs; expected logits [2, classes] "
            "with at least 2 classes.",
            _ONE_LOGIT,
        ),
        (
            torch.zeros(2, 5, 1),
            "the model returned an output of shape [2, 5, 1] for 2 inputs; expected logits "
            "[2, classes] with at least 2 classes.",
            "",
        ),
        (
            torch.zeros(3, 5),
            "the model returned an output of shape [3, 5] for 2 inputs; expected logits "
            "[2, classes] with at least 2 classes.",
            "",
        ),
        (
            torch.zeros(2, 1),
            "the model returned an output of shape [2, 1] for 2 inputs; expected logits "
            "[2, classes] with at least 2 classes.",
            _ONE_LOGIT,
        ),
    ],
)
def test_an_output_that_is_not_logits_is_refused(logits: Any, message: str, advice: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message + advice)}$"):
        check_logits(logits, torch.tensor([0, 0]))


@pytest.mark.parametrize("labels", [[0, 9], [6, 6], [0, 5], [-1, 4], [-1, -1]])
def test_labels_without_a_class_are_refused(labels: list[int]) -> None:
    message = (
        f"labels range from {labels[0]} to {labels[1]}, but the model has 5 classes: expected "
        "labels from 0 to 4."
    )
    given = torch.tensor(labels)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_labels(given, 5)
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        check_logits(torch.zeros(2, 5), given)


@pytest.mark.parametrize("labels", [[1, 5], [5, 5]])
def test_labels_that_are_counted_from_1_are_recognized(labels: list[int]) -> None:
    with pytest.raises(InputError, match=r"from 0 to 4. If they are counted from 1, subtract 1.$"):
        check_labels(torch.tensor(labels), 5)


def test_labels_from_0_to_the_last_class_pass() -> None:
    check_labels(torch.tensor([0, 4]), 5)
    check_labels(torch.tensor([4]), 5)
    check_labels(torch.zeros(0, dtype=torch.int64), 5)


def test_parts_in_training_mode_are_named_but_for_those_whose_flag_means_nothing() -> None:
    network = nn.Sequential(nn.Linear(2, 3), nn.Dropout()).eval()
    assert parts_in_training_mode(network) == {}
    network[1].train()
    assert parts_in_training_mode(network) == {"1": network[1]}
    program = torch.export.export(network.eval(), (torch.ones(2, 2),)).module()
    assert program.training  # and it cannot be changed
    assert is_exported(program)
    assert not is_exported(network)
    assert parts_in_training_mode(program) == {}
    around = nn.Sequential(program, nn.Dropout())
    around.training = False
    assert parts_in_training_mode(around) == {"1": around[1]}


@pytest.mark.filterwarnings("ignore::FutureWarning")
def test_frozen_torchscript_has_no_mode() -> None:
    frozen = torch.jit.freeze(torch.jit.script(nn.Sequential(nn.Linear(2, 3)).eval()))
    assert parts_in_training_mode(frozen) == {}
    assert parts_in_training_mode(nn.Sequential(frozen).eval()) == {}


def naive_near(row: list[float]) -> list[bool]:
    """Decide for one sample which logits are not far below the others, one after the other."""
    ordered = sorted((value for value in row if math.isfinite(value)), reverse=True)
    near = ordered[:2]
    for value in ordered[2:]:
        size = max(abs(ordered[0]), ordered[0] - near[-1])
        if ordered[0] - value > max(100.0, 30 * size):
            break
        near.append(value)
    return [math.isfinite(value) and value >= near[-1] for value in row]


@given(
    st.integers(2, 6).flatmap(
        lambda classes: st.lists(
            st.lists(
                st.sampled_from([0.0, 0.5, -3.0, 8.0, -90.0, -400.0, 1e4, -1e4, -1e9, -1e30])
                | st.floats(-50, 50, width=32)
                | st.sampled_from([-math.inf, math.inf, math.nan]),
                min_size=classes,
                max_size=classes,
            ),
            min_size=1,
            max_size=3,
        )
    )
)
def test_classes_near_the_top_are_those_of_a_loop(values: list[list[float]]) -> None:
    found = near_the_top(torch.tensor(values, dtype=torch.float64))
    assert found.tolist() == [naive_near(row) for row in values]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_masked_classes_are_not_near_the_top(dtype: torch.dtype) -> None:
    for mask in (-1e4, float(torch.finfo(dtype).min), -math.inf):
        logits = torch.tensor([[mask, 3.0, mask, -5.0, 2.0]], dtype=dtype)
        assert near_the_top(logits).tolist() == [[False, True, False, True, True]]
        assert logit_sizes(logits).tolist() == [5.0]


@given(decisions())
def test_usual_logits_have_usual_sizes_and_scales(problem: tuple[Tensor, Tensor]) -> None:
    logits, labels = problem
    assert near_the_top(logits).all()
    assert torch.equal(logit_sizes(logits), logits.abs().amax(1))
    assert torch.equal(deciding_sizes(logits, margins(logits, labels)), logits.abs().amax(1))
    usual = logits[logits.amax(1) - logits.amin(1) >= 1e-4]
    assert torch.equal(unusual_scales(usual), torch.ones(len(usual), dtype=torch.float64))


@pytest.mark.parametrize("mask", [-30.0, -1e4, -2e6, -1e9, -1e30, -math.inf])
def test_a_masked_class_has_no_influence_on_the_scale(mask: float) -> None:
    logits = torch.tensor([[3.0, -5.0, 2.0, mask]])
    assert unusual_scales(logits).tolist() == [1.0]
    assert unusual_scales(1e9 * logits).tolist() == pytest.approx(
        [3.3e10 if mask == -30 else 8e9], rel=1e-6
    )
    assert deciding_sizes(logits, torch.tensor([1.0])) <= 100


def test_the_scale_of_unusual_logits_is_their_range() -> None:
    logits = torch.tensor([[3.0, -5.0, 2.0]], dtype=torch.float64)
    for size in (1e-30, 1e-6, 1e6, 1e30):
        assert unusual_scales(size * logits).tolist() == pytest.approx([8 * size])
    assert unusual_scales(torch.tensor([[1.0, math.nan, -1e9]])).tolist() == [1.0]


@given(decisions(), st.integers(0, 2**32), st.floats(0.1, 10))
def test_rounding_of_usual_logits_is_a_share_of_the_largest_of_all(
    problem: tuple[Tensor, Tensor], seed: int, errors: float
) -> None:
    expected, _ = problem
    noise = torch.rand(expected.shape, generator=torch.Generator().manual_seed(seed)).double()
    largest = expected.abs().max() if len(expected) else 0.0
    found = expected + errors * 1e-3 * largest * (noise - 0.5)
    wanted = (found - expected).abs() > 1e-3 * largest
    assert torch.equal(beyond_rounding(found, expected, 1e-3), wanted)
    assert torch.equal(beyond_rounding(found[:1], expected[:1], 1e-3, among=expected), wanted[:1])


@pytest.mark.parametrize("far", [-1e9, -math.inf, math.inf])
def test_a_far_logit_hides_no_difference_of_others(far: float) -> None:
    expected = torch.tensor([[3.0, -5.0, 2.0, far], [1.0, 2.0, 3.0, far]])
    found = expected.clone()
    found[0, 2] += 0.01
    found[1, 2] += 0.001
    differ = beyond_rounding(found, expected, 1e-3)
    assert differ.nonzero().tolist() == [[0, 2]]
    found = expected.where(expected.abs() < 9, 1.01 * expected)
    assert beyond_rounding(found, expected, 1e-3).any() == math.isfinite(far)
    found = expected.where(expected.abs() < 9, torch.nan)
    assert beyond_rounding(found, expected, 1e-3).nonzero().tolist() == [[0, 3], [1, 3]]


def test_a_sample_with_far_larger_logits_hides_no_difference_of_others() -> None:
    expected = torch.tensor([[3.0, -5.0, 2.0]]).repeat(5, 1)
    expected[4] *= 1e6
    found = expected.clone()
    found[0, 0] += 0.01
    found[4, 1] += 4000  # rounding is relative to the logits of this sample
    assert beyond_rounding(found, expected, 1e-3).nonzero().tolist() == [[0, 0]]
