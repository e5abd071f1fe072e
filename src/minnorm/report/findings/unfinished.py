"""Unfinished runs: the part that can be reported, which is of the samples that all attacks have."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from minnorm.evaluation.records import samples_in
from minnorm.evaluation.selection import values_of
from minnorm.report.runs import LabeledRun, with_records
from minnorm.report.texts import counted


def of_common_samples(runs: Sequence[LabeledRun]) -> tuple[list[LabeledRun], list[str]]:
    """Return the runs, of each only the samples that all its attacks have records of.

    The closest over part of the attacks would be misleading. A finished run stays as it is.

    Args:
        runs: The runs.

    Returns:
        The runs, and a remark on each one that lost records.
    """
    found, remarks = [], []
    for run in runs:
        part = _of_common_samples(run)
        lost = len(run.run.records) - len(part.run.records)
        if lost:
            samples = samples_in(part.run.records)
            remarks.append(
                f"{run.label} is not finished: its numbers are of {counted(samples, 'sample')} "
                f"that all attacks have been run on, and {counted(lost, 'record')} of other "
                "samples are left out."
            )
        found.append(part if lost else run)
    return found, remarks


def _of_common_samples(run: LabeledRun) -> LabeledRun:
    records = run.run.records
    if not any(doubt.kind == "incomplete" for doubt in run.run.doubts):
        return run
    attacks, attack = np.unique(records.column("attack").to_pylist(), return_inverse=True)
    indices, index = np.unique(values_of(records, "index"), return_inverse=True)
    has = np.zeros((len(indices), len(attacks)), dtype=bool)
    has[index, attack] = True
    common = pc.is_in(records.column("index"), value_set=pa.array(indices[has.all(axis=1)]))
    return with_records(run, records.filter(common))
