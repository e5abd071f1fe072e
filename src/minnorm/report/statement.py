"""The results of a run in plain sentences."""

from collections.abc import Sequence

from minnorm.evaluation import accuracy_at, clean_accuracy
from minnorm.geometry import Norm
from minnorm.report.parts import closest_part, main_norm
from minnorm.report.runs import LabeledRun


def statement(run: LabeledRun, epsilons: Sequence[float], norm: Norm | None = None) -> list[str]:
    """Return what was measured, in plain sentences with the numbers.

    Args:
        run: The run.
        epsilons: The radii of the accuracies.
        norm: The norm of the distances; by default that of the first attack.
    """
    norm = main_norm(run, norm)
    records = closest_part(run, norm)
    clean = clean_accuracy(records).value
    accuracies = [100 * accuracy_at(records, epsilon, norm).value for epsilon in epsilons]
    return [
        f"The model {run.model} was attacked on {run.data}.",
        f"Its clean accuracy is {100 * clean:.1f} %.",
        *(
            f"Its accuracy under attack within {epsilon:g} is {accuracy:.1f} %."
            for epsilon, accuracy in zip(epsilons, accuracies, strict=True)
        ),
    ]
