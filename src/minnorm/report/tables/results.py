"""The results of runs as one table of numbers, whatever form it is then written in."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from minnorm.errors import InputError
from minnorm.evaluation import (
    SCHEMA,
    WORST_CASE,
    Estimate,
    Records,
    Summary,
    breakdown,
    clean_accuracy,
    summarize,
)
from minnorm.evaluation.metrics import accuracies_at
from minnorm.evaluation.records import attacks_in, samples_in
from minnorm.geometry import Norm, check_norm
from minnorm.report.facts.classes import by_class, class_name
from minnorm.report.parts import attack_parts
from minnorm.report.runs import LabeledRun
from minnorm.report.tables.result_notes import (
    errors_among,
    heading,
    notes_on,
    notes_on_several,
)
from minnorm.report.texts import needs_gradients


@dataclass(frozen=True)
class ResultRow:
    """The results of an attack, or of the closest of all, on all samples of a run or some of them.

    Shares are from 0 to 1, distances in units of the inputs. Success, mean and median are over the
    correctly classified samples, accuracies over all, see `minnorm.evaluation.metrics`.

    Attributes:
        run: The label of the run.
        model: The name of its model.
        data: The name of its data.
        attack: The name of the row, see `minnorm.evaluation.breakdown`.
        samples: The number of samples.
        clean: The clean accuracy on them.
        summary: Success, distances and costs; with targets, over pairs of samples and targets.
        accuracies: The accuracy within each radius of the table; NaN where nothing is known, an
            `UpperBound` where the attack has not searched for the closest adversarials.
        label: The true class that the samples are of; `None` for all classes.
        target: The target class; `None` for all targets, or without targets.
        class_name: The name of the class or the target, its number as text if it is unknown; empty
            for all.
        needs_gradients: Whether one of its attacks is known to need gradients.
    """

    run: str
    model: str
    data: str
    attack: str
    samples: int
    clean: Estimate
    summary: Summary
    accuracies: tuple[Estimate, ...]
    label: int | None = None
    target: int | None = None
    class_name: str = ""
    needs_gradients: bool = False

    @property
    def clean_errors(self) -> int:
        """The number of samples that the model misclassifies before any attack."""
        return errors_among(self.samples, self.clean)

    @property
    def has_upper_bounds(self) -> bool:
        """Whether one of its numbers is only known to be at most that."""
        shown = (self.summary.mean, self.summary.median, *self.accuracies)
        return any(one.is_upper_bound for one in shown)


@dataclass(frozen=True)
class Results:
    """The results of one run or several.

    Attributes:
        rows: The rows.
        epsilons: The radii of the accuracies of each row.
        norms: The norms of the distances; a row has one of them.
        heading: The number of samples and the clean accuracy of a single run; empty for several.
        notes: What the numbers are over, and what they do not say.
    """

    rows: tuple[ResultRow, ...] = field(repr=False)
    epsilons: tuple[float, ...]
    norms: tuple[Norm, ...]
    heading: str
    notes: tuple[str, ...] = field(repr=False)


def results(
    runs: Sequence[LabeledRun],
    *,
    norm: Norm | None = None,
    epsilons: Sequence[float] = (),
    per_class: bool = False,
    per_target: bool = False,
) -> Results:
    """Return the results of one run or several.

    A run has a row for each attack, for the closest records of several attacks, and for the hardest
    and the closest target where samples have several, see `minnorm.evaluation.breakdown`.

    Args:
        runs: The runs, see `minnorm.report.load_runs`.
        norm: The norm of the distances; by default each attack's own.
        epsilons: Radii at which to measure the accuracy, in units of the inputs.
        per_class: Whether to add rows for each true class.
        per_target: Whether to add rows for each target class, in runs that have targets.

    Raises:
        InputError: If rows for targets are requested and no run has targets, or a run is
            incomplete, so that the closest records of all attacks are unknown.
    """
    norm = None if norm is None else check_norm(norm)
    rows: list[ResultRow] = []
    for run in runs:
        parts = run.parts(norm)
        rows += _rows(parts, norm, epsilons, run)
        if per_class:
            rows += _rows_of_classes(parts, "label", norm, epsilons, run)
        if per_target:
            rows += _rows_of_classes(attack_parts(run, norm), "target", norm, epsilons, run)
    if per_target and not any(row.target is not None for row in rows):
        raise InputError(
            "rows for targets need a run with targets, for example of minnorm evaluate "
            "--targets all: leave them out."
        )
    tables = [run.run.records for run in runs]
    found = _results(rows, tables, norm, epsilons)
    return replace(found, notes=(*found.notes, *notes_on_several(runs)))


def results_of_records(
    records: Records, *, norm: Norm | None = None, epsilons: Sequence[float] = ()
) -> Results:
    """Return the results of records that belong to no run; their rows name no run.

    Args:
        records: The records of one attack or several.
        norm: The norm of the distances; by default each attack's own.
        epsilons: Radii at which to measure the accuracy, in units of the inputs.
    """
    rows = _rows(breakdown(records, norm), norm, epsilons, None)
    return _results(rows, [records], norm, epsilons)


def empty_row(epsilons: Sequence[float]) -> ResultRow:
    """Return a row of no samples, whose parts are those of any other row.

    Args:
        epsilons: The radii of its accuracies.
    """
    return _row(SCHEMA.empty_table(), "", None, epsilons, None)


def _rows(
    parts: dict[str, Records], norm: Norm | None, epsilons: Sequence[float], run: LabeledRun | None
) -> list[ResultRow]:
    """Return a row for each part of a run."""
    needs = _needs(parts, run)
    return [
        _row(part, name, norm, epsilons, run, needs=needs[name]) for name, part in parts.items()
    ]


def _rows_of_classes(
    parts: dict[str, Records],
    column: Literal["label", "target"],
    norm: Norm | None,
    epsilons: Sequence[float],
    run: LabeledRun,
) -> Iterator[ResultRow]:
    """Return a row for each part of a run and each class in a column."""
    needs = _needs(parts, run)
    for name, part in parts.items():
        for number, records in by_class(part, column).items():
            row = _row(records, name, norm, epsilons, run, needs=needs[name])
            label, target = (number, None) if column == "label" else (None, number)
            yield replace(row, label=label, target=target, class_name=class_name(run, number))


def _row(
    records: Records,
    attack: str,
    norm: Norm | None,
    epsilons: Sequence[float],
    run: LabeledRun | None,
    *,
    needs: bool = False,
) -> ResultRow:
    summary = summarize(records, attack, norm)
    return ResultRow(
        run=run.label if run else "",
        model=run.model if run else "",
        data=run.data if run else "",
        attack=attack,
        samples=samples_in(records),
        clean=clean_accuracy(records),
        summary=summary,
        accuracies=accuracies_at(records, epsilons, summary.norm),
        needs_gradients=needs,
    )


def _needs(parts: dict[str, Records], run: LabeledRun | None) -> dict[str, bool]:
    """Return for each part whether one of its attacks is known to need gradients."""
    used = run.accesses if run else {}
    attacks = {one for part in parts.values() for one in attacks_in(part)}
    known = {
        one: used[one] == "gradients" if one in used else needs_gradients(one) for one in attacks
    }
    known[WORST_CASE] = any(known.values())
    return {name: any(known[one] for one in attacks_in(part)) for name, part in parts.items()}


def _results(
    rows: list[ResultRow],
    tables: Sequence[Records],
    norm: Norm | None,
    epsilons: Sequence[float],
) -> Results:
    norms = tuple(dict.fromkeys(row.summary.norm for row in rows)) or (norm or "l2",)
    limited = any(math.isfinite(row.summary.radius_limit) for row in rows)
    at_most = any(row.has_upper_bounds for row in rows)
    notes = notes_on(tables, norm, radii=bool(epsilons), limited=limited, at_most=at_most)
    title = heading(tables[0]) if len(tables) == 1 else ""
    return Results(tuple(rows), tuple(map(float, epsilons)), norms, title, tuple(notes))
