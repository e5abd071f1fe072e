"""The results of an evaluation, and those of a run that is read from its directory."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation.attack_doubts import doubts_about_attacks
from minnorm.evaluation.estimates import Array
from minnorm.evaluation.label_doubts import doubts_about_labels
from minnorm.evaluation.metrics import clean_accuracy
from minnorm.evaluation.mixtures import doubts_about_mixtures
from minnorm.evaluation.nan_doubts import doubts_about_nan
from minnorm.evaluation.records import Records, mark_incomplete, samples_in, warn_if_incomplete
from minnorm.evaluation.store.adversarials import Adversarials, choose_records, read_adversarials
from minnorm.evaluation.store.manifest import Manifest
from minnorm.evaluation.store.run_directory import RunDirectory, changes_between
from minnorm.evaluation.store.unit_files import UnitFiles
from minnorm.geometry import Norm


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

    def adversarials(
        self,
        attack: str,
        target: int | str | None = None,
        *,
        indices: Sequence[int] | Array | None = None,
        norm: Norm | None = None,
    ) -> Adversarials:
        """Read adversarials from the run directory, and the inputs that they were made from.

        Only the files that are needed are read; each is compared with its checksum.

        Args:
            attack: The attack, by its name or any form of its spec; or `WORST_CASE`, the closest
                over all attacks. Its records are those of the attack that came closest.
            target: The target class of targeted attacks, by its label or by its name, see
                `classes`. By default all targets.
            indices: Positions of samples in the whole data set, as in the records; the result has
                their order. By default all samples, in the order of the records; those of
                `WORST_CASE` are ordered by sample and target.
            norm: The norm of `WORST_CASE`; by default the one that all attacks minimize.

        Raises:
            InputError: If there are no such records, if the run has no directory or has kept no
                adversarials, or if a file is missing or damaged.
        """
        manifest, directory = self.origin()
        chosen = choose_records(
            self.records, attack, target, classes=self.classes, indices=indices, norm=norm
        )
        return read_adversarials(chosen, manifest, directory)

    def origin(self) -> tuple[Manifest, Path]:
        """Return the manifest and the run directory, from which adversarials are read.

        Raises:
            InputError: If the run has no directory.
        """
        if self.directory is None:
            raise InputError(
                "this evaluation has no run directory, so it has kept no adversarials, which may "
                "not fit into memory: give evaluate a folder for them, out='FOLDER'."
            )
        return Manifest.model_validate_json(json.dumps(self.manifest)), self.directory

    def __repr__(self) -> str:
        """Return a summary: what was evaluated, and the clean accuracy."""
        run = self.manifest["configuration"]
        names = ", ".join(entry["name"] for entry in run["attacks"])
        count = samples_in(self.records)
        clean = 100 * clean_accuracy(self.records).value if count else math.nan
        warnings = f", warnings: {len(self.doubts)}" if self.doubts else ""
        return (
            f"Evaluation({run['model']} on {run['data']}: {count:,} samples, clean accuracy "
            f"{clean:.2f} %, attacks: {names}{warnings})"
        )


def load_run(path: str | Path) -> Evaluation:
    """Read a run directory; neither the model nor the data is needed.

    The records are compared with their checksums; adversarials and inputs, which may be large, when
    they are read. If batches are missing, a warning says how many, here and in `warnings`, and
    metrics of the records warn too.

    Raises:
        InputError: If it is not a run directory, or records are damaged or of another run; the
            message says what to do.
    """
    directory = RunDirectory(Path(path))
    return finished_run(directory, directory.manifest())


def finished_run(directory: RunDirectory, manifest: Manifest) -> Evaluation:
    """Return the results of a run whose manifest is known.

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
        doubts: Further doubts, beside those of the manifest and of the records.
    """
    counted = doubts_about_records(records, manifest.classes)
    return Evaluation(records, manifest.values(), directory, (*manifest.doubts, *doubts, *counted))


def doubts_about_records(records: Records, classes: Sequence[str]) -> tuple[Doubt, ...]:
    """Return the doubts that are counted over the records of a whole run.

    Args:
        records: The records.
        classes: The names of the classes by label, empty if they are unknown.
    """
    return (
        *doubts_about_nan(records),
        *doubts_about_attacks(records),
        *doubts_about_labels(records, classes),
        *doubts_about_mixtures(records),
    )
