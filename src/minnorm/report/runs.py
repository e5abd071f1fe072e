"""Runs with labels: what a report, a table or a chart is made of."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from minnorm.evaluation import Evaluation, Records, breakdown, load_run
from minnorm.geometry import Norm


@dataclass(frozen=True)
class LabeledRun:
    """A run, and the label by which a reader tells it from other runs.

    Attributes:
        label: A short text, different from the labels of the other runs.
        run: The run.
    """

    label: str
    run: Evaluation
    _parts: dict[Norm | None, dict[str, Records]] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def model(self) -> str:
        """The name of the model, without `zoo:`."""
        return _model(self.run)

    @property
    def data(self) -> str:
        """The name of the data."""
        return _data(self.run)

    def parts(self, norm: Norm | None = None) -> dict[str, Records]:
        """Return `minnorm.evaluation.breakdown` of the records, computed once for each norm.

        Args:
            norm: The norm of the distances; by default each attack's own.
        """
        if norm not in self._parts:
            self._parts[norm] = breakdown(self.run.records, norm)
        return self._parts[norm]


def label_runs(runs: Sequence[Evaluation]) -> list[LabeledRun]:
    """Label runs with short, distinct texts.

    A label is the name of the model. Where several runs have the same, the data, the name of the
    run directory, and its path follow as far as they differ. If some runs differ in none of these,
    all labels get a number.
    """
    labels = [_model(run) for run in runs]
    for more in (_data, _folder, _path):
        labels = _extended(labels, runs, more)
    if len(set(labels)) < len(labels):
        labels = [f"{label}, {number}" for number, label in enumerate(labels, 1)]
    return [LabeledRun(label, run) for label, run in zip(labels, runs, strict=True)]


def load_runs(paths: Sequence[str | Path]) -> list[LabeledRun]:
    """Read run directories, and label the runs.

    Raises:
        InputError: If one is not a run directory, or a file in it is damaged.
    """
    return label_runs([load_run(path) for path in paths])


def _extended(
    labels: Sequence[str], runs: Sequence[Evaluation], more: Callable[[Evaluation], str]
) -> list[str]:
    """Return the labels, longer where runs share one and differ in something more."""
    found: dict[str, set[str]] = {}
    for label, run in zip(labels, runs, strict=True):
        found.setdefault(label, set()).add(more(run))
    return [
        f"{label}, {more(run)}" if len(found[label]) > 1 else label
        for label, run in zip(labels, runs, strict=True)
    ]


def _model(run: Evaluation) -> str:
    return str(run.manifest["configuration"]["model"]).removeprefix("zoo:")


def _data(run: Evaluation) -> str:
    return str(run.manifest["configuration"]["data"])


def _folder(run: Evaluation) -> str:
    return run.directory.name if run.directory is not None else "in memory"


def _path(run: Evaluation) -> str:
    return str(run.directory)
