"""The report: runs as one HTML file that needs neither the network nor any other file."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from minnorm.errors import InputError
from minnorm.files import named_by, write_content
from minnorm.geometry import Norm
from minnorm.report.findings.unfinished import of_common_samples
from minnorm.report.model_names import short_names
from minnorm.report.page import charts
from minnorm.report.page.attack_tables import attack_tables
from minnorm.report.page.chart_data import norm_charts
from minnorm.report.page.markup import asset, content_policy, embedded_json, render
from minnorm.report.page.ranking import ranking
from minnorm.report.page.sections import card, norms_of, panel, radii_by_norm
from minnorm.report.page.statement import curves_show
from minnorm.report.runs import LabeledRun, have_same_samples

_ENDINGS = (".html", ".htm")


def write_report(
    runs: Sequence[LabeledRun],
    path: str | Path,
    *,
    norm: Norm | None = None,
    epsilons: Sequence[float] = (),
    gallery_size: int = 48,
    title: str | None = None,
) -> None:
    """Write a report of one run or several as one HTML file; an old file is replaced.

    Args:
        runs: The runs, see `minnorm.report.load_runs`.
        path: The file.
        norm: The norm of the distances; by default each attack's own.
        epsilons: The radii of the accuracies; by default a few where the curves fall.
        gallery_size: The largest number of adversarials to show of each run.
        title: The title of the page; by default it names the models and the data.

    Raises:
        InputError: If there are no runs, or the file cannot be written.
        MissingLibraryError: If a library of the extra `report` is not installed.
    """
    path = Path(path)
    check_path(path)
    text = page_html(runs, norm=norm, epsilons=epsilons, gallery_size=gallery_size, title=title)
    with named_by("--out", path):
        write_content(path, text.encode())


def check_path(path: Path) -> None:
    """Check that a report can be written to a path, before any work.

    Raises:
        InputError: If the path is a folder, or not the name of an HTML file.
    """
    if path.is_dir():
        raise InputError(f"{path} is a folder: name a file, for example {path / 'report.html'}.")
    if path.suffix.lower() not in _ENDINGS:
        raise InputError(f"{path}: expected the name of an HTML file, for example report.html.")


def page_html(
    runs: Sequence[LabeledRun],
    *,
    norm: Norm | None = None,
    epsilons: Sequence[float] = (),
    gallery_size: int = 48,
    title: str | None = None,
) -> str:
    """Return the report of `write_report` as a text."""
    if not runs:
        raise InputError("a report needs at least one run: name run directories.")
    library = charts.script()
    runs, unfinished = of_common_samples(runs)
    norms = norms_of(runs, norm)
    radii = radii_by_norm(runs, norms, epsilons)
    drawn = [norm_charts(runs, one, only=norm is not None, radii=radii[one]) for one in norms]
    drawn = [one for one in drawn if one.curves]
    style, behavior = asset("page.css"), asset("page.js")
    tables, notes = attack_tables(runs, radii, norm)
    panels = [panel(run, number, radii, gallery_size) for number, run in enumerate(runs, 1)]
    doubtful = [
        one.label for one in panels if any(found.level == "problem" for found in one.findings)
    ]
    return render(
        "page.html.j2",
        title=title or _title(runs),
        subtitle=_subtitle(runs),
        remarks=[*ranking(runs, radii, doubtful), *_remarks(runs), *unfinished],
        several=len(runs) > 1,
        cards=[card(run, about, radii) for run, about in zip(runs, panels, strict=True)],
        tables=tables,
        notes=notes,
        charts=drawn,
        curves_show=curves_show(runs),
        panels=panels,
        data=embedded_json({"charts": [one.values() for one in drawn]}),
        style=style,
        library=library,
        behavior=behavior,
        policy=content_policy(scripts=[library, behavior], styles=[style]),
        version=importlib.metadata.version("minnorm"),
    )


def _title(runs: Sequence[LabeledRun]) -> str:
    if len(runs) == 1:
        return f"How robust is {runs[0].label}?"
    models = list(dict.fromkeys(run.model for run in runs))
    return (
        f"How robust is {short_names(models)[0]}?"
        if len(models) == 1
        else f"How robust are {len(models)} models?"
    )


def _subtitle(runs: Sequence[LabeledRun]) -> str:
    data = ", ".join(dict.fromkeys(run.data for run in runs))
    dates = sorted(
        session["started"][:10]
        for run in runs
        for session in run.run.manifest["sessions"]
        if "started" in session
    )
    when = ", ".join(dict.fromkeys([*dates[:1], *dates[-1:]]))
    return f"Minimum-norm attacks on {data}" + (f", {when}" if when else "")


def _remarks(runs: Sequence[LabeledRun]) -> list[str]:
    """Return what a reader must know before comparing the runs."""
    if not have_same_samples(runs):
        return [
            "These runs are over different samples, or have other labels of the same ones, so "
            "their numbers cannot be compared directly."
        ]
    if len({run.run.manifest["configuration"]["targets"] for run in runs}) > 1:
        return [
            "Some of these runs are targeted and others are not: their numbers differ in meaning."
        ]
    return []
