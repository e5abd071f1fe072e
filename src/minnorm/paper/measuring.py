"""From an experiment to evaluations: run directories that can be resumed, shared by experiments."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from minnorm.errors import MissingFileError, MissingLibraryError
from minnorm.evaluation import Evaluation, Records, evaluate, of_attack
from minnorm.evaluation.records import attacks_in, samples_in
from minnorm.paper.experiment import Experiment, Setting
from minnorm.paper.shared_runs import SharedRun, shared_runs
from minnorm.paper.so_far import check_alike, run_so_far

logger = logging.getLogger(__name__)

_NOT_YET = "No batch of it is finished yet."
"""Why a row has no results if nothing is missing for it."""

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
        so_far: Whether no run is begun or continued: what has run so far is all there is. Figures
            1 and 3, which have no runs, are drawn again.
        on_progress: Called as the runs go on.
    """

    out: Path
    device: str | None = None
    accelerate: str | None = None
    seed: int = 0
    trust: bool = False
    so_far: bool = False
    on_progress: OnProgress | None = field(default=None, compare=False)

    def folder(self, experiment: Experiment) -> Path:
        """Return the folder of an experiment, for its page, figures and numbers."""
        return self.out / experiment.name


@dataclass(frozen=True)
class MeasuredSetting:
    """A setting, and its runs.

    Attributes:
        setting: The setting.
        runs: Its runs, the one with most rows first; those that have results.
        missing: Why a part has no results, and what to do; by the names of the rows.
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

    def unfinished(self) -> dict[str, str]:
        """Return how far the rows are that have run on a part of their images, by their names."""
        parts = {row.name: self.part_of(row.name) for row in self.setting.attacks}
        return {row: part for row, part in parts.items() if part}

    def part_of(self, attack: str) -> str:
        """Return how far a row is, in words; empty if it is finished, or was not measured."""
        if not self.has(attack):
            return ""
        run = self.run_of(attack)
        images = samples_in(of_attack(run.records, attack))
        of = len(range(*run.manifest["configuration"]["indices"]))
        return f"{images:,} of {of:,} images" if images < of else ""


def measure(experiment: Experiment, options: Options) -> tuple[MeasuredSetting, ...]:
    """Run all rows of an experiment, those that are finished excepted.

    The runs are in `out/runs/EXPERIMENT/SETTING`, those of rows `apart` in
    `out/runs/EXPERIMENT/SETTING-ROW`; rows `apart` run last. A setting with `runs_of` has those of
    the other, with all rows in them. A setting whose network, images or libraries are missing does
    not stop the others. With `Options.so_far`, nothing runs.
    """
    parts = {part.folder: part for setting in experiment.settings for part in shared_runs(setting)}
    runs: dict[str, Evaluation] = {}
    missing: dict[str, str] = {}
    for part in sorted(parts.values(), key=lambda part: part.rows[0].apart):  # the sort is stable
        try:
            run = _so_far(part, options) if options.so_far else _run(part, options)
            if run is not None:
                runs[part.folder] = run
        except (MissingFileError, MissingLibraryError) as error:
            logger.warning("%s is not run: %s", part.name, error)
            missing[part.folder] = why_missing(error, part.setting)
    if options.so_far:
        check_alike(runs.values())
    return tuple(_measured(setting, runs, missing) for setting in experiment.settings)


def _measured(
    setting: Setting, runs: Mapping[str, Evaluation], missing: Mapping[str, str]
) -> MeasuredSetting:
    """Return a setting with its runs, by folder, and why rows have no results."""
    parts = shared_runs(setting)
    names = {row.name for row in setting.attacks}
    found = tuple(runs[part.folder] for part in parts if part.folder in runs)
    measured = {name for run in found for name in attacks_in(run.records)}
    return MeasuredSetting(
        setting,
        found,
        {
            row.name: missing.get(part.folder, _NOT_YET)
            for part in parts
            for row in part.rows
            if row.name in names - measured
        },
    )


def unfinished_note(row: str, part: str) -> str:
    """Return the sentence on a row that has run on a part of its images."""
    return f"{row} is not finished: {part}."


def all_runs(settings: Sequence[MeasuredSetting]) -> tuple[Evaluation, ...]:
    """Return the runs of settings, each once."""
    found = {str(run.directory): run for one in settings for run in one.runs}
    return tuple(found.values())


def why_missing(error: Exception, setting: Setting) -> str:
    """Return why a setting could not run, and what to install or fetch."""
    return " ".join(filter(None, [str(error), setting.install]))


def _so_far(part: SharedRun, options: Options) -> Evaluation | None:
    return run_so_far(part, options.out, seed=options.seed, accelerate=options.accelerate)


def _run(part: SharedRun, options: Options) -> Evaluation:
    setting = part.setting
    report = options.on_progress

    def show(done: int, units: int, gradients: int) -> None:
        if report is not None:
            report(part.name, done, units, gradients)

    return evaluate(
        setting.model,
        part.data,
        {row.name: row.attack for row in part.rows},
        out=options.out / part.folder,
        targets=setting.targets,
        batch_size=part.batch_size or "auto",
        accelerate=options.accelerate or part.accelerate,
        device=options.device,
        seed=options.seed,
        save_adversarials=setting.keep,
        trust=options.trust,
        on_progress=show,
    )
