"""Doubts about the labels, with near misses, and what a run says about them."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
import torch

from attacks.networks import problem
from evaluation.record_tables import INF, table
from minnorm.doubts import Doubt
from minnorm.evaluation import Evaluation, Records, evaluate, load_run
from minnorm.evaluation.label_doubts import doubts_about_labels


def with_values(records: Records, **columns: Sequence[int]) -> Records:
    """Return the records with other values in some columns."""
    for name, values in columns.items():
        place = records.schema.get_field_index(name)
        field = records.schema.field(place)
        records = records.set_column(place, field, pa.array(list(values), field.type))
    return records


def doubt(
    labels: Sequence[int], predictions: Sequence[int], classes: Sequence[str] = ()
) -> Doubt | None:
    """Return the doubt about these labels and clean predictions, of two attacks."""
    one = table([1.0] * len(labels))
    one = with_values(one, label=labels, clean_prediction=predictions)
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


def test_a_class_of_another_number_is_another_order() -> None:
    # The classes 0, 2 and 3 of an estimator have the numbers 0, 1 and 2.
    found = doubt([0] * 40 + [2] * 12, [0] * 40 + [1] * 11 + [2])
    assert found is not None
    assert found.kind == "label-order"
    assert "it takes samples of the class 2 as 1" in found.text
    assert kind([0] * 40 + [2] * 9, [0] * 40 + [1] * 9) is None  # few samples
    assert kind([0] * 40 + [2] * 20, [0] * 40 + [1] * 14 + [2] * 6) is None  # classes are alike
    assert kind([0] * 40 + [2] * 20 + [1] * 5, [0] * 40 + [1] * 25) is None
    assert kind([1] * 40, [0] * 40) == "chance"  # the model may predict a constant


@pytest.mark.parametrize(
    ("others", "distance", "is_found"),
    [(15, 1.0, True), (15, INF, True), (4, 1.0, False), (4, INF, True), (0, INF, False)],
)
def test_a_constant_prediction_of_the_most_frequent_class_is_a_doubt(
    others: int, distance: float, is_found: bool
) -> None:
    records = with_values(
        table([distance] * 100 + [0.0] * others),
        label=[1] * 100 + [0] * others,
        clean_prediction=[1] * (100 + others),
        adversarial_prediction=[int(distance == INF)] * 100 + [1] * others,
    )
    found = doubts_about_labels(records, ("no", "yes"))
    assert [one.kind for one in found] == ["constant"] * is_found
    if is_found:
        assert f"the class yes for all {100 + others} samples, though {others}" in found[0].text
    assert doubts_about_labels(records.slice(0, 9), ()) == ()


def test_a_model_that_predicts_another_class_once_is_not_constant() -> None:
    assert kind([1] * 100 + [0] * 15, [1] * 114 + [0]) is None


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
