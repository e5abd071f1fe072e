"""The command `reproduce`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from minnorm.cli.console import output, progress_bars
from minnorm.cli.options import Device, Trust
from minnorm.errors import InputError

if TYPE_CHECKING:
    from minnorm.paper import Experiment, Options


def reproduce(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="An experiment, for example table1, or all. Without it, the experiments are "
            "listed.",
        ),
    ] = None,
    *,
    scale: Annotated[
        str,
        typer.Option(
            metavar="paper|cpu|smoke",
            help="paper: the full protocol, for a GPU. cpu: what two cores do in a night. smoke: "
            "seconds.",
        ),
    ] = "cpu",
    out: Annotated[
        Path | None,
        typer.Option(
            help="The folder of all experiments of a scale. What is finished in it is not run "
            "again. Default: runs/reproduce-SCALE."
        ),
    ] = None,
    device: Device = None,
    accelerate: Annotated[
        str | None,
        typer.Option(
            metavar="auto|off|WORD+...",
            help="How to accelerate the networks, see `minnorm evaluate`. Default: what the "
            "experiment says.",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    model: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=SPEC",
            help="Another network for a setting, for example 'MNIST=zoo:mnist-cnn-ddn'. Repeat it "
            "for several.",
        ),
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SETTING=SPEC",
            help="Other images for a setting, for example 'MNIST=mnist[:100]'. Repeat it for "
            "several.",
        ),
    ] = None,
    trust: Trust = False,
    so_far: Annotated[
        bool,
        typer.Option(
            "--so-far",
            help="Begin and continue no run: write the pages of what has run so far. (Figures 1 "
            "and 3, which have no runs, are drawn again.)",
        ),
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the experiments.")] = False,
) -> None:
    """Reproduce a table or a figure of the paper.

    Runs it, and writes a page with the figures of the paper beside ours, the numbers, and a report.
    With torchrun, the ranks share the work.
    """
    from minnorm import paper
    from minnorm.runtime import ranks

    if name is None or listing:
        _show_list()
        return
    models, images = _by_setting(model, "--model"), _by_setting(data, "--data")
    chosen = paper.read_scale(scale)
    experiments = paper.load_experiments(name, chosen, models=models, data=images, trust=trust)
    options = paper.Options(
        out=out or Path("runs") / f"reproduce-{chosen}",
        device=device,
        accelerate=accelerate,
        seed=seed,
        trust=trust,
        so_far=so_far,
    )
    failed: list[str] = []
    with ranks.process_group():
        for experiment in experiments:
            try:
                _run(experiment, options)
            except InputError as error:
                if len(experiments) == 1:
                    raise
                failed.append(f"{experiment.name}: {error}")
    if failed:
        count = f"{len(failed)} of {len(experiments)} experiments"
        raise InputError(f"{count} have no results; the others are in {options.out}.", *failed)


def _run(experiment: "Experiment", options: "Options") -> None:
    """Run an experiment, show its progress, and print its tables."""
    from minnorm import paper
    from minnorm.paper.pages import to_tables

    with progress_bars() as bars:
        task = bars.add_task(experiment.name, total=None)
        running = ""

        def show(text: str, done: int, units: int, gradients: int) -> None:
            nonlocal running
            if text != running:  # the estimate of the time left is that of one run
                running = text
                bars.reset(task, completed=done, total=units)
            words = f"{text}, {gradients:,} gradients"
            bars.update(task, completed=done, total=units, description=words)

        outcome = paper.reproduce(experiment, replace(options, on_progress=show))
    output.print(experiment.title, style="bold")
    for table in to_tables(outcome, output.width):
        output.print(table)
        output.print()
    output.print(f"results: {options.folder(experiment)}", soft_wrap=True)


def _show_list() -> None:
    from minnorm import paper

    table = Table("name", "experiment", caption="minnorm reproduce NAME --scale paper|cpu|smoke")
    for name in paper.experiment_names():
        table.add_row(name, paper.load_experiment(name, "paper").title)
    table.add_row("all", "all of them")
    output.print(table)


def _by_setting(words: Sequence[str] | None, option: str) -> dict[str, str]:
    """Return the specs of `--model` or `--data` by the name of the setting.

    Raises:
        InputError: If a word is not of this form, or a setting is given twice.
    """
    found: dict[str, str] = {}
    for word in words or ():
        name, equals, spec = (part.strip() for part in word.partition("="))
        if not (name and equals and spec):
            raise InputError(
                f"{option} {word}: expected SETTING=SPEC, for example {option} "
                f"{'MNIST=zoo:mnist-cnn' if option == '--model' else 'MNIST=mnist[:100]'}."
            )
        if name in found:
            raise InputError(f"{option} {word}: {name!r} is given twice.")
        found[name] = spec
    return found
