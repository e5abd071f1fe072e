"""The files of the units of a run, with their checksums.

The checksums of a unit are bound to the run: to its manifest, the batch and the attack. So a file
that was damaged, or copied from another unit or another run, is noticed.
"""

import hashlib
import logging
import os
import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError
from safetensors.torch import load, save
from torch import Tensor

from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation.records import Records, join_records, with_all_columns
from minnorm.evaluation.store.manifest import Manifest
from minnorm.evaluation.store.units import Checksums, Unit, batch_name, identity
from minnorm.files import file_sha256, write_content

RECORDS, ADVERSARIALS, INPUTS, CHECKSUMS = "records", "adversarials", "inputs", "checksums"
"""The folders of a run directory."""

_ENDINGS = {
    RECORDS: ".parquet",
    ADVERSARIALS: ".safetensors",
    INPUTS: ".safetensors",
    CHECKSUMS: ".json",
}
FOLDERS = tuple(_ENDINGS)

_LISTINGS = 90
"""How often to look for files of other machines: NFS remembers for 60 s what a folder held."""

_SECONDS_BETWEEN = 1.0
"""The time between two listings."""

_ADVICE = (
    "Delete it, or move it away, and run the same command again: only its samples are attacked "
    "again."
)

logger = logging.getLogger(__name__)


class Kept(NamedTuple):
    """The tensors of a unit that a run keeps, as its files hold them.

    Attributes:
        adversarials: `index` `[b]`, `adversarials` `[t b *d]` and, if targeted, `targets` `[t b]`.
        inputs: `index` `[b]` and `inputs` `[b *d]`, the same for all units of a batch.
    """

    adversarials: Mapping[str, Tensor]
    inputs: Mapping[str, Tensor]


