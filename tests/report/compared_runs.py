"""Runs to compare, made by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from evaluation.record_tables import table
from evaluation.small_runs import configuration
from minnorm.doubts import Doubt
from minnorm.evaluation import Evaluation, Records
from minnorm.evaluation.configuration import AttackEntry


def run_of(
    distances: Sequence[float] | Records,
    *,
    doubts: tuple[Doubt, ...] = (),
    directory: Path | None = None,
    sessions: Sequence[dict[str, Any]] = (),
    **changes: Any,
) -> Evaluation:
    """Return a run with these L2 distances, or records; 0 is misclassified, inf a failure."""
    records = distances if isinstance(distances, pa.Table) else table(distances)
    count = len(records.column("index").unique())
    names = records.column("attack").unique().to_pylist()
    given = {
        "indices": (0, count, 1),
        "attacks": tuple(AttackEntry(name=name, spec=name, norm="l2", code="") for name in names),
        **changes,
    }
    manifest = {
        "configuration": configuration(**given).model_dump(mode="json"),
        "classes": ["zero", "one"],
        "sessions": list(sessions),
    }
    return Evaluation(records, manifest, directory, doubts)
