"""The commands `figure curves`, `figure distances` and `figure gallery`."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from minnorm.cli.console import messages, output
from minnorm.cli.options import (
    Labels,
    OneNorm,
    Runs,
    radius_option,
    read_norm,
    read_radii,
    read_size,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from minnorm.geometry import Norm

figure = typer.Typer(
    help="Draw figures of finished runs for a paper: PDF, SVG or PNG.", no_args_is_help=True
)

Out = Annotated[Path, typer.Option(help="The file: .pdf, .svg or .png. An older one is replaced.")]
Attacks = Annotated[
    list[str] | None,
    typer.Option(
        "--attack",
        help="Draw this attack, by its name or spec. Repeat it for several. Default: all attacks "
        "of one run; of several runs, the closest of all attacks of each.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(metavar="WIDTH,HEIGHT", help="The size in inches, for example 3.3,2.4."),
]


@figure.command("curves")
def curves(
    runs: Runs,
    *,
    out: Out,
    label: Labels = None,
    norm: OneNorm = None,
    epsilon: Annotated[list[str] | None, radius_option("Mark")] = None,
    attack: Attacks = None,
    size: Size = None,
) -> None:
    """Draw robustness curves: the accuracy under attack against the radius.

    With 95 % confidence bands. Curves of attacks within a radius end there, with a dot.
    """
    radii = read_radii(epsilon)

    from minnorm.report import load_runs, plot_curves

    _save(
        lambda ax, chosen: plot_curves(
            load_runs(runs, label or ()),
            ax=ax,
            norm=chosen,
            attacks=attack or (),
            epsilons=radii,
        ),
        out,
        norm,
        size,
    )


@figure.command("distances")
def distances(
    runs: Runs,
    *,
    out: Out,
    label: Labels = None,
    norm: OneNorm = None,
    attack: Attacks = None,
    size: Size = None,
) -> None:
    """Draw the distributions of the distances, a row for each attack or each run."""
    from minnorm.report import load_runs, plot_distances

    _save(
        lambda ax, chosen: plot_distances(
            load_runs(runs, label or ()), ax=ax, norm=chosen, attacks=attack or ()
        ),
        out,
        norm,
        size,
    )


@figure.command("gallery")
def gallery(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run directory.")],
    *,
    out: Out,
    norm: OneNorm = None,
    attack: Annotated[
        str | None,
        typer.Option(help="Show adversarials of this attack. Default: the closest of all."),
    ] = None,
    count: Annotated[int, typer.Option(min=1, help="The number of adversarials.")] = 6,
    size: Size = None,
) -> None:
    """Draw originals, adversarials and magnified perturbations, from nearest to farthest."""
    from minnorm.report import plot_gallery

    _save(
        lambda ax, chosen: plot_gallery(run, attack, count=count, ax=ax, norm=chosen),
        out,
        norm,
        size,
    )


def _save(
    draw: Callable[["Axes | None", "Norm | None"], "Axes"],
    out: Path,
    norm: str | None,
    size: str | None,
) -> None:
    """Draw a figure in a norm, and write it to a file."""
    from minnorm.report.figures.files import check_file, save_figure

    chosen = read_norm(norm)
    inches = None if size is None else read_size(size)
    check_file(out)
    with messages.status("drawing the figure"):
        save_figure(lambda ax: draw(ax, chosen), out, inches)
    output.print(f"figure: {out}", soft_wrap=True)
