"""Findings about the model and the number of samples, with near misses."""

import numpy as np
import pytest

from evaluation.record_tables import INF
from minnorm.evaluation.estimates import share_of
from minnorm.report.findings.finding import Finding
from minnorm.report.findings.model_findings import model_findings
from minnorm.report.runs import LabeledRun
from report.findings.whole_findings import by_kind
from report.made_runs import attack_run, with_column


def found(run: LabeledRun) -> dict[str, Finding]:
    return by_kind(model_findings(run))


def predicting(labels: list[int], predictions: list[int], **more: object) -> LabeledRun:
    """Return a run with these labels and clean predictions."""
    run = attack_run({"ddn": np.linspace(0.5, 2.0, len(labels)).tolist()}, **more)  # type: ignore[arg-type]
    return with_column(run, label=labels, clean_prediction=predictions)


def test_an_accuracy_near_chance_is_a_problem() -> None:
    labels = [number % 10 for number in range(500)]
    guesses = np.random.default_rng(0).integers(0, 10, 500).tolist()
    finding = found(predicting(labels, guesses))["chance"]
    assert finding.level == "problem"
    assert "Guessing among 10 classes would give 10 %" in finding.text


def test_a_constant_prediction_is_named() -> None:
    run = predicting([0, 1, 2] * 20, [1] * 60, classes=("cat", "dog", "owl"))
    assert "It predicts the class dog for every sample." in found(run)["chance"].text


def test_a_model_that_returns_nan_alone_is_near_chance() -> None:
    finding = found(predicting([0, 1, 2] * 20, [-1] * 60))["chance"]
    assert "for every sample" not in finding.text


@pytest.mark.parametrize("right", [200, 470])
def test_an_accuracy_above_chance_is_no_finding(right: int) -> None:
    labels = [number % 10 for number in range(500)]
    predictions = labels[:right] + [
        (label + number) % 10 for number, label in enumerate(labels[right:])
    ]
    assert {"chance", "label-order"}.isdisjoint(found(predicting(labels, predictions)))


def test_few_samples_say_nothing_about_chance() -> None:
    assert "chance" not in found(predicting([0, 1, 2], [1, 2, 0]))


def test_labels_in_another_order_are_a_problem() -> None:
    labels = [number % 5 for number in range(200)]
    order = [3, 1, 4, 2, 0]
    predictions = [order[label] for label in labels]
    predictions[:20] = [0] * 20
    names = ("ant", "bee", "cat", "dog", "eel")
    findings = found(predicting(labels, predictions, classes=names))
    assert findings["label-order"].level == "problem"
    assert "ant as dog, cat as eel, dog as cat" in findings["label-order"].text
    assert "chance" not in findings  # one explanation is enough


def test_errors_without_order_are_no_other_order() -> None:
    labels = [number % 5 for number in range(200)]
    rng = np.random.default_rng(0)
    # A weak model that prefers a class is not one of other labels.
    predictions = [label if rng.random() < 0.4 else 2 for label in labels]
    assert "label-order" not in found(predicting(labels, predictions))


def test_few_samples_of_each_class_are_no_other_order() -> None:
    # Each of the errors would be renamed away, if one sample decided about a class.
    labels = [*range(40)]
    predictions = [label if label < 30 else label + 50 for label in labels]
    assert "label-order" not in found(predicting(labels, predictions))
    twice = predicting([*labels, *labels], [*predictions, *labels])
    assert "label-order" not in found(twice)


def test_two_classes_that_are_confused_are_no_other_order() -> None:
    labels = [number % 5 for number in range(200)]
    predictions = [{3: 4}.get(label, label) for label in labels]
    assert "label-order" not in found(predicting(labels, predictions))


def test_tiny_distances_are_a_problem() -> None:
    # The largest change is half the L2 distance.
    finding = found(attack_run({"ddn": [1e-3] * 40}))["tiny-distances"]
    assert finding.level == "problem"
    assert "For 40 of 40 samples" in finding.text
    assert "tiny-distances" in found(attack_run({"ddn": [0.255] * 40}, bounds=(0.0, 255.0)))


@pytest.mark.parametrize("distances", [[0.01] * 40, [1e-3] * 30 + [0.01] * 10, [1e-3] * 5])
def test_small_distances_are_no_finding(distances: list[float]) -> None:
    assert "tiny-distances" not in found(attack_run({"ddn": distances}))


@pytest.mark.parametrize(
    ("count", "is_wide"), [(20, True), (300, True), (400, False), (2000, False)]
)
def test_wide_intervals_are_a_note(count: int, is_wide: bool) -> None:
    run = attack_run({"ddn": np.linspace(0.5, 2.0, count).tolist()})
    findings = found(run)
    assert ("wide-intervals" in findings) == is_wide
    if is_wide:
        assert findings["wide-intervals"].level == "note"


def test_the_number_of_samples_that_are_needed_is_about_right() -> None:
    run = attack_run({"ddn": [1.0] * 50 + [3.0] * 50})
    advice = found(run)["wide-intervals"].advice
    needed = int(advice.split()[1].replace(",", ""))
    hits = np.arange(needed) < needed // 2
    _, low, high = share_of(hits, np.arange(needed))
    assert (high - low) / 2 == pytest.approx(0.02, rel=0.05)


def test_without_a_success_there_is_no_finding_but_the_intervals() -> None:
    assert [*found(attack_run({"ddn": [INF] * 12}))] == ["wide-intervals"]
