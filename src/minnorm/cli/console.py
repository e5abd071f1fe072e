"""What the commands print with: results on standard output, all else on standard error."""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Of several ranks the first one speaks.
_first_rank = os.environ.get("RANK", "0") == "0"

# Logs and files have no width of their own: tables are not broken there.
output = Console(quiet=not _first_rank, width=None if sys.stdout.isatty() else 140)
"""For results."""

errors = Console(stderr=True)
"""For messages and progress."""


def show_log(*, verbose: bool) -> None:
    """Sends the package's log to standard error: warnings, or with `verbose` all of it."""
    handler = RichHandler(console=errors, show_path=False, show_time=False)
    logger = logging.getLogger("minnorm")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Gives progress bars that show how much is done and how long the rest takes."""
    with Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        transient=True,
        disable=not _first_rank,
    ) as progress:
        yield progress
