"""The report: runs as one HTML file that needs neither the network nor any other file."""

from collections.abc import Sequence
from pathlib import Path

from minnorm.errors import InputError
from minnorm.files import write_content
from minnorm.geometry import Norm
from minnorm.report.markup import render
from minnorm.report.runs import LabeledRun

_ENDING = ".html"


def write_report(
    runs: Sequence[LabeledRun],
    path: Path,
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
        InputError: If there are no runs, or the path is a folder.
        MissingLibraryError: If a library of the extra `report` is not installed.
    """
    if not runs:
        raise InputError("a report needs at least one run: name run directories.")
    check_path(path)
    names = " and ".join(dict.fromkeys(run.model for run in runs))
    text = render("page.html.j2", title=title or f"Robustness of {names}", runs=runs)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_content(path, text.encode())


def check_path(path: Path) -> None:
    """Check that a report can be written to a path, before any work.

    Raises:
        InputError: If the path is a folder, or not the name of an HTML file.
    """
    if path.is_dir():
        raise InputError(
            f"{path} is a folder: name a file for the report, for example {path}.html."
        )
    if path.suffix.lower() not in (_ENDING, ".htm"):
        raise InputError(
            f"{path}: expected the name of an HTML file, for example {path.stem}.html."
        )
