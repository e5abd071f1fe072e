"""Reproduce a table or a figure of the paper: run it, and write its page, numbers and report."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from minnorm import specs
from minnorm.data import load_data
from minnorm.errors import InputError, MissingLibraryError
from minnorm.evaluation import Evaluation
from minnorm.files import named_by, write_content
from minnorm.models import load_model
from minnorm.models.names import shown_spec
from minnorm.paper.experiment import Experiment, experiment_names, load_experiment
from minnorm.paper.kinds import load_kind
from minnorm.paper.measuring import Options, unfinished_note
from minnorm.paper.outcome import Outcome
from minnorm.paper.pages import to_json, to_markdown
from minnorm.paper.scales import Scale
from minnorm.report import label_runs, write_report
from minnorm.runtime import ranks

logger = logging.getLogger(__name__)

EVERY = "all"
"""The name that stands for all experiments."""


def load_experiments(
    name: str,
    scale: Scale,
    *,
    models: Mapping[str, str] | None = None,
    data: Mapping[str, str] | None = None,
    trust: bool = False,
) -> tuple[Experiment, ...]:
    """Read an experiment, or all of them, with other networks and images.

    What the user names is loaded once to check it, before anything runs.

    Args:
        name: The name of an experiment, or `all`.
        scale: The scale.
        models: Specs of networks, by the name of the setting.
        data: Specs of images, by the name of the setting.
        trust: Whether files of networks may run code.

    Raises:
        InputError: If there is no such experiment, scale or setting, or a spec cannot be loaded.
    """
    models, data = models or {}, data or {}
    specs.choose(name, (*experiment_names(), EVERY), "experiment")
    if name != EVERY:
        found: tuple[Experiment, ...] = (load_experiment(name, scale, models=models, data=data),)
    else:
        plain = [load_experiment(one, scale) for one in experiment_names()]
        known = {name for one in plain for name in one.replaceable}
        for setting in (*models, *data):
            specs.choose(setting, known, "setting", "of any experiment")
        found = tuple(_with(one, models, data) for one in plain)
    for spec in data.values():
        load_data(spec)
    for spec in models.values():
        load_model(spec, trust=trust)
    return found


def reproduce(experiment: Experiment, options: Options) -> Outcome:
    """Run an experiment, and write `page.md`, `results.json` and `report.html` into its folder.

    What is finished already in the run directories is not run again. Under `torchrun`, the ranks
    share the work, and the first one writes the files.

    Args:
        experiment: The experiment, see `load_experiments`.
        options: Where and how it runs.

    Returns:
        What was measured. Without the extra `report`, a note says what to install.

    Raises:
        InputError: If there are no results; the message says why.
    """
    folder = options.folder(experiment)
    with named_by("--out", folder / "page.md"):
        folder.mkdir(parents=True, exist_ok=True)
    try:
        outcome = _decided(load_kind(experiment.kind)(experiment, options))
        with ranks.raise_on_all():
            if ranks.rank() == 0:
                _check_results(outcome, options)
                outcome = _with_report(outcome, options)
                command = command_of(experiment, options)
                for name, text in (
                    ("page.md", to_markdown(outcome, command)),
                    ("results.json", to_json(outcome, command)),
                ):
                    with named_by("--out", folder / name):
                        write_content(folder / name, text.encode())
    except InputError:
        if ranks.rank() == 0 and not any(folder.iterdir()):
            folder.rmdir()
        raise
    return outcome


def _decided(outcome: Outcome) -> Outcome:
    """Return an outcome with the claims as they count: the scale `smoke` decides nothing."""
    if outcome.experiment.scale != "smoke":
        return outcome
    text = "too few steps and images to decide"
    claims = (
        one
        if one.verdict == "not measured"
        else replace(one, verdict="not measured", numbers=f"{text}; {one.numbers}")
        for one in outcome.claims
    )
    return replace(outcome, claims=tuple(claims))


def _check_results(outcome: Outcome, options: Options) -> None:
    """Check that an experiment has results.

    Raises:
        InputError: If there are none; the message says why.
    """
    if outcome.tables or outcome.figures:
        return
    settings = outcome.numbers.get("settings", [])
    reasons = [why for one in settings for why in one["not_run"].values()]
    reasons += [
        unfinished_note(row, part) for one in settings for row, part in one["unfinished"].items()
    ]
    if options.so_far:
        reasons.append("Leave out --so-far to run it.")
    text = " ".join(dict.fromkeys(reasons))
    raise InputError(f"{outcome.experiment.name} has no results. {text}")


def command_of(experiment: Experiment, options: Options) -> str:
    """Return the command that repeats an experiment, as the user may have called it."""
    words = ["minnorm", "reproduce", experiment.name, "--scale", experiment.scale]
    plain = load_experiment(experiment.name, experiment.scale)
    for option, key in (("--model", "model"), ("--data", "data")):
        for one, other in zip(experiment.settings, plain.settings, strict=True):
            if getattr(one, key) != getattr(other, key):
                words += [option, f"{one.name}={shown_spec(getattr(one, key))}"]
    if options.accelerate is not None:
        words += ["--accelerate", options.accelerate]
    if options.seed:
        words += ["--seed", str(options.seed)]
    if options.trust:
        words.append("--trust")
    return shlex.join(words)


def _with(experiment: Experiment, models: Mapping[str, str], data: Mapping[str, str]) -> Experiment:
    """Read an experiment with the networks and images that belong to its settings."""
    names = experiment.replaceable
    return load_experiment(
        experiment.name,
        experiment.scale,
        models={name: spec for name, spec in models.items() if name in names},
        data={name: spec for name, spec in data.items() if name in names},
    )


def _with_report(outcome: Outcome, options: Options) -> Outcome:
    """Write the report of the runs; return the outcome with a note if that is not possible."""
    runs = outcome.runs
    if not runs:
        return outcome
    path = options.folder(outcome.experiment) / "report.html"
    try:
        write_report(label_runs(runs, _labels(runs, options.out)), path)
    except MissingLibraryError as error:
        logger.warning("no report is written: %s", error)
        return replace(outcome, notes=(*outcome.notes, f"There is no report: {error}"))
    return outcome


def _labels(runs: Sequence[Evaluation], out: Path) -> list[str]:
    """Return the folders of runs as labels, below the folder of all experiments."""
    return [
        run.directory.relative_to(out / "runs").as_posix()
        for run in runs
        if run.directory is not None
    ]
