"""The command `report`."""

from pathlib import Path
from typing import Annotated

import typer

from minnorm.cli.console import messages, output
from minnorm.cli.options import Labels, OwnNorms, Runs, radius_option, read_norm, read_radii


def report(
    runs: Runs,
    *,
    label: Labels = None,
    out: Annotated[
        Path, typer.Option(help="The HTML file; an older report there is replaced.")
    ] = Path("report.html"),
    norm: OwnNorms = None,
    epsilon: Annotated[
        list[str] | None,
        radius_option("Show the accuracy at", "Default: a few where the curves fall."),
    ] = None,
    title: Annotated[str | None, typer.Option(help="The title of the page.")] = None,
    gallery: Annotated[
        int, typer.Option(min=0, help="The largest number of adversarials to show of each run.")
    ] = 48,
) -> None:
    """Write a report of one run or several: one HTML file.

    The file needs no network, no model and no data. It shows what was measured, the attacks,
    robustness curves, distances, adversarials, results per class, findings, and provenance.
    """
    from minnorm.report import load_runs, write_report
    from minnorm.report.page.page import check_path

    radii = read_radii(epsilon)
    chosen = read_norm(norm)
    check_path(out)
    with messages.status("writing the report"):
        write_report(
            load_runs(runs, label or ()),
            out,
            norm=chosen,
            epsilons=radii,
            gallery_size=gallery,
            title=title,
        )
    output.print(f"report: {out}", soft_wrap=True)
