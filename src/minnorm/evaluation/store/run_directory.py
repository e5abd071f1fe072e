"""The run directory: a manifest, and the files of each finished unit.

    manifest.json
    records/000012-01.parquet            batch 12, attack 1: its records
    adversarials/000012-01.safetensors   the same unit: indices, targets, adversarials
    inputs/000012.safetensors            batch 12: indices, inputs as the model got them
    checksums/000012-01.json             the same unit: the SHA-256 of the three files

Each file is written atomically, the records of a unit last: once they exist, the unit is finished.
No file is deleted or replaced, except those of units of the same run that are not finished.
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from filelock import FileLock

from minnorm.doubts import Doubt
from minnorm.errors import InputError, RunConflictError
from minnorm.evaluation.store.configuration import Configuration, OpenConfiguration
from minnorm.evaluation.store.manifest import Manifest, new_run, read_manifest
from minnorm.evaluation.store.unit_files import FOLDERS, UnitFiles
from minnorm.evaluation.store.units import Unit
from minnorm.files import LOCK, lock_folder, remove_partial_files, write_atomically
from minnorm.runtime.sessions import warning_of_changes

logger = logging.getLogger(__name__)


class Claim(NamedTuple):
    """A run that this process may work on.

    Attributes:
        manifest: Its manifest.
        finished: Its finished units.
    """

    manifest: Manifest
    finished: set[Unit]


class RunDirectory:
    """A run on disk.

    Args:
        path: The directory.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._manifest = path / "manifest.json"
        self._lock = FileLock(path / LOCK, timeout=0)

    def check_usable(self) -> None:
        """Check that the directory does not exist, is empty or holds a run; nothing is written.

        Raises:
            RunConflictError: If it holds something else.
        """
        if not self._manifest.exists():
            self._check_unused()

    def claim(
        self,
        configuration: Configuration,
        doubts: Sequence[Doubt],
        session: Mapping[str, Any],
        *,
        classes: Sequence[str] = (),
    ) -> Claim:
        """Create the directory of a run, or open that of an earlier run, and lock it.

        An earlier run may be unfinished, or lack some of the attacks. A warning is logged if its
        versions or settings were others.

        Args:
            configuration: What determines the records.
            doubts: What makes the results doubtful.
            session: A description of this process, which is added to the manifest if there is
                something left to do.
            classes: The names of the classes by label, empty if they are unknown.

        Raises:
            RunConflictError: If the directory holds something else, or a run of another
                configuration (the message names what differs), or another process works in it.
            InputError: If a file of the run is damaged, or its manifest is of another version.
        """
        self.check_usable()
        lock_folder(self._lock, self.path)
        same = self.interrupted(configuration) is not None
        previous = self.manifest() if same else None
        finished = UnitFiles(self.path, previous).finished() if previous is not None else set()
        remove_partial_files(self.path, *(self.path / folder for folder in FOLDERS))
        if previous is not None:
            # The finished units are bound to it, and its logits may be rounded in another way.
            configuration = previous.configuration.with_attacks_of(configuration)
        manifest = Manifest(
            run=new_run() if previous is None else previous.run,
            configuration=configuration,
            classes=tuple(classes),
            doubts=tuple(dict.fromkeys((*(previous.doubts if previous else ()), *doubts))),
            sessions=(*(() if previous is None else previous.sessions), dict(session)),
        )
        if previous is not None and len(finished) == manifest.units:
            return Claim(previous, finished)
        if previous is not None:
            changes = changes_between(manifest.sessions[-2:])
            if changes is not None:
                logger.warning("%s", changes.text)
        write_atomically(self._manifest, lambda path: path.write_text(manifest.text()))
        for folder in FOLDERS:
            (self.path / folder).mkdir(exist_ok=True)
        return Claim(manifest, finished)

    def release(self) -> None:
        """Unlock the directory; does nothing if it is not locked."""
        self._lock.release()

    def interrupted(self, known: OpenConfiguration) -> Configuration | None:
        """Return the configuration of the run in this directory, `None` if there is none.

        Args:
            known: What is known of the configuration of the run that is to continue it.

        Raises:
            RunConflictError: If the two differ.
            InputError: If the manifest is damaged or of another version.
        """
        if not self._manifest.exists():
            return None
        configuration = self.manifest().configuration
        differences = configuration.differences(known)
        if not self._holds_results():  # a run that has not begun may be replaced
            return None if differences else configuration
        if differences:
            raise RunConflictError(
                f"{self.path} holds a run of another configuration, which is never mixed with this "
                "one:",
                *(f"  {difference}" for difference in differences),
                "Name another folder, or repeat the command that started the run.",
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

    def _holds_results(self) -> bool:
        """Return whether there are files of units, finished or not."""
        folders = (self.path / folder for folder in FOLDERS)
        return any(
            not path.name.startswith(".")
            for folder in folders
            if folder.is_dir()
            for path in folder.iterdir()
        )


def changes_between(sessions: Sequence[Mapping[str, Any]]) -> Doubt | None:
    """Return a doubt if versions or settings of sessions differ; one rank and many are alike."""
    text = warning_of_changes(sessions, "records", ignored=("ranks",))
    return None if text is None else Doubt("changed-sessions", text)
