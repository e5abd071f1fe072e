"""Runs with labels: what a report, a table or a chart is made of."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from minnorm.access import Access
from minnorm.errors import InputError
from minnorm.evaluation import (
    WORST_CASE,
    Evaluation,
    Records,
    breakdown,
    closest_records,
    load_run,
    of_attack,
)
from minnorm.evaluation.mixtures import differences_of_samples
from minnorm.evaluation.records import attacks_in, join_records, norms_in
from minnorm.evaluation.selection import matching_attacks
from minnorm.geometry import Norm
from minnorm.report.model_names import longer, short_names
from minnorm.report.texts import counted


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

    @property
    def accesses(self) -> dict[str, Access]:
        """What each attack uses of the model, by its name."""
        attacks = self.run.manifest["configuration"]["attacks"]
        # Runs of earlier versions used gradients, and did not say so.
        return {one["name"]: one.get("access", "gradients") for one in attacks}

    def parts(self, norm: Norm | None = None) -> dict[str, Records]:
        """Return `minnorm.evaluation.breakdown` of the records, computed once for each norm.

        Args:
            norm: The norm of the distances; by default each attack's own.
        """
        if norm is not None and norms_in(self.run.records) == [norm]:
            norm = None  # the parts are the same
        if norm not in self._parts:
            self._parts[norm] = breakdown(self.run.records, norm)
        return self._parts[norm]


def label_runs(runs: Sequence[Evaluation], labels: Sequence[str] = ()) -> list[LabeledRun]:
    """Label runs with short, distinct texts.

    A label is the short name of the model: that of its file or its function. Where several runs
    have the same, the folder, the network and the arguments of the model, the data, the name of the
    run directory, and its path follow as far as they differ. If some runs differ in none of these,
    all labels get a number.

    Args:
        runs: The runs.
        labels: Labels of your own, one for each run.

    Raises:
        InputError: If there are other numbers of labels and runs, or one is empty or given twice.
    """
    if not labels:
        labels = _labels(runs)
    else:
        _check_labels(labels, len(runs))
    return [LabeledRun(label, run) for label, run in zip(labels, runs, strict=True)]


def load_runs(paths: Sequence[str | Path], labels: Sequence[str] = ()) -> list[LabeledRun]:
    """Read run directories, and label the runs.

    Args:
        paths: The run directories.
        labels: Labels of your own, one for each run; by default those of `label_runs`.

    Raises:
        InputError: If one is not a run directory, a file in it is damaged, or the labels are not
            one for each run.
    """
    if labels:
        _check_labels(labels, len(paths))
    return label_runs([load_run(path) for path in paths], labels)


def have_same_samples(runs: Sequence[LabeledRun]) -> bool:
    """Return whether all runs are over the same samples of the same data, with the same labels."""
    used = [run.run.manifest["configuration"] for run in runs]
    if len({(one["data_fingerprint"], tuple(one["indices"])) for one in used}) > 1:
        return False
    return have_same_labels([run.run.records for run in runs])


def have_same_labels(parts: Sequence[Records]) -> bool:
    """Return whether each sample has the same label in all records.

    The fingerprint of data that are read item by item says nothing about their labels.
    """
    return not any(differences_of_samples(parts[0], other, None) for other in parts[1:])


def with_records(run: LabeledRun, records: Records) -> LabeledRun:
    """Return a run with the same label and other records."""
    return LabeledRun(run.label, replace(run.run, records=records))


def of_attacks(
    runs: Sequence[LabeledRun], attacks: Sequence[str], norm: Norm | None = None
) -> list[LabeledRun]:
    """Return the runs with the records of some attacks alone, without runs that have none of them.

    Args:
        runs: The runs.
        attacks: Names or specs of attacks; or `worst case` alone, the closest records of all.
        norm: The norm of the worst case; by default that of the attacks.

    Raises:
        InputError: If no run has an attack; the message lists the available attacks.
    """
    if list(attacks) == [WORST_CASE]:
        return [with_records(run, closest_records(run.run.records, norm)) for run in runs]
    found = [[_part(run, attack) for attack in attacks] for run in runs]
    for number, attack in enumerate(attacks):
        if runs and all(parts[number] is None for parts in found):
            of_attack(runs[0].run.records, attack)  # raises the error
    chosen = [{attacks_in(part)[0]: part for part in parts if part is not None} for parts in found]
    return [
        with_records(run, join_records(list(parts.values())))
        for run, parts in zip(runs, chosen, strict=True)
        if parts
    ]


def _labels(runs: Sequence[Evaluation]) -> list[str]:
    """Return short, distinct labels."""
    labels = short_names([_model(run) for run in runs])
    for more in (_data, _folder, _path):
        ends = map(more, runs)
        labels = longer(
            labels, [f"{label}, {end}" for label, end in zip(labels, ends, strict=True)]
        )
    if len(set(labels)) < len(labels):
        labels = [f"{label}, {number}" for number, label in enumerate(labels, 1)]
    return labels


def _check_labels(labels: Sequence[str], runs: int) -> None:
    """Check that labels are one for each run."""
    if len(labels) != runs:
        raise InputError(
            f"{counted(len(labels), 'label')} for {counted(runs, 'run')}: give one label for each "
            "run, in the order of the runs, or none."
        )
    for label, times in Counter(labels).items():
        if not label.strip():
            raise InputError("a label is empty: give a text for each run.")
        if times > 1:
            raise InputError(f"{times} runs have the label {label!r}: give each run its own.")


def _model(run: Evaluation) -> str:
    return str(run.manifest["configuration"]["model"]).removeprefix("zoo:")


def _data(run: Evaluation) -> str:
    return str(run.manifest["configuration"]["data"])


def _folder(run: Evaluation) -> str:
    return run.directory.name if run.directory is not None else "in memory"


def _path(run: Evaluation) -> str:
    return str(run.directory)


def _part(run: LabeledRun, attack: str) -> Records | None:
    """Return the records of an attack, `None` if the run does not have it."""
    records = run.run.records
    return of_attack(records, attack) if matching_attacks(records, attack) else None
