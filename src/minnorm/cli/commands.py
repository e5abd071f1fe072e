"""The commands `evaluate`, `train` and `demo`."""

from pathlib import Path
from typing import Annotated

import typer

from minnorm.cli.console import messages, output, progress_bars, shown
from minnorm.cli.exit_codes import NOT_MET
from minnorm.cli.options import (
    Device,
    Model,
    OwnNorms,
    Trust,
    radius_option,
    read_batch_size,
    read_bounds,
    read_mask,
    read_norm,
    read_radii,
)


def evaluate(
    model: Model,
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="mnist[:1000], folder:PATH, FILE.npz, package.module:factory, ...",
        ),
    ],
    *,
    out: Annotated[
        Path,
        typer.Option(
            help="The run directory. An interrupted run in it is continued, and a run in it gets "
            "the attacks that it lacks. Another configuration is refused."
        ),
    ],
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="An attack, for example 'ddn(steps=300)' or package.module:function. Repeat it "
            "for several attacks, or separate them by commas. Name all attacks of a run again to "
            "add more to it. Default: normal_pursuit; for a model without gradients, the best "
            "attack by scores or decisions."
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(
            help="Run targeted attacks, towards these classes: all, least-likely or random:K."
        ),
    ] = None,
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="INTEGER|auto",
            help="Samples in a batch. auto: as many as save time and fit into memory.",
        ),
    ] = "auto",
    accelerate: Annotated[
        str,
        typer.Option(
            metavar="auto|off|WORD+...",
            help="How to accelerate the model. auto: chosen by measuring, if the work is long "
            "enough to pay for that, and remembered. off: not at all. plain: only freeze the "
            "parameters. Or some of folded, narrow, channels-last, autocast, bfloat16, compiled, "
            "joined by +. The original model verifies all results.",
        ),
    ] = "auto",
    device: Device = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    bounds: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="LOW HIGH|FILE.npz",
            help="Lowest and highest value of an input, or a file with arrays low and high that "
            "hold those of each feature. Default: those of the data, or 0 1.",
        ),
    ] = None,
    mask: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.npy",
            help="A boolean array of the shape of a sample, true for the features that may change. "
            "Default: that of the data, or all may change.",
        ),
    ] = None,
    norm: OwnNorms = None,
    epsilon: Annotated[list[str] | None, radius_option("Show the accuracy at")] = None,
    adversarials: Annotated[
        bool, typer.Option(help="Save the adversarials in the run directory.")
    ] = True,
    trust: Trust = False,
    strict: Annotated[
        bool,
        typer.Option("--strict", help="Exit with code 1 if there are warnings; the run is kept."),
    ] = False,
) -> None:
    """Measure how robust MODEL is on DATA.

    Searches for the closest adversarial of each sample, prints a table, and saves all records in
    the run directory. With torchrun, the ranks share the work.
    """
    box, radii, size = read_bounds(bounds), read_radii(epsilon), read_batch_size(batch_size)
    free = read_mask(mask)

    from minnorm import evaluation
    from minnorm.evaluation.store.configuration import RestrictionsEntry
    from minnorm.report import results_table
    from minnorm.runtime import ranks

    chosen = read_norm(norm)
    with ranks.process_group():
        result = evaluation.evaluate(
            model,
            data,
            attack or None,
            out=out,
            targets=targets,
            batch_size=size,
            accelerate=accelerate,
            device=device,
            seed=seed,
            bounds=box,
            mask=free,
            save_adversarials=adversarials,
            trust=trust,
            progress=True,
        )
        output.print(results_table(result.records, norm=chosen, epsilons=radii, width=output.width))
        for warning in result.warnings:
            if warning not in shown:
                output.print(f"Warning: {warning}", style="yellow")
        if known := shown.intersection(result.warnings):
            text = f"warnings: {len(known)}, see the messages or {out / 'manifest.json'}"
            output.print(text, style="yellow", soft_wrap=True)
        if used := result.manifest["configuration"].get("restrictions"):
            output.print(f"restrictions: {RestrictionsEntry(**used)}", soft_wrap=True)
        output.print(f"records: {out}", soft_wrap=True)
    if strict and result.warnings:
        raise typer.Exit(NOT_MET)


def train(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="A YAML file, or the name of a shipped recipe."),
    ],
    *,
    out: Annotated[
        Path | None, typer.Option(help="The folder of the run. Default: runs/NAME.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in the folder if there is one.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="Change a setting of the recipe: key=value, for example optimizer.momentum=0.9. "
            "Repeat it for several settings.",
        ),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that load and augment images in advance.")
    ] = 0,
    device: Annotated[
        str | None,
        typer.Option(
            help="The device: cpu, cuda, cuda:1, ..., mps. With torchrun, cuda gives each rank a "
            "GPU of its own. Default: a GPU if there is one."
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Allow the recipe's file to name code (package.module:function), and the file of "
            "the initial network to run code.",
        ),
    ] = False,
) -> None:
    """Train a network from a recipe.

    Saves the network, its card and checkpoints in the folder of the run.
    """
    from minnorm import training

    loaded = training.load_recipe(recipe, settings or (), trust=trust)
    folder = out or Path("runs") / loaded.name
    with progress_bars() as bars:
        task = bars.add_task(loaded.name, total=loaded.epochs)

        started = False

        def show(done: float, total: int, measured: dict[str, float]) -> None:
            nonlocal started
            if not started:  # earlier sessions would distort the estimate of the time left
                bars.reset(task, completed=int(done))
                started = True
            text = loaded.name
            if measured:
                text += f": loss {measured['loss']:.4f}"
                text += f", accuracy {100 * measured['validation_accuracy']:.2f} %"
            if "robust_accuracy" in measured:
                text += f", under attack {100 * measured['robust_accuracy']:.1f} %"
            bars.update(task, completed=done, total=total, description=text)

        card = training.train(
            loaded,
            folder,
            resume=resume,
            workers=workers,
            device=device,
            trust=trust,
            on_progress=show,
        )
    output.print(f"kept: the weights after epoch {card.epoch} of {loaded.epochs}")
    for name, accuracy in {**card.accuracy, **card.robust_accuracy}.items():
        output.print(f"accuracy on {name}: {100 * accuracy:.2f} %")
    output.print(f"network: {folder / f'{card.name}.safetensors'}", soft_wrap=True)


def demo(
    out: Annotated[Path, typer.Option(help="The run directory, which gets the report too.")] = Path(
        "runs/demo"
    ),
    device: Device = None,
) -> None:
    """Attack a shipped network, beside the results of the paper.

    Attacks MNIST images with small and large budgets, prints a table, and writes a report. An
    interrupted demo continues.
    """
    from minnorm import paper
    from minnorm.errors import MissingLibraryError
    from minnorm.report import label_runs, write_report

    with progress_bars() as bars:
        task = bars.add_task("preparing", total=None)

        def show(name: str, done: int, total: int) -> None:
            bars.update(task, completed=done, total=total, description=name)

        run = paper.run_demo(out, device=device, on_progress=show)
    output.print(paper.demo_table(run.records))
    output.print(paper.conclusion(run.records))
    output.print(f"records: {out}", soft_wrap=True)
    try:
        with messages.status("writing the report"):
            write_report(label_runs([run]), out / "report.html")
    except MissingLibraryError as error:
        output.print(f"report: not written. {error}", soft_wrap=True)
    else:
        output.print(f"report: {out / 'report.html'}", soft_wrap=True)
