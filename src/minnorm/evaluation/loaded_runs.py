"""The results of an evaluation, and those of a run that is read from its directory."""

import logging
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minnorm.doubts import Doubt
from minnorm.evaluation.manifest import Manifest
from minnorm.evaluation.metrics import clean_accuracy
from minnorm.evaluation.nan_doubts import doubts_about_nan
from minnorm.evaluation.records import Records, mark_incomplete, warn_if_incomplete
from minnorm.evaluation.run_directory import RunDirectory, changes_between
from minnorm.evaluation.unit_files import UnitFiles

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Evaluation:
    """The results of an evaluation.

    Attributes:
        records: One row for each (sample, attack, target), see `minnorm.evaluation.records`.
        manifest: Configuration, versions, hardware and revision; JSON values.
        directory: The run directory, if there is one.
        doubts: What makes the results doubtful, for example that the model has no gradients.
    """

    records: Records = field(repr=False)
    manifest: dict[str, Any] = field(repr=False)
    directory: Path | None
    doubts: tuple[Doubt, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """The texts of the doubts."""
        return tuple(doubt.text for doubt in self.doubts)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes by label, empty if they are unknown."""
        return tuple(self.manifest["classes"])

    def __repr__(self) -> str:
        """Return a summary: what was evaluated, and the clean accuracy."""
        run = self.manifest["configuration"]
        names = ", ".join(entry["name"] for entry in run["attacks"])
        count = len(self.records.column("index").unique())
        clean = 100 * clean_accuracy(self.records).value if count else math.nan
        warnings = f", warnings: {len(self.doubts)}" if self.doubts else ""
        return (
            f"Evaluation({run['model']} on {run['data']}: {count:,} samples, clean accuracy "
            f"{clean:.2f} %, attacks: {names}{warnings})"
        )


def load_run(path: str | Path) -> Evaluation:
    """Read a run directory; neither the model nor the data is needed.

    All files are compared with their checksums. If batches are missing, a warning says how many,
    here and in `warnings`, and metrics of the records warn too.

    Raises:
        InputError: If it is not a run directory, or a file in it is damaged or of another run; the
            message says what to do.
    """
    directory = RunDirectory(Path(path))
    manifest = directory.manifest()
    UnitFiles(directory.path, manifest).check_tensors()
    return finished_run(directory, manifest)


def finished_run(directory: RunDirectory, manifest: Manifest) -> Evaluation:
    """Return the results of a run whose adversarials and inputs are checked already.

    Raises:
        InputError: If a shard is damaged or of another run.
    """
    files = UnitFiles(directory.path, manifest)
    records = files.records()
    incomplete = files.missing_batches()
    if incomplete is not None:
        records = mark_incomplete(records, incomplete.text)
        warn_if_incomplete(records)
    found = (incomplete, files.missing_adversarials(), changes_between(manifest.sessions))
    doubts = tuple(doubt for doubt in found if doubt is not None)
    return evaluation_of(records, manifest, directory.path, doubts)


def evaluation_of(
    records: Records, manifest: Manifest, directory: Path | None, doubts: tuple[Doubt, ...] = ()
) -> Evaluation:
    """Return the results of an evaluation, with its doubts.

    Args:
        records: The records.
        manifest: The manifest of the run.
        directory: The run directory, if there is one.
        doubts: Further doubts, beside those of the manifest.
    """
    counted = doubts_about_nan(records)
    for doubt in counted:
        logger.warning("%s", doubt.text)
    return Evaluation(records, manifest.values(), directory, (*manifest.doubts, *doubts, *counted))
