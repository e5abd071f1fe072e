"""From an experiment to evaluations: run directories that can be resumed, shared by experiments."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from minnorm.evaluation import Evaluation, Records, of_attack
from minnorm.evaluation.records import attacks_in, join_records
from minnorm.paper.experiment import Experiment, Setting

OnProgress: TypeAlias = Callable[[str, int, int, int], None]
"""Called with what runs, and the finished units, all units and the gradients of that run."""


@dataclass(frozen=True)
class Options:
    """How an experiment runs.

    Attributes:
        out: The folder of all experiments of a scale.
        device: The device of the networks; `None` for a GPU if there is one.
        accelerate: How the networks are accelerated; `None` for what the experiment says.
        seed: The seed of all random numbers.
        trust: Whether files of networks may run code.
        on_progress: Called as the runs go on.
    """

    out: Path
    device: str | None = None
    accelerate: str | None = None
    seed: int = 0
    trust: bool = False
    on_progress: OnProgress | None = field(default=None, compare=False)

    def folder(self, experiment: Experiment) -> Path:
        """Return the folder of an experiment, for its page, figures and numbers."""
        return self.out / experiment.name


@dataclass(frozen=True)
class MeasuredSetting:
    """A setting, and its runs.

    Attributes:
        setting: The setting.
        runs: Its run directories, the one with most rows first; those that could run.
        missing: Why a part could not run, and what to do; by the names of the rows.
    """

    setting: Setting
    runs: tuple[Evaluation, ...]
    missing: dict[str, str] = field(default_factory=dict)

    def records(self) -> Records:
        """Return the records of all rows."""
        return join_records([run.records for run in self.runs])

    def has(self, attack: str) -> bool:
        """Return whether a row was measured."""
        return any(attack in attacks_in(run.records) for run in self.runs)

    def of(self, attack: str) -> Records:
        """Return the records of a row.

        Raises:
            InputError: If there are none.
        """
        return of_attack(self.records(), attack)

    def run_of(self, attack: str) -> Evaluation:
        """Return the run that a row is in."""
        return next(run for run in self.runs if attack in attacks_in(run.records))


def measure(experiment: Experiment, options: Options) -> tuple[MeasuredSetting, ...]:
    """Run all rows of an experiment, those that are finished excepted.

    The runs are in `out/runs/EXPERIMENT/SETTING`, those of rows `apart` in
    `out/runs/EXPERIMENT/SETTING-ROW`; rows `apart` run last. A setting whose network, images or
    libraries are missing does not stop the others.
    """
    raise NotImplementedError


def slug(text: str) -> str:
    """Return a text as the name of a folder: `C&W 9x10,000` as `c-w-9x10-000`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
