"""Progress: bars on a terminal or in a notebook, and lines from time to time in a log."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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

from minnorm.runtime.terminal import Terminal, printable
from minnorm.runtime.torchrun import is_first_rank

messages = Terminal(stderr=True)
"""The console for messages and progress."""

_MOST_SECONDS = 60.0
"""The time between two lines at most."""

_LEAST_SECONDS = 5.0
"""The time between two lines at least."""

_SHARE = 0.1
"""The share of the work after which there is a line, if it took long enough."""

_PERIOD_OF_ESTIMATE = 3600.0
"""The seconds whose speed gives the time left: one unit of work may take minutes."""


class _Lines:
    """What has been printed of a task, and when."""

    def __init__(self, completed: float) -> None:
        self.started = self.last = time.monotonic()
        self.first = self.printed = completed

    def is_due(self, completed: float, total: float | None) -> bool:
        """Return whether the time has come for a line."""
        seconds = time.monotonic() - self.last
        share = (completed - self.printed) / total if total else 0.0
        return seconds >= _MOST_SECONDS or (seconds >= _LEAST_SECONDS and share >= _SHARE)

    def line(self, completed: float, total: float | None) -> str:
        """Return how much is done, the time spent, and the time left."""
        self.last, self.printed = time.monotonic(), completed
        spent = self.last - self.started
        done = completed - self.first  # an earlier session did the rest
        parts = [f"{completed:.4g} of {total:g} ({completed / total:.0%})"] if total else []
        parts.append(f"{_clock(spent)} so far")
        if total and done > 0:
            parts.append(f"about {_clock(spent * (total - completed) / done)} left")
        return ", ".join(parts)


class _BarsOrLines(Progress):
    """Progress bars that become lines if they cannot be drawn."""

    def __init__(self, *columns: str | ProgressColumn, **options: Any) -> None:
        super().__init__(*columns, **options)
        self._lines: dict[TaskID, _Lines] = {}

    def update(self, task_id: TaskID, **changes: Any) -> None:
        if "description" in changes:
            changes["description"] = printable(changes["description"])
        super().update(task_id, **changes)
        if self.console.is_interactive or self.console.is_jupyter or self.disable:
            return
        task = self._tasks[task_id]
        lines = self._lines.setdefault(task_id, _Lines(task.completed))
        if lines.is_due(task.completed, task.total):
            text = f"{task.description}: {lines.line(task.completed, task.total)}"
            self.console.print(text, soft_wrap=True)

    def stop(self) -> None:
        self.live.stop()  # without the empty line that Progress adds if there is no terminal


@contextmanager
def progress_bars() -> Iterator[Progress]:
    """Yield progress bars that show the finished work and the time left, on standard error.

    If there is no terminal and no notebook, for example in a log, they are lines: one after each
    tenth of the work, but not more than one in 5 seconds, and at least one per minute. Of several
    ranks only the first shows anything.
    """
    with _BarsOrLines(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=messages,
        transient=True,
        disable=not is_first_rank(),
        speed_estimate_period=_PERIOD_OF_ESTIMATE,
    ) as progress:
        yield progress


def _clock(seconds: float) -> str:
    """Return a time as hours, minutes and seconds: `1:05:09`, or `5:09` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
