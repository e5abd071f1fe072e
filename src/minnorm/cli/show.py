"""The command `show`."""

from pathlib import Path
from typing import Annotated

import typer

from minnorm.checks import check_choice
from minnorm.cli.console import messages, output, shown
from minnorm.cli.options import Labels, OwnNorms, Runs, radius_option, read_norm, read_radii

_FORMATS = ("table", "markdown", "latex", "csv", "json")


def show(
    runs: Runs,
    *,
    label: Labels = None,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="|".join(_FORMATS),
            help="The form of the output. Default: the ending of --out, or else a table.",
        ),
    ] = None,
    norm: OwnNorms = None,
    epsilon: Annotated[list[str] | None, radius_option("Show the accuracy at")] = None,
    attack: Annotated[
        list[str] | None,
        typer.Option(
            help="Show this attack, and the worst case over those that are shown. Repeat it for "
            "several attacks. 'worst case': only that over all attacks."
        ),
    ] = None,
    per_class: Annotated[
        bool, typer.Option("--per-class", help="Add rows for each true class.")
    ] = False,
    per_target: Annotated[
        bool, typer.Option("--per-target", help="Add rows for each target class.")
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(help="Write to this file, and replace it if it exists: .txt, .md, .tex, ..."),
    ] = None,
) -> None:
    """Show the results of one run or several in a table.

    Needs neither the models nor the data. csv and json have all numbers in full precision, and
    latex needs the package booktabs. Warnings follow a table; with the other formats they go to
    standard error, so that the output can be redirected to a file.
    """
    if format_ is not None:
        check_choice("--format", format_, _FORMATS)
    radii = read_radii(epsilon)

    from minnorm.files import named_by, write_content
    from minnorm.report import load_runs, results
    from minnorm.report.runs import of_attacks
    from minnorm.report.tables.formats import FORMATS, format_of
    from minnorm.report.tables.terminal import to_table

    form = format_ or ("table" if out is None else format_of(out))
    chosen = read_norm(norm)
    with messages.status("reading the runs"):
        loaded = load_runs(runs, label or ())
        selected = of_attacks(loaded, attack, chosen) if attack else loaded
        found = results(
            selected, norm=chosen, epsilons=radii, per_class=per_class, per_target=per_target
        )
    if out is not None:
        with named_by("--out", out):
            write_content(out, FORMATS[form](found).encode())
        output.print(f"table: {out}", soft_wrap=True)
    elif form == "table":
        output.print(to_table(found, width=output.width))
    else:
        for line in FORMATS[form](found).splitlines():
            output.print(line, soft_wrap=True)
    console = output if form == "table" or out is not None else messages
    for run in loaded:
        for warning in run.run.warnings:
            if warning not in shown:
                name = f"{run.label}: " if len(loaded) > 1 else ""
                console.print(f"Warning: {name}{warning}", style="yellow")
