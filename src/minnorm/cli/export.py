"""The command `export`."""

from pathlib import Path
from typing import Annotated

import typer

from minnorm.cli.console import messages, output


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="The run directory.")],
    *,
    file_format: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="png|npz|safetensors",
            help="The format. Default: the ending of --out, if it is .npz or .safetensors.",
        ),
    ] = None,
    attack: Annotated[
        str | None,
        typer.Option(
            help="The attack, by its name or spec. Default: 'worst case', the closest over "
            "all attacks."
        ),
    ] = None,
    target: Annotated[
        str | None,
        typer.Option(
            help="The target class of targeted attacks, by its label or its name. Default: all."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="The file, or the folder of PNG files. Default: RUN-adversarials in this folder."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="The model that verifies PNG files; it must be the one of the run. Default: the "
            "one that the run names, if loading it runs no code that a file names."
        ),
    ] = None,
    trust: Annotated[
        bool,
        typer.Option(
            "--trust",
            help="Allow the file of the model to run code, and the run to name code.",
        ),
    ] = False,
    device: Annotated[
        str | None,
        typer.Option(
            help="The device of the model: cpu, cuda, cuda:1, ... Default: a GPU if there is one."
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an earlier export.")] = False,
) -> None:
    """Write the adversarials of a run for other programs.

    npz, safetensors: inputs, adversarials, labels, targets, predictions, indices and distances.
    png: 8-bit images in a folder, with a table of all records. The model verifies that each image
    is still adversarial. One that is not is rounded again, away from the input, or left out.
    """
    from minnorm.evaluation import load_run
    from minnorm.evaluation.exports import exports

    path, chosen = exports.path_for(run, out, file_format)
    with messages.status("exporting"):
        exported = exports.export_adversarials(
            load_run(run),
            path,
            chosen,
            attack=attack,
            target=target,
            model=model,
            trust=trust,
            device=device,
            overwrite=force,
        )
    for line in exported.summary():
        output.print(line, soft_wrap=True)
