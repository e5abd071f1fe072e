"""The run directories of a setting, which its rows share."""

import re
from dataclasses import dataclass

from minnorm.paper.experiment import AttackRow, Setting


@dataclass(frozen=True)
class SharedRun:
    """Rows of a setting that share a run directory.

    Attributes:
        setting: The setting.
        rows: The rows; a row `apart` is the only one.
        folder: The directory, as a path below `Options.out`.
    """

    setting: Setting
    rows: tuple[AttackRow, ...]
    folder: str

    @property
    def name(self) -> str:
        """What runs, for the progress."""
        setting = self.setting
        first = f"{setting.experiment}, {setting.name}"
        return f"{first}, {self.rows[0].name}" if self.rows[0].apart else first

    @property
    def data(self) -> str:
        """The spec of its images."""
        own = self.rows[0].data if self.rows[0].apart else None
        return own or self.setting.data

    @property
    def batch_size(self) -> int | None:
        """Images attacked at once; `None` to choose by measuring."""
        own = self.rows[0].batch_size if self.rows[0].apart else None
        return own or self.setting.batch_size

    @property
    def accelerate(self) -> str:
        """How its network is accelerated."""
        own = self.rows[0].accelerate if self.rows[0].apart else None
        return own or self.setting.accelerate


def run_folders(setting: Setting) -> tuple[str, ...]:
    """Return the run directories of a setting, as paths below `Options.out`."""
    return tuple(part.folder for part in shared_runs(setting))


def shared_runs(setting: Setting) -> list[SharedRun]:
    """Return the rows of a setting by the run directories that they share.

    With `runs_of`, these are all rows of those directories of the other that have some of its own.
    """
    if setting.runs_of is not None:
        names = {row.name for row in setting.attacks}
        shared = shared_runs(setting.runs_of)
        return [part for part in shared if names & {row.name for row in part.rows}]
    folder = f"runs/{setting.experiment}/{slug(setting.name)}"
    together = tuple(row for row in setting.attacks if not row.apart)
    parts = [SharedRun(setting, together, folder)] if together else []
    return parts + [
        SharedRun(setting, (row,), f"{folder}-{slug(row.name)}")
        for row in setting.attacks
        if row.apart
    ]


def slug(text: str) -> str:
    """Return a text as the name of a folder: `C&W 9x10,000` as `c-w-9x10-000`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
