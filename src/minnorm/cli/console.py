"""What the commands print with: results on standard output, all else on standard error."""

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskID,
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


_SECONDS_BETWEEN_LINES = 60.0


class _Lines(Progress):
    """Tells how much is done in a line each minute, where there is no terminal to draw bars on."""

    def __init__(self, *columns: str | ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._told = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        now = time.monotonic()
        if self.console.is_terminal or self.disable or now - self._told < _SECONDS_BETWEEN_LINES:
            return
        self._told = now
        task = self._tasks[task_id]
        done = f"{task.completed:.4g} of {task.total:g}" if task.total else "begun"
        self.console.print(f"{task.description}: {done}", markup=False, soft_wrap=True)


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Gives progress bars that show how much is done and how long the rest takes.

    Where there is no terminal, such as in a log, it is a line each minute.
    """
    with _Lines(
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
