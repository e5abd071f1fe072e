"""The files of the units of a run, with their checksums.

The checksums of a unit are bound to the run: to its manifest, the batch and the attack. So a file
that was damaged, or copied from another unit or another run, is noticed.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import Tensor

from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation.manifest import Manifest
from minnorm.evaluation.records import Records, join_records
from minnorm.files import file_sha256, write_content, write_tensors

RECORDS, ADVERSARIALS, CHECKSUMS = "records", "adversarials", "checksums"
"""The folders of a run directory."""

_ENDINGS = {RECORDS: ".parquet", ADVERSARIALS: ".safetensors", CHECKSUMS: ".json"}
FOLDERS = tuple(_ENDINGS)

_ADVICE = (
    "Delete it, or move it away, and run the same command again: only its samples are attacked "
    "again."
)


class Unit(NamedTuple):
    """The unit of work: one attack on one batch, with all its targets."""

    batch: int
    attack: int

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.batch:06d}-{self.attack:02d}"


class Checksums(BaseModel):
    """The checksums of a unit, a file of their own.

    Attributes:
        unit: The identity of the unit, see `identity`.
        records: The SHA-256 of its records.
        adversarials: The SHA-256 of its adversarials; `None` if they are not kept.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    unit: str
    records: str
    adversarials: str | None


def identity(manifest: Manifest, unit: Unit) -> str:
    """Return a hash of the run, its configuration, and the batch and the attack of a unit.

    The other attacks of the run are left out, since attacks can be added to it.
    """
    configuration = manifest.configuration.model_dump(mode="json")
    attacks = configuration.pop("attacks")
    content = [manifest.run, configuration, unit.batch, attacks[unit.attack]]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


class UnitFiles:
    """The files of the units of a run.

    Args:
        path: The run directory.
        manifest: The manifest of the run.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path = path
        self._manifest = manifest

    def save(self, unit: Unit, records: Records, adversarials: dict[str, Tensor] | None) -> None:
        """Write the results of a unit; it is finished when this returns."""
        # The records come last: once they exist, the unit is finished.
        self._file(RECORDS, unit).unlink(missing_ok=True)
        stored = None
        if adversarials is not None:
            tensors = {name: value.cpu().contiguous() for name, value in adversarials.items()}
            stored = write_tensors(self._file(ADVERSARIALS, unit), tensors)
        buffer = pa.BufferOutputStream()
        pq.write_table(records, buffer)
        content = buffer.getvalue().to_pybytes()
        checksums = Checksums(
            unit=identity(self._manifest, unit),
            records=hashlib.sha256(content).hexdigest(),
            adversarials=stored,
        )
        write_content(self._file(CHECKSUMS, unit), checksums.model_dump_json().encode())
        write_content(self._file(RECORDS, unit), content)

    def finished(self) -> set[Unit]:
        """Return the units that are finished, after a check of all their files.

        In a run that keeps its adversarials, a unit without them is not finished.

        Raises:
            InputError: If a file is damaged or not of this run; the message says what to do.
        """
        self.check_adversarials()
        units = {unit for unit, _ in self._shards()}
        if not self._manifest.configuration.save_adversarials:
            return units
        return {unit for unit in units if self._file(ADVERSARIALS, unit).exists()}

    def records(self) -> Records:
        """Read and check all records, attack by attack, in the order of the data.

        Raises:
            InputError: If a shard is damaged or not of this run.
        """
        shards = sorted(self._shards(), key=lambda shard: (shard[0].attack, shard[0].batch))
        return join_records([pq.read_table(pa.BufferReader(content)) for _, content in shards])

    def check_adversarials(self) -> None:
        """Check the adversarials of all finished units; do not require that they exist.

        Raises:
            InputError: If a file is damaged or not of this run.
        """
        for unit in self._units(ADVERSARIALS):
            path = self._file(ADVERSARIALS, unit)
            # Without records the unit is not finished, and its files will be replaced.
            finished = self._file(RECORDS, unit).exists()
            if finished and _sha256(path) != self._checksums(unit, path).adversarials:
                raise _damaged(path, "its SHA-256 differs")

    def missing_batches(self) -> Doubt | None:
        """Return a doubt if batches are missing, `None` if the run is complete."""
        found = list(self._units(RECORDS))
        total = self._manifest.batches
        lacking = []
        for number, attack in enumerate(self._manifest.configuration.attacks):
            missing = total - sum(unit.attack == number for unit in found)
            if missing:
                lacking.append(f"{missing} of {total} batches of {attack.name}")
        if not lacking:
            return None
        return Doubt(
            "incomplete",
            f"The run in {self._path} is incomplete: {', '.join(lacking)} are missing. Figures are "
            "of the other samples only. Repeat the command that started the run to finish it.",
        )

    def missing_adversarials(self) -> Doubt | None:
        """Return a doubt if adversarials are missing that the run should have kept."""
        if not self._manifest.configuration.save_adversarials:
            return None
        found = set(self._units(RECORDS))
        missing = len(found - set(self._units(ADVERSARIALS)))
        if not missing:
            return None
        return Doubt(
            "missing-adversarials",
            f"The adversarials of {missing} of {len(found)} batches in {self._path} are missing.",
        )

    def _shards(self) -> Iterator[tuple[Unit, bytes]]:
        """Return the contents of all shards, checked."""
        for unit in self._units(RECORDS):
            path = self._file(RECORDS, unit)
            content = _content(path)
            if hashlib.sha256(content).hexdigest() != self._checksums(unit, path).records:
                raise _damaged(path, "its SHA-256 differs")
            yield unit, content

    def _units(self, folder: str) -> Iterator[Unit]:
        """Return the units that have a file in a folder.

        Raises:
            InputError: If a file there has another name.
        """
        attacks = len(self._manifest.configuration.attacks)
        for path in sorted((self._path / folder).glob(f"*{_ENDINGS[folder]}")):
            match = re.fullmatch(r"(\d+)-(\d+)", path.stem)
            unit = Unit(int(match[1]), int(match[2])) if match else Unit(-1, -1)
            belongs = unit.name == path.stem and unit.batch < self._manifest.batches
            if not belongs or unit.attack >= attacks:
                raise InputError(f"{path} does not belong to the run in this folder: move it away.")
            yield unit

    def _checksums(self, unit: Unit, path: Path) -> Checksums:
        """Return the checksums of a unit, for a check of one of its files."""
        file = self._file(CHECKSUMS, unit)
        try:
            found = Checksums.model_validate_json(file.read_bytes())
        except FileNotFoundError as error:
            raise _damaged(path, f"its checksums, {file}, are missing") from error
        except OSError as error:
            raise _unreadable(file, error) from error
        except ValidationError as error:
            raise _damaged(path, f"its checksums, {file}, are damaged") from error
        if found.unit != identity(self._manifest, unit):
            raise _damaged(path, "its checksums are of another run, or manifest.json was changed")
        return found

    def _file(self, folder: str, unit: Unit) -> Path:
        return self._path / folder / f"{unit.name}{_ENDINGS[folder]}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _unreadable(path, error) from error


def _sha256(path: Path) -> str:
    try:
        return file_sha256(path)
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror}. {_ADVICE}")


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is damaged or not of this run ({problem}). {_ADVICE}")