class UnitFiles:
    """The files of the units of a run.

    Args:
        path: The run directory.
        manifest: The manifest of the run.
    """

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self._path = path
        self._manifest = manifest

    def save(self, unit: Unit, records: Records, kept: Kept | None) -> None:
        """Write the results of a unit; it is finished when this returns.

        Raises:
            InputError: If the inputs are not those of a finished unit of the batch.
        """
        # The records come last: once they exist, the unit is finished.
        self._file(RECORDS, unit).unlink(missing_ok=True)
        inputs = adversarials = None
        if kept is not None:
            inputs = self._save_inputs(unit.batch, kept.inputs)
            content = _safetensors(kept.adversarials)
            adversarials = write_content(self._file(ADVERSARIALS, unit), content)
        buffer = pa.BufferOutputStream()
        pq.write_table(records, buffer)
        content = buffer.getvalue().to_pybytes()
        checksums = Checksums(
            unit=identity(self._manifest, unit),
            records=hashlib.sha256(content).hexdigest(),
            adversarials=adversarials,
            inputs=inputs,
        )
        write_content(self._file(CHECKSUMS, unit), checksums.model_dump_json().encode())
        write_content(self._file(RECORDS, unit), content)

    def finished(self) -> set[Unit]:
        """Return the units that are finished, after a check of all their files.

        In a run that keeps its adversarials, a unit without them or without its inputs is not
        finished.

        Raises:
            InputError: If a file is damaged or not of this run; the message says what to do.
        """
        self._check_tensors()
        units = {unit for unit, _ in self._shards()}
        if not self._manifest.configuration.save_adversarials:
            return units
        return {
            unit
            for unit in units
            if self._file(ADVERSARIALS, unit).exists() and self._file(INPUTS, unit).exists()
        }

    def records(self) -> Records:
        """Read and check all records, attack by attack, in the order of the data.

        Raises:
            InputError: If a shard is damaged or not of this run.
        """
        shards = sorted(self._shards(), key=lambda shard: (shard[0].attack, shard[0].batch))
        return join_records([_table(content) for _, content in shards])

    def read(self, unit: Unit) -> Kept:
        """Read and check the tensors of a finished unit.

        Raises:
            InputError: If a file is missing, damaged or not of this run.
        """
        parts = {}
        for folder in (ADVERSARIALS, INPUTS):
            path = self._file(folder, unit)
            if not os.path.lexists(path):
                raise InputError(
                    f"{path} is missing: repeat the command that started the run, which attacks "
                    "only its samples again."
                )
            content = _content(path)
            self._check(unit, folder, hashlib.sha256(content).hexdigest())
            parts[folder] = load(content)
        return Kept(adversarials=parts[ADVERSARIALS], inputs=parts[INPUTS])

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
        """Return a doubt if adversarials or inputs are missing that the run should have kept."""
        if not self._manifest.configuration.save_adversarials:
            return None
        units = set(self._units(RECORDS))
        batches = {unit.batch for unit in units}
        counts = {
            "adversarials": (len(units - set(self._units(ADVERSARIALS))), len(units)),
            "inputs": (len(batches - self._batches()), len(batches)),
        }
        parts = [
            f"the {name} of {missing} of {total} batches"
            for name, (missing, total) in counts.items()
            if missing
        ]
        if not parts:
            return None
        text = f"{' and '.join(parts)} in {self._path} are missing."
        return Doubt("missing-adversarials", text[0].upper() + text[1:])

    def _check_tensors(self) -> None:
        """Check adversarials and inputs of all finished units; do not require that they exist."""
        # Without records a unit is not finished, and its files will be replaced.
        finished = set(self._units(RECORDS))
        for unit in self._units(ADVERSARIALS):
            if unit in finished:
                self._check(unit, ADVERSARIALS, _sha256(self._file(ADVERSARIALS, unit)))
        digests = {
            batch: _sha256(self._file(INPUTS, Unit(batch, 0)))
            for batch in sorted(self._batches() & {unit.batch for unit in finished})
        }
        for unit in sorted(finished):
            if unit.batch in digests:
                self._check(unit, INPUTS, digests[unit.batch])

    def wait_until_visible(self) -> None:
        """Wait until this machine sees the files of all units, which other ranks have written.

        It ends after some time in any case; what is not visible then is missing.
        """
        for listing in range(_LISTINGS):
            if self.missing_batches() is None and self.missing_adversarials() is None:
                return
            if listing == 0:
                logger.warning("waiting for the files of other machines in %s", self._path)
            time.sleep(_SECONDS_BETWEEN)

    def _save_inputs(self, batch: int, inputs: Mapping[str, Tensor]) -> str:
        """Write the inputs of a batch, unless finished units of it have them already.

        Returns:
            The SHA-256 of the file.
        """
        path = self._file(INPUTS, Unit(batch, 0))
        content = _safetensors(inputs)
        attacks = range(len(self._manifest.configuration.attacks))
        finished = any(self._file(RECORDS, Unit(batch, attack)).exists() for attack in attacks)
        if not (finished and path.exists()):
            return write_content(path, content)
        before = _content(path)
        if before != content and not _equal(load(before), load(content)):
            raise InputError(
                f"the inputs of batch {batch} are not those in {path}, which other attacks got: "
                "the data have changed, or another version of a library reads them differently. "
                "Name another folder for a new run."
            )
        return hashlib.sha256(before).hexdigest()

    def _shards(self) -> Iterator[tuple[Unit, bytes]]:
        """Return the contents of all shards, checked."""
        for unit in self._units(RECORDS):
            content = _content(self._file(RECORDS, unit))
            self._check(unit, RECORDS, hashlib.sha256(content).hexdigest())
            yield unit, content

    def _units(self, folder: str) -> Iterator[Unit]:
        """Return the units that have a file in a folder.

        Raises:
            InputError: If a file there has another name.
        """
        attacks = len(self._manifest.configuration.attacks)
        for stem in self._stems(folder):
            match = re.fullmatch(r"(\d+)-(\d+)", stem)
            unit = Unit(int(match[1]), int(match[2])) if match else Unit(-1, -1)
            belongs = unit.name == stem and unit.batch < self._manifest.batches
            if not belongs or unit.attack >= attacks:
                raise _foreign(self._path / folder / f"{stem}{_ENDINGS[folder]}")
            yield unit

    def _batches(self) -> set[int]:
        """Return the batches whose inputs there are.

        Raises:
            InputError: If a file in the folder of the inputs has another name.
        """
        found = set()
        for stem in self._stems(INPUTS):
            batch = int(stem) if re.fullmatch(r"\d+", stem) else -1
            if batch_name(batch) != stem or batch >= self._manifest.batches:
                raise _foreign(self._path / INPUTS / f"{stem}{_ENDINGS[INPUTS]}")
            found.add(batch)
        return found

    def _stems(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, without their ending."""
        place = self._path / folder
        if not place.is_dir():
            return []
        with os.scandir(place) as entries:
            names = [entry.name for entry in entries if entry.name.endswith(_ENDINGS[folder])]
        return sorted(name.removesuffix(_ENDINGS[folder]) for name in names)

    def _check(self, unit: Unit, folder: str, digest: str) -> None:
        """Compare the SHA-256 of a file of a unit with its checksums, or raise `InputError`."""
        path = self._file(folder, unit)
        if getattr(self._checksums(unit, path), folder) != digest:
            raise _damaged(path, "its SHA-256 differs")

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
        name = batch_name(unit.batch) if folder == INPUTS else unit.name
        return self._path / folder / f"{name}{_ENDINGS[folder]}"


def _table(content: bytes) -> Records:
    """Return the records in a shard; threads, or a data set of one file, would only take time."""
    return with_all_columns(pq.ParquetFile(pa.BufferReader(content)).read(use_threads=False))


def _safetensors(tensors: Mapping[str, Tensor]) -> bytes:
    return save({name: value.cpu().contiguous() for name, value in tensors.items()})


def _equal(some: Mapping[str, Tensor], others: Mapping[str, Tensor]) -> bool:
    return some.keys() == others.keys() and all(some[name].equal(others[name]) for name in some)


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


def _foreign(path: Path) -> InputError:
    return InputError(f"{path} does not belong to the run in this folder: move it away.")


def _unreadable(path: Path, error: OSError) -> InputError:
    return InputError(f"{path} cannot be read: {error.strerror}. {_ADVICE}")


def _damaged(path: Path, problem: str) -> InputError:
    return InputError(f"{path} is damaged or not of this run ({problem}). {_ADVICE}")
