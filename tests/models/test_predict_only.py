"""Functions that only predict, as models: what they get, and what they return."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torch import nn

from minnorm.access import access_of
from minnorm.errors import InputError
from minnorm.logits import predictions
from minnorm.models import PredictOnly, binary, fingerprint, predict_only
from minnorm.models.outputs import LEAST_PROBABILITY, settled

INPUTS = torch.rand(6, 2, 3, generator=torch.Generator().manual_seed(0))


def _constant(output: Any, outputs: Any = "logits", **options: Any) -> torch.Tensor:
    """Return what a model makes of a constant output of a function."""
    logits: torch.Tensor = predict_only(lambda _: output, outputs, **options)(torch.zeros(2, 3))
    return logits


def test_a_function_gets_arrays_and_its_scores_are_the_logits() -> None:
    seen: list[Any] = []

    def function(batch: np.ndarray[Any, Any]) -> Any:
        seen.append(batch)
        return batch.sum(2)

    model = predict_only(function)
    assert isinstance(model, PredictOnly)
    torch.testing.assert_close(model(INPUTS), INPUTS.sum(2))
    assert access_of(model) == "scores"
    assert not model.training
    model(INPUTS.double())
    model(INPUTS.half())
    model(INPUTS.bfloat16())
    assert all(isinstance(batch, np.ndarray) for batch in seen)
    kinds = [batch.dtype for batch in seen]
    assert kinds == [np.float32, np.float64, np.float32, np.float32]


def test_a_module_gets_tensors_and_decides_the_dtype_of_inputs() -> None:
    network = nn.Linear(3, 2).double().eval()
    model = predict_only(network)
    inputs = torch.rand(4, 3, dtype=torch.float64)
    torch.testing.assert_close(model(inputs), network(inputs))
    assert not model(inputs.requires_grad_()).requires_grad
    assert access_of(model) == "scores"
    assert predict_only(nn.Dropout()).training
    with_arrays = predict_only(lambda batch: network(torch.from_numpy(batch)))
    torch.testing.assert_close(with_arrays(inputs), network(inputs))


def test_the_function_cannot_change_the_inputs() -> None:
    def function(batch: Any) -> Any:
        batch[:] = 0
        return batch[:, 0]

    inputs = INPUTS.clone()
    for as_arrays in (True, False):
        predict_only(function, arrays=as_arrays)(inputs)
        assert torch.equal(inputs, INPUTS)


def test_calls_have_at_most_the_batch_size() -> None:
    sizes: list[int] = []

    def function(batch: Any) -> Any:
        sizes.append(len(batch))
        return batch.sum(2)

    whole = predict_only(function)(INPUTS)
    assert sizes == [6]
    sizes.clear()
    assert torch.equal(predict_only(function, batch_size=4)(INPUTS), whole)
    assert sizes == [4, 2]
    sizes.clear()
    assert predict_only(function)(INPUTS[:0]).shape == (0, 2)
    assert sizes == [1]


@pytest.mark.parametrize("convert", [np.asarray, torch.tensor, list, tuple])
def test_outputs_may_be_arrays_tensors_or_lists(convert: Callable[[Any], Any]) -> None:
    rows = [[1.0, 2.0, 3.0], [0.5, 0.25, 0.25]]
    assert _constant(convert(rows)).tolist() == rows
    assert _constant(convert([1, 2]), "classes", classes=3).tolist() == [[0, 1, 0], [0, 0, 1]]
    assert _constant(torch.tensor(rows, dtype=torch.bfloat16)).tolist() == rows


def test_probabilities_become_logarithms_with_a_finite_floor() -> None:
    logits = _constant([[0.25, 0.75, 0.0], [1.0, 0.0, 1e-300]], "probabilities")
    floor = math.log(LEAST_PROBABILITY)
    expected = [[math.log(0.25), math.log(0.75), floor], [0.0, floor, floor]]
    torch.testing.assert_close(logits, torch.tensor(expected))


def test_one_column_is_class_1_of_two() -> None:
    logits = _constant([[2.0], [-1.0]])
    assert logits.tolist() == [[0, 2], [0, -1]]
    logits = _constant([[0.9], [0.2]], "probabilities")
    torch.testing.assert_close(logits.exp(), torch.tensor([[0.1, 0.9], [0.8, 0.2]]))
    inputs = torch.randn(2, 3)
    one = predict_only(lambda batch: batch.sum(1, keepdims=True))
    torch.testing.assert_close(one(inputs), binary(lambda batch: batch.sum(1))(inputs))


def test_predicted_classes_become_one_hot_rows() -> None:
    model = predict_only(lambda _: ["dog", "cat"], "classes", classes=["cat", "dog", "cow"])
    assert model(torch.zeros(2, 3)).tolist() == [[0, 1, 0], [1, 0, 0]]
    assert access_of(model) == "decisions"
    for output in ([1, 0], [1.0, 0.0], [True, False], [[1], [0]], np.array([1, 0], np.uint8)):
        assert _constant(output, "classes", classes=2).tolist() == [[0, 1], [1, 0]]
    assert _constant([5, 3], "classes", classes=[3, 5]).tolist() == [[0, 1], [1, 0]]


def test_nan_is_no_class() -> None:
    nan = math.nan
    for logits in (
        _constant([[1.0, nan], [1.0, 2.0]]),
        _constant([[nan, 0.5], [0.25, 0.75]], "probabilities"),
        _constant([None, 1], "classes", classes=2),
        _constant([nan, 1], "classes", classes=2),
    ):
        assert logits[0].isnan().all()
        assert predictions(logits).tolist() == [-1, 1]


def test_infinite_scores_become_finite() -> None:
    logits = _constant([[-math.inf, 1.0], [0.0, math.inf]])
    assert logits.isfinite().all()
    assert predictions(logits).tolist() == [1, 1]


@given(
    arrays(np.float64, (4, 3), elements=st.sampled_from([0.0, 1.0, 1 + 1e-12, 1 - 1e-12, -2.0])),
    arrays(np.int64, 4, elements=st.integers(0, 2)),
)
def test_rounded_scores_have_the_prediction_of_the_exact_ones(scores: Any, winners: Any) -> None:
    for chosen in (None, winners):
        rounded = settled(scores, np.float32, chosen)
        assert rounded.dtype == np.float32
        expected = scores.argmax(1) if chosen is None else chosen
        assert (rounded.argmax(1) == expected).all()
        assert ((rounded == rounded.max(1, keepdims=True)).sum(1) == 1).all()
        others = np.arange(3) != expected[:, None]
        assert (rounded[others] == scores.astype(np.float32)[others]).all()


@pytest.mark.parametrize(
    ("output", "outputs", "message"),
    [
        ([[1.0, 2.0]], "logits", r"shape \[1, 2\] for 2 inputs; expected logits \[2, classes\]"),
        ([1.0, 2.0], "logits", r"say outputs='classes'.* a column, output\[:, None\]"),
        ([0.5, 0.5], "probabilities", r"say outputs='classes'.* a column, output\[:, None\]"),
        ([[1.0], [2.0, 3.0]], "logits", "rows of different lengths"),
        (3.0, "logits", "returned a float; expected an array"),
        (None, "probabilities", "returned a NoneType; expected an array"),
        ([["a", "b"], ["c", "d"]], "logits", "returned text; expected logits"),
        ([[None, 1], [1, 2]], "logits", "returned objects that are not numbers"),
        ([[1.0, 2.0]] * 2, "probabilities", r"values from 1 to 2.*: say outputs='logits'"),
        ([[0.5, -0.5]] * 2, "probabilities", "values from -0.5 to 0.5"),
        ([[25.0, 75.0]] * 2, "probabilities", "percentages: divide them by 100"),
        ([[0.7, 0.9]] * 2, "probabilities", r"sums are from 1.6 to 1.6; .*sigmoid"),
        ([[0.7, 0.1]] * 2, "probabilities", r"sums are from 0.8 to 0.8; .*classes are missing"),
    ],
)
def test_other_outputs_are_refused_with_the_reason(output: Any, outputs: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _constant(output, outputs)


@pytest.mark.parametrize(
    ("output", "classes", "message"),
    [
        ([[0.5, 0.5]] * 2, 2, r"shape \[2, 2\] for 2 inputs; expected one class for each"),
        ([0], 2, r"shape \[1\] for 2 inputs"),
        ([1, 2], 2, r"class 2, which is none of \[0, 1\]\. .*classes=range\(1, 3\)"),
        (["a", "b"], 2, r"class 'a', which is none of \[0, 1\]\. Give the names"),
        (["a", "b"], ["a", "c"], r"class 'b', which is none of \['a', 'c'\]\."),
        ([-1, 0], 100, r"class -1, which is none of 0, 1, 2, 3, 4, \.\.\. \(100 classes\)"),
    ],
)
def test_unknown_classes_are_refused(output: Any, classes: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        _constant(output, "classes", classes=classes)


def test_the_number_of_columns_must_be_that_of_the_classes() -> None:
    assert _constant([[0.0, 1.0]] * 2, classes=["cat", "dog"]).shape == (2, 2)
    for outputs in ("logits", "probabilities"):
        with pytest.raises(InputError, match="returned 2 columns; expected 3, the classes"):
            _constant([[0.0, 1.0]] * 2, outputs, classes=3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"function": "f"}, "the function is a str; expected a function"),
        ({"outputs": "labels"}, "outputs='labels': expected one of 'logits', 'probabilities'"),
        ({"outputs": "classes"}, r"outputs='classes' needs the classes: their number"),
        ({"classes": 1}, "classes=1: expected the number of classes, at least 2"),
        ({"classes": True}, "classes=True: expected the number"),
        ({"classes": "ab"}, "classes='ab': expected the number"),
        ({"classes": ["a", "b", "a"]}, "two of them are the same"),
        ({"batch_size": 0}, "batch_size=0: expected a whole number of at least 1"),
    ],
)
def test_bad_arguments_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        predict_only(**{"function": lambda batch: batch, **arguments})


def test_the_name_and_the_fingerprint_are_those_of_the_function() -> None:
    def one(batch: Any) -> Any:
        return batch

    def other(batch: Any) -> Any:
        return batch

    model = predict_only(one)
    assert model.__name__ == "predict_only(one)"
    assert fingerprint(model) == fingerprint(predict_only(one))
    assert fingerprint(model) != fingerprint(predict_only(other))
    assert fingerprint(model) != fingerprint(predict_only(one, "probabilities"))
