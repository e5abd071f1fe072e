"""Doubts about the labels, with near misses, and what a run says about them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from attacks.networks import problem
from evaluation.record_tables import table
from minnorm.doubts import Doubt
from minnorm.evaluation import Evaluation, evaluate, load_run
from minnorm.evaluation.label_doubts import doubts_about_labels


def doubt(
    labels: Sequence[int], predictions: Sequence[int], classes: Sequence[str] = ()
) -> Doubt | None:
    """Return the doubt about these labels and clean predictions, of two attacks."""
    one = table([1.0] * len(labels))
    for name, values in (("label", labels), ("clean_prediction", predictions)):
        place = one.schema.get_field_index(name)
        field = one.schema.field(place)
        one = one.set_column(place, field, pa.array(list(values), field.type))
    other = one.set_column(0, one.schema.field(0), pa.array(["other"] * len(one), pa.string()))
    found = doubts_about_labels(pa.concat_tables([one, other]), classes)
    assert found == doubts_about_labels(one, classes)  # each sample counts once
    assert len(found) <= 1
    return found[0] if found else None


def kind(labels: Sequence[int], predictions: Sequence[int]) -> str | None:
    found = doubt(labels, predictions)
    return None if found is None else found.kind


def test_an_accuracy_near_chance_is_a_doubt() -> None:
    labels = [number % 10 for number in range(500)]
    guesses = np.random.default_rng(0).integers(0, 10, 500).tolist()
    found = doubt(labels, guesses)
    assert found is not None
    assert found.kind == "chance"
    assert "of 500 samples correctly. Guessing among 10 classes would give 10 %." in found.text


def test_a_constant_prediction_is_named() -> None:
    found = doubt([0, 1, 2] * 20, [1] * 60, ("cat", "dog", "owl"))
    assert found is not None
    assert "It predicts the class dog for every sample." in found.text


def test_a_model_that_returns_nan_alone_is_near_chance() -> None:
    found = doubt([0, 1, 2] * 20, [-1] * 60)
    assert found is not None
    assert found.kind == "chance"
    assert "for every sample" not in found.text


@pytest.mark.parametrize("right", [200, 470])
def test_an_accuracy_above_chance_is_no_doubt(right: int) -> None:
    labels = [number % 10 for number in range(500)]
    predictions = labels[:right] + [
        (label + number) % 10 for number, label in enumerate(labels[right:])
    ]
    assert doubt(labels, predictions) is None


def test_few_samples_say_nothing() -> None:
    assert doubt([0, 1, 2, 3, 4], [1, 2, 3, 4, 0]) is None
    assert doubts_about_labels(table([]), ()) == ()


@pytest.mark.parametrize("accuracy", [0.8, 0.9, 1.0])
@pytest.mark.parametrize("classes", [2, 10])
def test_a_good_model_raises_no_doubt_on_few_samples(accuracy: float, classes: int) -> None:
    rng, raised = np.random.default_rng(0), 0
    for count in (5, 10, 20):
        for _ in range(200):
            labels = rng.integers(0, classes, count)
            wrong = (labels + rng.integers(1, classes, count)) % classes
            predictions = np.where(rng.random(count) < accuracy, labels, wrong)
            raised += doubt(labels.tolist(), predictions.tolist()) is not None
    assert raised <= 6  # of 600


@pytest.mark.parametrize("classes", [2, 10])
def test_guessing_is_noticed_on_few_samples(classes: int) -> None:
    rng, raised = np.random.default_rng(0), 0
    for _ in range(200):
        labels, predictions = rng.integers(0, classes, (2, 40)).tolist()
        raised += kind(labels, predictions) == "chance"
    assert raised >= 180


def test_labels_in_another_order_are_a_doubt() -> None:
    labels = [number % 5 for number in range(200)]
    order = [3, 1, 4, 2, 0]
    predictions = [order[label] for label in labels]
    predictions[:20] = [0] * 20
    found = doubt(labels, predictions, ("ant", "bee", "cat", "dog", "eel"))
    assert found is not None
    assert found.kind == "label-order"
    assert "ant as dog, cat as eel, dog as cat" in found.text


def test_errors_without_order_are_no_other_order() -> None:
    labels = [number % 5 for number in range(200)]
    rng = np.random.default_rng(0)
    # A weak model that prefers a class is not one of other labels.
    predictions = [label if rng.random() < 0.4 else 2 for label in labels]
    assert kind(labels, predictions) != "label-order"


def test_few_samples_of_each_class_are_no_other_order() -> None:
    # Each of the errors would be renamed away, if one sample decided about a class.
    labels = [*range(40)]
    predictions = [label if label < 30 else label + 50 for label in labels]
    assert kind(labels, predictions) != "label-order"
    assert kind([*labels, *labels], [*predictions, *labels]) != "label-order"


def test_two_classes_that_are_confused_are_no_other_order() -> None:
    labels = [number % 5 for number in range(200)]
    predictions = [{3: 4}.get(label, label) for label in labels]
    assert kind(labels, predictions) != "label-order"


def test_a_run_and_its_directory_warn_of_labels_in_another_order(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model, inputs, right = problem((4,), batch=60)

    def run(labels: torch.Tensor, out: Path | None = None) -> Evaluation:
        return evaluate(model, (inputs, labels), "ddn(steps=2)", out=out, accelerate="off")

    assert run(right).doubts == ()
    (found,) = run((right + 1) % 5, tmp_path / "run").doubts
    assert found.kind == "label-order"
    assert caplog.text.count(found.text) == 1
    assert load_run(tmp_path / "run").doubts == (found,)
