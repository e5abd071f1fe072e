"""The run directory: a manifest, one Parquet shard for each finished unit, and the adversarials.

    manifest.json
    records/000012-01.parquet            batch 12, attack 1: its records
    adversarials/000012-01.safetensors   the same unit: indices, targets, adversarials

Each file appears whole or not at all, a unit's records last: where they are, the unit is finished.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from filelock import FileLock
from torch import Tensor

from minnorm import runtime
from minnorm.evaluation.records import SCHEMA, Records, join_records
from minnorm.files import LOCK, sweep, take, write_tensors, write_whole

_FOLDERS = ("records", "adversarials")

FORMAT = 2
"""Version of this layout; a directory of another version is refused."""


class Unit(NamedTuple):
    """What is done at a time: one attack on one batch, with all its targets."""

    batch: int
    attack: int

    @property
    def name(self) -> str:
        """The stem of its files."""
        return f"{self.batch:06d}-{self.attack:02d}"


def make_manifest(
    configuration: dict[str, Any],
    warnings: Sequence[str],
    device: torch.device,
    acceleration: Sequence[str],
    sessions: Sequence[dict[str, Any]] = (),
) -> dict[str, Any]:
    """Gives what is said of a run beside its records; JSON values.

    Args:
        configuration: What decides the records.
        warnings: What whoever reads the records should know.
        device: The device that is used, for the description of the hardware.
        acceleration: Why the model was accelerated as it was.
        sessions: What worked on the run before; this process is another one.
    """
    session = {"acceleration": list(acceleration), **runtime.session(device)}
    return {
        "format": FORMAT,
        "configuration": configuration,
        "warnings": list(warnings),
        "sessions": [*sessions, session],
    }


class RunDirectory:
    """A run on disk.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK, timeout=0)

    @property
    def _manifest(self) -> Path:
        return self.path / "manifest.json"

    def claim(
        self,
        configuration: dict[str, Any],
        warnings: Sequence[str],
        device: torch.device,
        acceleration: Sequence[str] = (),
    ) -> None:
        """Makes the directory for a run, or opens the one of an interrupted run.

        It is this process's own until `release`.

        Args:
            configuration: What decides the records; JSON values.
            warnings: What whoever reads the records should know.
            device: The device that is used, for the description of the hardware.
            acceleration: Why the model was accelerated as it was.

        Raises:
            ValueError: If the directory holds something else, or a run of another configuration
                (the message names what differs), or another process is at work in it.
        """
        self._acquire()
        begun = self.manifest() if self._manifest.exists() else None
        if there := self.begun():
            _refuse_differences(self.path, there, configuration)
        sweep(self.path, *(self.path / name for name in _FOLDERS))
        for adversarials in (self.path / "adversarials").glob("*.safetensors"):
            if not (self.path / "records" / f"{adversarials.stem}.parquet").exists():
                adversarials.unlink()
        same = begun is not None and not _differences(begun["configuration"], configuration)
        sessions = begun["sessions"] if begun is not None and same else []
        manifest = make_manifest(configuration, warnings, device, acceleration, sessions)
        text = json.dumps(manifest, indent=2) + "\n"
        write_whole(self._manifest, lambda path: path.write_text(text))
        for folder in _FOLDERS:
            (self.path / folder).mkdir(exist_ok=True)

    def begun(self, known: dict[str, Any] | None = None) -> dict[str, Any]:
        """Gives the configuration of the run that was begun here; empty where there is none.

        Args:
            known: What is known of the configuration of the run that shall go on.

        Raises:
            ValueError: If its manifest is damaged or of another version, or it differs in what is
                known.
        """
        if not self._manifest.exists() or not any((self.path / "records").glob("*.parquet")):
            return {}
        configuration: dict[str, Any] = self.manifest()["configuration"]
        if known is not None:
            there = {name: configuration.get(name) for name in known}
            _refuse_differences(self.path, there, known)
        return configuration

    def release(self) -> None:
        """Lets other processes work in the directory; nothing happens when it was not claimed."""
        self._lock.release()

    def _acquire(self) -> None:
        if not self._manifest.exists():
            self._refuse_foreign()
        take(self._lock, self.path)

    def manifest(self) -> dict[str, Any]:
        """Reads the manifest.

        Raises:
            ValueError: If it is missing, damaged or of another version.
        """
        if not self._manifest.exists():
            inside = sorted(str(path.parent) for path in self.path.glob("*/manifest.json"))
            hint = f" There are run directories in it: {', '.join(inside)}." if inside else ""
            raise ValueError(f"{self.path} is not a run directory: it has no manifest.json.{hint}")
        try:
            manifest = json.loads(self._manifest.read_text())
        except ValueError as error:
            raise ValueError(f"{self._manifest} is damaged: {error}") from error
        if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
            raise ValueError(
                f"{self._manifest} is not of format {FORMAT}, the one read here; another version "
                "of minnorm wrote it. Name another folder, or delete this one."
            )
        parts = {"configuration": dict, "warnings": list, "sessions": list}
        if not all(isinstance(manifest.get(name), kind) for name, kind in parts.items()):
            raise ValueError(f"{self._manifest} is damaged: it says nothing of the run.")
        return manifest

    def _refuse_foreign(self) -> None:
        """Refuses a path that is in use, but for what a run leaves that is killed as it begins."""
        if self.path.is_dir():
            foreign = [
                path
                for path in self.path.iterdir()
                if path.name != LOCK and not path.match(".manifest.*.tmp")
            ]
        else:
            foreign = [self.path] if self.path.exists() else []
        if foreign:
            raise ValueError(
                f"{self.path} exists and is not a run directory: name a new or empty folder."
            )

    def finished(self) -> set[Unit]:
        """Gives the units whose records are there, each checked to be readable.

        Where the adversarials are to be kept, a unit without them is not finished.

        Raises:
            ValueError: If a shard is damaged; the message says which, and what to do.
        """
        units = {unit for unit, _ in self._shards()}
        if not self.manifest()["configuration"].get("save_adversarials", False):
            return units
        folder = self.path / "adversarials"
        return {unit for unit in units if (folder / f"{unit.name}.safetensors").exists()}

    def _shards(self) -> Iterator[tuple[Unit, Records]]:
        """Reads all shards."""
        for path in (self.path / "records").glob("*.parquet"):
            match = re.fullmatch(r"(\d+)-(\d+)", path.stem)
            if match is None:
                raise ValueError(f"{path} does not belong to a run directory: move it away.")
            yield Unit(int(match[1]), int(match[2])), _read_shard(path)

    def save(self, unit: Unit, records: Records, adversarials: dict[str, Tensor] | None) -> None:
        """Writes what a unit gave; it is finished when this returns."""
        if adversarials is not None:
            tensors = {name: value.cpu().contiguous() for name, value in adversarials.items()}
            write_tensors(self.path / "adversarials" / f"{unit.name}.safetensors", tensors)
        target = self.path / "records" / f"{unit.name}.parquet"
        write_whole(target, lambda path: pq.write_table(records, path, write_page_checksum=True))

    def records(self) -> Records:
        """Reads all records, attack by attack, in the order of the data.

        Raises:
            ValueError: If a shard is damaged.
        """
        shards = sorted(self._shards(), key=lambda shard: (shard[0].attack, shard[0].batch))
        return join_records([records for _, records in shards])


