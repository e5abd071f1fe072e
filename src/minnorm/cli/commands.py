"""The commands that work: evaluate, train, demo."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minnorm.cli.console import output, progress_bars

if TYPE_CHECKING:
    from minnorm.evaluation.preparation import BatchSize
    from minnorm.paper import Row

Device = Annotated[
    str | None, typer.Option(help="Where to run: cpu, cuda, cuda:1, ... (default: a GPU if any).")
]


def evaluate(
    model: Annotated[
        str, typer.Argument(help="zoo:NAME, FILE.safetensors, package.module:factory, ...")
    ],
    data: Annotated[
        str, typer.Argument(help="mnist[:1000], folder:PATH, FILE.npz, package.module:factory, ...")
    ],
    *,
    out: Annotated[Path, typer.Option(help="The run directory; an interrupted run goes on in it.")],
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="An attack, as 'ddn(steps=300)'; may be repeated. Default: normal_pursuit."
        ),
    ] = None,
    targets: Annotated[
        str | None,
        typer.Option(help="Attack towards classes: all, least-likely or random:K."),
    ] = None,
    batch_size: Annotated[
        str,
        typer.Option(
            metavar="INTEGER|auto",
            help="Samples attacked at once; auto measures how many pay and fit.",
        ),
    ] = "auto",
    accelerate: Annotated[
        str,
        typer.Option(
            metavar="auto|off|WORD+...",
            help="What makes the attacks faster: auto measures; or folded, narrow, channels-last, "
            "autocast, bfloat16, compiled; or plain. Results are verified by the model as it is.",
        ),
    ] = "auto",
    device: Device = None,
    seed: Annotated[int, typer.Option(help="Seed of all that is random.")] = 0,
    bounds: Annotated[
        tuple[float, float],
        typer.Option(metavar="LOW HIGH", help="Lowest and highest value of an input."),
    ] = (0.0, 1.0),
    norm: Annotated[
        str | None,
        typer.Option(help="The norm in the table: l0, l1, l2, linf (default: each attack's own)."),
    ] = None,
    epsilon: Annotated[
        list[float] | None,
        typer.Option(help="Show the accuracy at this radius too; may be repeated."),
    ] = None,
    adversarials: Annotated[
        bool, typer.Option(help="Keep the adversarials in the run directory.")
    ] = True,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a checkpoint even if it can run code.")
    ] = False,
) -> None:
    """Measure how far the closest adversarials of MODEL are on DATA.

    Prints a table and writes every record to the run directory. Runs on all ranks of torchrun.
    """
    from minnorm import evaluation, runtime
    from minnorm.attacks.default import DEFAULT
    from minnorm.geometry import check_norm
    from minnorm.report import results_table

    chosen = None if norm is None else check_norm(norm)
    radii = epsilon or []
    for radius in radii:
        if not radius >= 0:
            raise ValueError(f"--epsilon {radius:g}: expected a radius of at least 0.")
    with runtime.ranks():
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
        raise ValueError(f"--batch-size {text}: expected a whole number, or auto.") from error


def train(
    recipe: Annotated[str, typer.Argument(help="A YAML file, or the name of a shipped recipe.")],
    *,
    out: Annotated[Path | None, typer.Option(help="Folder of the run. Default: runs/NAME.")] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in the folder, if there is one.")
    ] = False,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change the recipe: key=value, with dots; may be repeated."),
    ] = None,
    workers: Annotated[
        int, typer.Option(help="Processes that read and augment images ahead, for a GPU.")
    ] = 0,
    trust: Annotated[
        bool,
        typer.Option("--trust", help="Let the file of an initial network run the code it holds."),
    ] = False,
) -> None:
    """Train a network by a recipe."""
    from minnorm import training

    loaded = training.load_recipe(recipe, settings or ())
    folder = out or Path("runs") / loaded.name
    with progress_bars() as bars:
        task = bars.add_task(loaded.name, total=loaded.epochs)

        begun = False

        def show(done: float, total: int, measured: dict[str, float]) -> None:
            nonlocal begun
            if not begun:  # what a resumed run did before says nothing about the time left
                bars.reset(task, completed=int(done))
                begun = True
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
    out: Annotated[Path, typer.Option(help="Folder for the run directories.")] = Path("runs/demo"),
    device: Device = None,
) -> None:
    """Attack the shipped MNIST network on the shipped images, beside the paper's figures."""
    from minnorm import paper

    results = []
    with progress_bars() as bars:
        tasks = {row: bars.add_task(row.attack, total=None) for row in paper.ROWS}

        def show(row: "Row", done: int, total: int, gradients: int) -> None:
            # A row's batches are of one size: what is done of one is its share of the steps.
            part = min(done + gradients % row.steps / row.steps, total)
            bars.update(tasks[row], completed=part, total=total)

        for result in paper.run_demo(out, device=device, on_progress=show):
            results.append(result)
    output.print(paper.demo_table(results))
    output.print(f"records: {out.resolve()}", markup=False, highlight=False, soft_wrap=True)
