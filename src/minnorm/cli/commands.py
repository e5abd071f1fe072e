"""The commands `evaluate`, `train` and `demo`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minnorm.cli.console import output, progress_bars
from minnorm.errors import InputError

if TYPE_CHECKING:
    from minnorm.evaluation.tuning import BatchSize
    from minnorm.paper import Row

Device = Annotated[
    str | None,
    typer.Option(help="The device: cpu, cuda, cuda:1, ... Default: a GPU if there is one."),
]


def evaluate(
    model: Annotated[
        str, typer.Argument(help="zoo:NAME, FILE.safetensors, package.module:factory, ...")
    ],
    data: Annotated[
        str, typer.Argument(help="mnist[:1000], folder:PATH, FILE.npz, package.module:factory, ...")
    ],
    *,
    out: Annotated[
        Path, typer.Option(help="The run directory. An interrupted run in it is continued.")
    ],
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="An attack, for example 'ddn(steps=300)'. Repeat it for several attacks. "
            "Default: normal_pursuit."
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
            help="Samples in a batch. auto: as many as save time and fit into memory; measured.",
        ),
    ] = "auto",
    accelerate: Annotated[
        str,
        typer.Option(
            metavar="auto|off|WORD+...",
            help="How to accelerate the model. auto: chosen by measuring. off: not at all. plain: "
            "only freeze the parameters. Or some of folded, narrow, channels-last, autocast, "
            "bfloat16, compiled, joined by +. The original model verifies all results.",
        ),
    ] = "auto",
    device: Device = None,
    seed: Annotated[int, typer.Option(help="Seed of all random numbers.")] = 0,
    bounds: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="Lowest and highest value of an input."),
    ] = (0.0, 1.0),
    norm: Annotated[
        str | None,
        typer.Option(
            help="The norm in the table: l0, l1, l2 or linf. Default: the norm of each attack."
        ),
    ] = None,
    epsilon: Annotated[
        list[float] | None,
        typer.Option(help="Show the accuracy at this radius. Repeat it for several radii."),
    ] = None,
    adversarials: Annotated[
        bool, typer.Option(help="Save the adversarials in the run directory.")
    ] = True,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust", help="Allow the model's file to run code, for example a pickled checkpoint."
        ),
    ] = False,
) -> None:
    """Measure the distances of the closest adversarials of MODEL on DATA.

    Prints a table and saves all records in the run directory. With torchrun, the ranks share the
    work.
    """
    from minnorm import evaluation
    from minnorm.attacks.default import DEFAULT
    from minnorm.geometry import check_norm
    from minnorm.report import results_table
    from minnorm.runtime import ranks

    chosen = None if norm is None else check_norm(norm)
    radii = epsilon or []
    for radius in radii:
        if not radius >= 0:
            raise InputError(f"--epsilon {radius:g}: expected a radius of at least 0.")
    with ranks.process_group():
        with progress_bars() as bars:
            task = bars.add_task("attacking", total=None)

            def show(done: int, total: int, gradients: int) -> None:
                text = f"attacking, {gradients:,} gradients of a batch"
                bars.update(task, completed=done, total=total, description=text)

            result = evaluation.evaluate(
                model,
                data,
                attack or DEFAULT,
                out=out,
                targets=targets,
                batch_size=_batch_size(batch_size),
                accelerate=accelerate,
                device=device,
                seed=seed,
                bounds=bounds,
                save_adversarials=adversarials,
                trust=trust,
                on_progress=show,
            )
        output.print(results_table(result.records, norm=chosen, epsilons=radii))
        for warning in result.warnings:
            output.print(f"Warning: {warning}", style="yellow", markup=False, highlight=False)
        output.print(f"records: {out}", markup=False, highlight=False, soft_wrap=True)


def _batch_size(text: str) -> "BatchSize":
    if text == "auto":
        return "auto"
    try:
        return int(text)
    except ValueError as error:
        raise InputError(f"--batch-size {text}: expected a whole number or auto.") from error


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
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
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Allow the file of the initial network to run code."),
    ] = False,
) -> None:
    """Train a network from a recipe.

    Saves the network, its card and checkpoints in the folder of the run.
    """
    from minnorm import training

    loaded = training.load_recipe(recipe, settings or ())
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
            loaded, folder, resume=resume, workers=workers, trust=trust, on_progress=show
        )
    for name, accuracy in {**card.accuracy, **card.robust_accuracy}.items():
        output.print(f"accuracy on {name}: {100 * accuracy:.2f} %", markup=False)
    output.print(f"network: {folder / f'{card.name}.safetensors'}", markup=False, soft_wrap=True)


def demo(
    out: Annotated[Path, typer.Option(help="The folder of the run directories.")] = Path(
        "runs/demo"
    ),
    device: Device = None,
) -> None:
    """Attack the shipped MNIST network, and compare the results with the paper's."""
    from minnorm import paper

    results = []
    with progress_bars() as bars:
        tasks = {row: bars.add_task(row.attack, total=None) for row in paper.ROWS}

        def show(row: "Row", done: int, total: int, gradients: int) -> None:
            # Each step is one gradient, so the gradients give the finished share of a batch.
            part = min(done + gradients % row.steps / row.steps, total)
            bars.update(tasks[row], completed=part, total=total)

        for result in paper.run_demo(out, device=device, on_progress=show):
            results.append(result)
    output.print(paper.demo_table(results))
    output.print(f"records: {out.resolve()}", markup=False, highlight=False, soft_wrap=True)
