"""The run directory: a manifest, one Parquet shard for each finished unit, and the adversarials.

    manifest.json
    records/000012-01.parquet            batch 12, attack 1: its records
    adversarials/000012-01.safetensors   the same unit: indices, targets, adversarials

Each file is written atomically, the records of a unit last: once they exist, the unit is finished.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from torch import Tensor

from minnorm.errors import InputError, RunConflictError
from minnorm.evaluation.configuration import Configuration, OpenConfiguration
from minnorm.evaluation.manifest import Manifest, read_manifest
from minnorm.evaluation.records import SCHEMA, Records, join_records
from minnorm.files import (
    LOCK,
    lock_folder,
    remove_partial_files,
    write_atomically,
    write_tensors,
)


class Unit(NamedTuple):
    """The unit of work: one attack on one batch, with all its targets."""

    batch: int
    attack: int

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.batch:06d}-{self.attack:02d}"


class RunDirectory:
    """A run on disk.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._records = path / "records"
        self._adversarials = path / "adversarials"
        self._manifest = path / "manifest.json"
        self._lock = FileLock(path / LOCK, timeout=0)

    def claim(
        self, configuration: Configuration, warnings: Sequence[str], session: Mapping[str, Any]
    ) -> None:
        """Create the directory of a run, or open that of an interrupted run, and lock it.

        Args:
            configuration: What determines the records.
            warnings: What a reader of the records should know.
            session: A description of this process, which is added to the manifest.

        Raises:
            RunConflictError: If the directory holds something else, or a run of another
                configuration (the message names what differs), or another process works in it.
            InputError: If its manifest is damaged or of another version.
        """
        if not self._manifest.exists():
            self._check_unused()
        lock_folder(self._lock, self.path)
        self.interrupted(configuration)
        previous = self.manifest() if self._manifest.exists() else None
        remove_partial_files(self.path, self._records, self._adversarials)
        self._remove_unfinished_adversarials()
        # Without records, a run of another configuration is replaced.
        same = previous is not None and not previous.configuration.differences(configuration)
        manifest = Manifest(
            configuration=configuration,
            warnings=tuple(warnings),
            sessions=(*(previous.sessions if previous is not None and same else ()), dict(session)),
        )
        write_atomically(self._manifest, lambda path: path.write_text(manifest.text()))
        for folder in (self._records, self._adversarials):
            folder.mkdir(exist_ok=True)

    def release(self) -> None:
        """Unlock the directory; does nothing if it is not locked."""
        self._lock.release()

    def interrupted(self, known: OpenConfiguration) -> Configuration | None:
        """Return the configuration of the run that was interrupted here, `None` if there is none.

        Args:
            known: What is known of the configuration of the run that is to continue it.

        Raises:
            RunConflictError: If the two differ.
            InputError: If the manifest is damaged or of another version.
        """
        if not self._manifest.exists() or not any(self._records.glob("*.parquet")):
            return None
        configuration = self.manifest().configuration
        if differences := configuration.differences(known):
            raise RunConflictError(
                f"{self.path} holds a run of another configuration, which is never mixed with this "
                "one:\n  " + "\n  ".join(differences) + "\nName another folder, or repeat the "
                "command that started the run."
            )
        return configuration

    def manifest(self) -> Manifest:
        """Read the manifest.

        Raises:
            InputError: If it is missing, damaged or of another version.
        """
        if not self._manifest.exists():
            runs = sorted(str(path.parent) for path in self.path.glob("*/manifest.json"))
            hint = f" Run directories in it: {', '.join(runs)}." if runs else ""
            raise InputError(f"{self.path} is not a run directory: it has no manifest.json.{hint}")
        return read_manifest(self._manifest)

    def finished(self) -> set[Unit]:
        """Return the units whose records exist, each of which is read to check it.

        In a run that keeps its adversarials, a unit without them is not finished.

        Raises:
            InputError: If a shard is damaged; the message says which, and what to do.
        """
        units = {unit for unit, _ in self._shards()}
        if not self.manifest().configuration.save_adversarials:
            return units
        return {unit for unit in units if self._file_of_adversarials(unit).exists()}

    def save(self, unit: Unit, records: Records, adversarials: dict[str, Tensor] | None) -> None:
        """Write the results of a unit; it is finished when this returns."""
        if adversarials is not None:
            tensors = {name: value.cpu().contiguous() for name, value in adversarials.items()}
            write_tensors(self._file_of_adversarials(unit), tensors)
        write_atomically(
            self._records / f"{unit.name}.parquet",
            lambda path: pq.write_table(records, path, write_page_checksum=True),
        )

    def records(self) -> Records:
        """Read all records, attack by attack, in the order of the data.

        Raises:
            InputError: If a shard is damaged.
        """
        shards = sorted(self._shards(), key=lambda shard: (shard[0].attack, shard[0].batch))
        return join_records([records for _, records in shards])

    def _check_unused(self) -> None:
        """Refuse a path that is in use; ignore the files of a run that was killed at its start."""
        if self.path.is_dir():
            foreign = [
                path
                for path in self.path.iterdir()
                if path.name != LOCK and not path.match(".manifest.*.tmp")
            ]
        else:
            foreign = [self.path] if self.path.exists() else []
        if foreign:
            raise RunConflictError(
                f"{self.path} exists and is not a run directory: name a new or empty folder."
            )

    def _remove_unfinished_adversarials(self) -> None:
        for path in self._adversarials.glob("*.safetensors"):
            if not (self._records / f"{path.stem}.parquet").exists():
                path.unlink()

    def _file_of_adversarials(self, unit: Unit) -> Path:
        return self._adversarials / f"{unit.name}.safetensors"

    def _shards(self) -> Iterator[tuple[Unit, Records]]:
        """Read all shards."""
        for path in self._records.glob("*.parquet"):
            match = re.fullmatch(r"(\d+)-(\d+)", path.stem)
            if match is None:
                raise InputError(f"{path} does not belong in a run directory: move it away.")
            yield Unit(int(match[1]), int(match[2])), _read_shard(path)


def _read_shard(path: Path) -> Records:
    try:
        records = pq.read_table(path, page_checksum_verification=True)
        matches = records.schema.equals(SCHEMA)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"the shard {path} is damaged ({error}). Delete it and run the same command again: "
            "only its samples are attacked again."
        ) from error
    if not matches:
        raise InputError(f"the shard {path} has other columns than records have: move it away.")
    return records
