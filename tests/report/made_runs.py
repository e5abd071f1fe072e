"""Runs made by hand, of records or distances made by hand."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from evaluation.record_tables import table
from evaluation.small_runs import configuration
from minnorm.access import Access
from minnorm.attacks import ENTRIES
from minnorm.doubts import Doubt
from minnorm.evaluation import Evaluation, Records
from minnorm.evaluation.records import attacks_in, samples_in
from minnorm.evaluation.store.configuration import AttackEntry
from minnorm.report.runs import LabeledRun


def made_run(
    records: Records | Sequence[float] = (1.0, 2.0),
    *,
    directory: Path | None = None,
    classes: Sequence[str] = (),
    doubts: Sequence[Doubt] = (),
    sessions: Sequence[dict[str, Any]] = (),
    **changes: Any,
) -> Evaluation:
    """Return a run with these records or L2 distances, and changes of its configuration.

    The same position is the same sample; 0 is a misclassified one, infinity a failure.
    """
    records = records if isinstance(records, pa.Table) else table(records)
    norms = dict(zip(*(records.column(one).to_pylist() for one in ("attack", "norm")), strict=True))
    entries = [
        AttackEntry(name=one, spec=one, norm=norms[one], code="", access=_access(one))
        for one in attacks_in(records)
    ]
    given = {"indices": (0, samples_in(records), 1), "attacks": tuple(entries), **changes}
    manifest = {
        "run": "0" * 32,
        "configuration": configuration(**given).model_dump(mode="json"),
        "sessions": [*sessions],
        "doubts": [],
        "classes": [*classes],
    }
    return Evaluation(records, manifest, directory, tuple(doubts))


def _access(spec: str) -> Access:
    """Return what an attack uses of a model."""
    entry = ENTRIES.get(spec.partition("(")[0])
    return "gradients" if entry is None else entry.access


def shares(robust: int, count: int) -> list[float]:
    """Return distances of which so many are beyond 1."""
    return [2.0] * robust + [0.5] * (count - robust)


def attack_run(
    attacks: Mapping[str, Sequence[float]],
    *,
    norm: str = "l2",
    costs: Mapping[str, float] | None = None,
    limits: Mapping[str, float] | None = None,
    fixed: Mapping[str, str] | None = None,
    targets: Sequence[int] | None = None,
    **changes: Any,
) -> LabeledRun:
    """Return a run whose attacks, by their specs, have these L2 distances."""
    parts = [
        table(
            distances,
            attack=spec,
            norm=norm,
            targets=targets,
            indices=None if targets is None else [0] * len(distances),
            radius_limit=(limits or {}).get(spec),
            fixed_radii=(fixed or {}).get(spec),
            backwards=(costs or {}).get(spec, 100.0),
        )
        for spec, distances in attacks.items()
    ]
    return LabeledRun("it", made_run(pa.concat_tables(parts), **changes))


def with_column(run: LabeledRun, **columns: Sequence[Any]) -> LabeledRun:
    """Return a run whose records have other values in some columns."""
    records: Records = run.run.records
    for name, values in columns.items():
        place = records.schema.get_field_index(name)
        column = pa.array(np.asarray(values), type=records.schema.field(name).type)
        records = records.set_column(place, records.schema.field(name), column)
    return LabeledRun(
        run.label, Evaluation(records, run.run.manifest, run.run.directory, run.run.doubts)
    )
