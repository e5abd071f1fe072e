"""From an experiment to evaluations: run directories that can be resumed, shared by experiments."""

import logging
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from minnorm.errors import MissingFileError, MissingLibraryError
from minnorm.evaluation import Evaluation, Records, evaluate, of_attack
from minnorm.evaluation.records import attacks_in
from minnorm.paper.experiment import AttackRow, Experiment, Setting

logger = logging.getLogger(__name__)

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

    def has(self, attack: str) -> bool:
        """Return whether a row was measured."""
        return any(attack in attacks_in(run.records) for run in self.runs)

    def of(self, attack: str) -> Records:
        """Return the records of a row that was measured."""
        return of_attack(self.run_of(attack).records, attack)

    def run_of(self, attack: str) -> Evaluation:
        """Return the run that a row is in; it must have been measured."""
        return next(run for run in self.runs if attack in attacks_in(run.records))


@dataclass(frozen=True)
class _SharedRun:
    """Rows of a setting that share a run directory."""

    setting: Setting
    rows: tuple[AttackRow, ...]
    folder: str

    @property
    def name(self) -> str:
        """What runs, for the progress."""
        setting = self.setting
        first = f"{setting.experiment}, {setting.name}"
        return f"{first}, {self.rows[0].name}" if self.rows[0].apart else first


def measure(experiment: Experiment, options: Options) -> tuple[MeasuredSetting, ...]:
    """Run all rows of an experiment, those that are finished excepted.

    The runs are in `out/runs/EXPERIMENT/SETTING`, those of rows `apart` in
    `out/runs/EXPERIMENT/SETTING-ROW`; rows `apart` run last. A setting with `runs_of` has those of
    the other, with all rows in them. A setting whose network, images or libraries are missing does
    not stop the others.
    """
    parts = {part.folder: part for setting in experiment.settings for part in _parts(setting)}
    runs: dict[str, Evaluation] = {}
    missing: dict[str, str] = {}
    for part in sorted(parts.values(), key=lambda part: part.rows[0].apart):  # the sort is stable
        try:
            runs[part.folder] = _run(part, options)
        except (MissingFileError, MissingLibraryError) as error:
            logger.warning("%s is not run: %s", part.name, error)
            missing[part.folder] = why_missing(error, part.setting)
    return tuple(_measured(setting, runs, missing) for setting in experiment.settings)


def _measured(
    setting: Setting, runs: Mapping[str, Evaluation], missing: Mapping[str, str]
) -> MeasuredSetting:
    """Return a setting with its runs, by folder, and the reasons of those that could not run."""
    parts = _parts(setting)
    names = {row.name for row in setting.attacks}
    return MeasuredSetting(
        setting,
        tuple(runs[part.folder] for part in parts if part.folder in runs),
        {
            row.name: missing[part.folder]
            for part in parts
            if part.folder in missing
            for row in part.rows
            if row.name in names
        },
    )


def directories(settings: Sequence[MeasuredSetting]) -> tuple[Path, ...]:
    """Return the run directories of settings."""
    return tuple(run.directory for one in settings for run in one.runs if run.directory)


def why_missing(error: Exception, setting: Setting) -> str:
    """Return why a setting could not run, and what to install or fetch."""
    return " ".join(filter(None, [str(error), setting.install]))


def run_folders(setting: Setting) -> tuple[str, ...]:
    """Return the run directories of a setting, as paths below `Options.out`."""
    return tuple(part.folder for part in _parts(setting))


def _parts(setting: Setting) -> list[_SharedRun]:
    """Return the rows of a setting by the run directories that they share.

    With `runs_of`, these are all rows of those directories of the other that have some of its own.
    """
    if setting.runs_of is not None:
        names = {row.name for row in setting.attacks}
        shared = _parts(setting.runs_of)
        return [part for part in shared if names & {row.name for row in part.rows}]
    folder = f"runs/{setting.experiment}/{slug(setting.name)}"
    together = tuple(row for row in setting.attacks if not row.apart)
    parts = [_SharedRun(setting, together, folder)] if together else []
    return parts + [
        _SharedRun(setting, (row,), f"{folder}-{slug(row.name)}")
        for row in setting.attacks
        if row.apart
    ]


def _run(part: _SharedRun, options: Options) -> Evaluation:
    setting, row = part.setting, part.rows[0]
    own = row if row.apart else None
    report = options.on_progress

    def show(done: int, units: int, gradients: int) -> None:
        if report is not None:
            report(part.name, done, units, gradients)

    return evaluate(
        setting.model,
        (own and own.data) or setting.data,
        {row.name: row.attack for row in part.rows},
        out=options.out / part.folder,
        targets=setting.targets,
        batch_size=(own and own.batch_size) or setting.batch_size or "auto",
        accelerate=options.accelerate or (own and own.accelerate) or setting.accelerate,
        device=options.device,
        seed=options.seed,
        save_adversarials=setting.keep,
        trust=options.trust,
        on_progress=show,
    )


def slug(text: str) -> str:
    """Return a text as the name of a folder: `C&W 9x10,000` as `c-w-9x10-000`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
