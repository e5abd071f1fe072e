"""Results by class, and flows from class to class."""

import numpy as np

from evaluation.record_tables import INF
from minnorm.report.facts.classes import OTHER, SHOWN_CLASSES, flows, per_class
from minnorm.report.runs import LabeledRun
from report.made_runs import attack_run, with_column


def run(distances: list[float], labels: list[int], found: list[int], **more: object) -> LabeledRun:
    """Return a run; the sample of distance 0 is misclassified as class 9."""
    made = attack_run({"ddn": distances}, **more)  # type: ignore[arg-type]
    clean = [
        9 if distance == 0 else label for distance, label in zip(distances, labels, strict=True)
    ]
    return with_column(made, label=labels, clean_prediction=clean, adversarial_prediction=found)


def test_each_class_has_a_row_with_its_own_numbers() -> None:
    made = run([1.0, 3.0, 0.0, 2.0], [0, 0, 2, 2], [1, 1, 9, 0], classes=("cat", "dog", "owl"))
    first, second = per_class(made, [1.5])
    assert (first.label, first.name, first.samples) == (0, "cat", 2)
    assert (second.label, second.name, second.samples) == (2, "owl", 2)
    assert (first.clean.value, second.clean.value) == (1.0, 0.5)
    assert (first.accuracies[0].value, second.accuracies[0].value) == (0.5, 0.5)
    assert (first.median.value, second.median.value) == (2.0, 2.0)


def test_a_class_without_a_name_is_named_by_its_label() -> None:
    assert [
        row.name for row in per_class(run([1.0, 1.0], [0, 5], [1, 1], classes=("cat",)), [])
    ] == [
        "cat",
        "5",
    ]


def test_the_row_of_a_class_is_of_the_closest_of_all_attacks() -> None:
    made = attack_run({"ddn": [1.0, 4.0], "fmn": [3.0, 2.0]})
    assert per_class(made, [])[0].median.value == 1.5


def test_flows_count_successes_on_correctly_classified_samples() -> None:
    made = run([1.0, 2.0, INF, 0.0, 1.0], [0, 0, 0, 1, 1], [1, 2, 0, 9, 0])
    found = flows(made)
    assert found is not None
    assert found.names == ("0", "1", "2")
    assert found.counts.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]


def test_a_sample_with_several_targets_flows_to_the_closest() -> None:
    made = attack_run({"ddn": [2.0, 1.0, 3.0]}, targets=[1, 2, 3])
    found = flows(with_column(made, adversarial_prediction=[1, 2, 3]))
    assert found is not None
    assert found.names == ("0", "2")
    assert found.counts.tolist() == [[0, 1], [0, 0]]


def test_classes_with_few_samples_are_summed_up() -> None:
    # Class k has 20 - k samples, all of which become class k + 1.
    labels = np.repeat(np.arange(20), 20 - np.arange(20))
    made = run([1.0] * len(labels), labels.tolist(), ((labels + 1) % 20).tolist())
    found = flows(made)
    assert found is not None
    assert len(found.names) == SHOWN_CLASSES + 1
    assert found.names == (*(str(label) for label in range(SHOWN_CLASSES)), OTHER)
    assert found.counts.sum() == len(labels)
    assert found.counts[3, 4] == 17
    assert found.counts[-1, -1] == sum(20 - label for label in range(12, 19))  # 19 becomes 0


def test_without_a_success_there_are_no_flows() -> None:
    assert flows(attack_run({"ddn": [INF, 0.0]})) is None
    assert flows(attack_run({"ddn": []})) is None
    assert per_class(attack_run({"ddn": []}), [1.0]) == []
