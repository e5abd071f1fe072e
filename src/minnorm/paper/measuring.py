"""From an experiment to evaluations: run directories that can be resumed, shared by experiments."""

import logging
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from minnorm.acceleration.words import AUTO, check_use
from minnorm.attacks import load_attack
from minnorm.attacks.composition import attack_name
from minnorm.data import load_data
from minnorm.errors import InputError, MissingFileError, MissingLibraryError
from minnorm.evaluation import Evaluation, Records, evaluate, load_run, of_attack
from minnorm.evaluation.records import attacks_in, samples_in
from minnorm.models.names import model_name
from minnorm.paper.experiment import AttackRow, Experiment, Setting

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

    @property
    def data(self) -> str:
        """The spec of its images."""
        own = self.rows[0].data if self.rows[0].apart else None
        return own or self.setting.data

    @property
    def accelerate(self) -> str:
        """How its network is accelerated."""
        own = self.rows[0].accelerate if self.rows[0].apart else None
        return own or self.setting.accelerate


def measure(experiment: Experiment, options: Options) -> tuple[MeasuredSetting, ...]:
    """Run all rows of an experiment, those that are finished excepted.

    The runs are in `out/runs/EXPERIMENT/SETTING`, those of rows `apart` in
    `out/runs/EXPERIMENT/SETTING-ROW`; rows `apart` run last. A setting with `runs_of` has those of
    the other, with all rows in them. A setting whose network, images or libraries are missing does
    not stop the others. With `Options.so_far`, nothing runs.
    """
    parts = {part.folder: part for setting in experiment.settings for part in _parts(setting)}
    runs: dict[str, Evaluation] = {}
    missing: dict[str, str] = {}
    for part in sorted(parts.values(), key=lambda part: part.rows[0].apart):  # the sort is stable
        try:
            run = _run_so_far(part, options) if options.so_far else _run(part, options)
            if run is not None:
                runs[part.folder] = run
        except (MissingFileError, MissingLibraryError) as error:
            logger.warning("%s is not run: %s", part.name, error)
            missing[part.folder] = why_missing(error, part.setting)
    if options.so_far:
        _check_alike(runs.values())
    return tuple(_measured(setting, runs, missing) for setting in experiment.settings)


def _measured(
    setting: Setting, runs: Mapping[str, Evaluation], missing: Mapping[str, str]
) -> MeasuredSetting:
    """Return a setting with its runs, by folder, and why rows have no results."""
    parts = _parts(setting)
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


def all_runs(settings: Sequence[MeasuredSetting]) -> tuple[Evaluation, ...]:
    """Return the runs of settings, each once."""
    found = {str(run.directory): run for one in settings for run in one.runs}
    return tuple(found.values())


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


def _run_so_far(part: _SharedRun, options: Options) -> Evaluation | None:
    """Return what a run has finished, `None` if that is nothing.

    Raises:
        InputError: If it is a run of something else.
    """
    folder = options.out / part.folder
    if not (folder / "manifest.json").exists():
        return None
    run = load_run(folder)
    found = run.manifest["configuration"]
    ran = {entry["name"]: entry["spec"] for entry in found["attacks"]}
    known = (
        ("network", found["model"], model_name(part.setting.model)),
        *_compared_data(part.data, found),
        ("targets", found["targets"], part.setting.targets),
        ("seed", found["seed"], options.seed),
        *_compared_acceleration(options.accelerate or part.accelerate, found),
        *(
            (row.name, ran[row.name], attack_name(load_attack(row.attack)))
            for row in part.rows
            if row.name in ran
        ),
    )
    differences = [f"  {name}: {one}, not {other}" for name, one, other in known if one != other]
    if differences:
        raise InputError(
            f"{folder} holds a run of something else:",
            *differences,
            "Name another folder with --out, or give the options that the run was started with.",
        )
    return run if len(run.records) else None


def _compared_data(spec: str, found: Mapping[str, Any]) -> Iterator[tuple[str, object, object]]:
    """Yield what a run says of its data, and what they are; nothing if they are not here."""
    try:
        data = load_data(spec)
    except (MissingFileError, MissingLibraryError) as error:
        logger.warning("%s is not compared with the images of the run: %s", spec, error)
        return
    yield "data", found["data"], data.name
    yield "samples", range(*found["indices"]), data.indices
    yield "fingerprint of the data", found["data_fingerprint"], data.fingerprint


def _compared_acceleration(
    words: str, found: Mapping[str, Any]
) -> Iterator[tuple[str, object, object]]:
    """Yield the acceleration of a run, and the one that is asked for, if they differ."""
    if words != AUTO and set(check_use(words, "accelerate")) != set(
        check_use(found["acceleration"], "acceleration")
    ):
        yield "acceleration", found["acceleration"], words


def _check_alike(runs: Collection[Evaluation]) -> None:
    """Check that runs of one network had the same weights, and runs of one data set the same data.

    Raises:
        InputError: If they had not.
    """
    for name, what, prints in (
        ("model", "the network", ("model_fingerprint", "model_code")),
        ("data", "the data", ("data_fingerprint",)),
    ):
        seen: dict[tuple[str, str], tuple[object, Path | None]] = {}
        for run in runs:
            found = run.manifest["configuration"]
            for one in prints:
                if found.get(one) is None:  # a run of an earlier version
                    continue
                value, place = seen.setdefault((one, found[name]), (found[one], run.directory))
                if value != found[one]:
                    raise InputError(
                        f"{what} {found[name]} was another one in {place} than in "
                        f"{run.directory}: run one of them again, in another folder."
                    )


def _run(part: _SharedRun, options: Options) -> Evaluation:
    setting, row = part.setting, part.rows[0]
    own = row if row.apart else None
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
        batch_size=(own and own.batch_size) or setting.batch_size or "auto",
        accelerate=options.accelerate or part.accelerate,
        device=options.device,
        seed=options.seed,
        save_adversarials=setting.keep,
        trust=options.trust,
        on_progress=show,
    )


def slug(text: str) -> str:
    """Return a text as the name of a folder: `C&W 9x10,000` as `c-w-9x10-000`."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