def _read_shard(path: Path) -> Records:
    try:
        records = pq.read_table(path, page_checksum_verification=True)
        matches = records.schema.equals(SCHEMA)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"the shard {path} is damaged ({error}). Delete it and run the same command again: "
            "its samples are attacked again, all others are kept."
        ) from error
    if not matches:
        raise ValueError(f"the shard {path} has other columns than records have: move it away.")
    return records


def _refuse_differences(path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    names = _differences(old, new)
    if names:
        differences = "\n  ".join(
            f"{name}: {_difference(name, old.get(name), new.get(name))}" for name in names
        )
        raise ValueError(
            f"{path} holds a run of another configuration, which is never mixed with this one:\n"
            f"  {differences}\nName another folder, or repeat the command that began the run."
        )


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Gives the names of the values that differ; answers of a model may differ by rounding."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    if _ANSWERS in names and _nearly(old.get(_ANSWERS), new.get(_ANSWERS)):
        names.remove(_ANSWERS)
    return names


_ANSWERS = "model_answers"


def _nearly(old: Any, new: Any) -> bool:
    if not isinstance(old, list) or not isinstance(new, list) or len(old) != len(new):
        return False
    scale = max((abs(value) for value in old), default=0.0)
    return all(abs(a - b) <= 1e-2 * scale + 1e-12 for a, b in zip(old, new, strict=True))


_UNREADABLE = {
    "model_fingerprint": "the weights or the code of the model are others",
    _ANSWERS: "the model answers otherwise to the first samples",
    "data_fingerprint": "the samples are others",
}
"""What a difference means of what is no use to read."""


def _difference(name: str, old: Any, new: Any) -> str:
    if name in _UNREADABLE:
        return _UNREADABLE[name]
    if name == "attacks" and isinstance(old, list) and isinstance(new, list):
        before, now = ([_attack(one) for one in attacks] for attacks in (old, new))
        if before == now:
            return "the code of one of them is another"
        return f"{_short(', '.join(before))} there, {_short(', '.join(now))} now"
    return f"{_short(old)} there, {_short(new)} now"


def _attack(entry: Any) -> str:
    if not isinstance(entry, dict):
        return str(entry)
    name, spec = entry.get("name"), entry.get("spec")
    return f"{name}" if name == spec else f"{name} = {spec}"


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 200 else f"{text[:200]} ..."
