"""Output of the commands: results to standard output, everything else to standard error."""

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

is_first_rank = os.environ.get("RANK", "0") == "0"
"""Whether this process is the first of those that `torchrun` started: only that one prints."""

# Logs and files have no width, so tables get one that they fit in.
output = Console(quiet=not is_first_rank, width=None if sys.stdout.isatty() else 140)
"""The console for results."""

messages = Console(stderr=True)
"""The console for messages and progress."""

_SECONDS_BETWEEN_LINES = 60.0


def show_log(*, verbose: bool) -> None:
    """Send the package's log to standard error: all messages if `verbose`, else warnings only."""
    handler = RichHandler(console=messages, show_path=False, show_time=False)
    logger = logging.getLogger("minnorm")
    logger.handlers = [handler]
    logger.setLevel(logging.INFO if verbose else logging.WARNING)


class _ProgressLines(Progress):
    """Progress bars that become one line per minute if there is no terminal."""

    def __init__(self, *columns: str | ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._last_line = time.monotonic()

    def update(self, task_id: TaskID, **changes: Any) -> None:
        super().update(task_id, **changes)
        now = time.monotonic()
        if (
            self.console.is_terminal
            or self.disable
            or now - self._last_line < _SECONDS_BETWEEN_LINES
        ):
            return
        self._last_line = now
        task = self._tasks[task_id]
        done = f"{task.completed:.4g} of {task.total:g}" if task.total else "started"
        self.console.print(f"{task.description}: {done}", markup=False, soft_wrap=True)

    def stop(self) -> None:
        self.live.stop()  # without the empty line that Progress adds if there is no terminal


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Yield progress bars that show the finished work and the time left.

    If there is no terminal, for example in a log, they are one line per minute.
    """
    with _ProgressLines(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not is_first_rank,
    ) as progress:
        yield progress
