"""Runs of several attacks with given distances."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from evaluation.record_tables import table
from evaluation.small_runs import configuration
from minnorm.doubts import Doubt
from minnorm.evaluation import Evaluation, Records
from minnorm.evaluation.configuration import AttackEntry
from minnorm.report.runs import LabeledRun


def attack_run(
    attacks: Mapping[str, Sequence[float]],
    *,
    norm: str = "l2",
    costs: Mapping[str, float] | None = None,
    limits: Mapping[str, float] | None = None,
    targets: Sequence[int] | None = None,
    doubts: Sequence[Doubt] = (),
    classes: Sequence[str] = (),
    **changes: Any,
) -> LabeledRun:
    """Return a run whose attacks, by their specs, have these L2 distances.

    The same position is the same sample; 0 is a misclassified one, infinity a failure.
    """
    parts = [
        table(
            distances,
            attack=spec,
            norm=norm,
            targets=targets,
            indices=None if targets is None else [0] * len(distances),
            radius_limit=(limits or {}).get(spec),
            backwards=(costs or {}).get(spec, 100.0),
        )
        for spec, distances in attacks.items()
    ]
    entries = tuple(AttackEntry(name=spec, spec=spec, norm=norm, code="") for spec in attacks)
    described = configuration(attacks=entries, **changes).model_dump(mode="json")
    manifest = {"configuration": described, "sessions": [], "doubts": [], "classes": [*classes]}
    return LabeledRun("it", Evaluation(pa.concat_tables(parts), manifest, None, tuple(doubts)))


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
