"""Runs made by hand, of records made by hand."""

from pathlib import Path

from evaluation.record_tables import table
from evaluation.small_runs import configuration
from minnorm.evaluation import Evaluation, Records


def made_run(
    records: Records | None = None,
    *,
    model: str = "zoo:it",
    data: str = "mnist",
    directory: Path | None = None,
) -> Evaluation:
    """Return a run with these records."""
    described = configuration(model=model, data=data).model_dump(mode="json")
    manifest = {"configuration": described, "sessions": [], "warnings": []}
    return Evaluation(table([1.0, 2.0]) if records is None else records, manifest, directory)
