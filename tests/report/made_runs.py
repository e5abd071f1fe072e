"""Runs made by hand, of records made by hand."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evaluation.record_tables import table
from evaluation.small_runs import configuration
from minnorm.evaluation import Evaluation, Records


def made_run(
    records: Records | None = None,
    *,
    model: str = "zoo:it",
    data: str = "mnist",
    directory: Path | None = None,
    classes: Sequence[str] = (),
    **changes: Any,
) -> Evaluation:
    """Return a run with these records, and changes of its configuration."""
    described = configuration(model=model, data=data, **changes).model_dump(mode="json")
    manifest = {
        "run": "0" * 32,
        "configuration": described,
        "sessions": [],
        "doubts": [],
        "classes": [*classes],
    }
    return Evaluation(table([1.0, 2.0]) if records is None else records, manifest, directory)
