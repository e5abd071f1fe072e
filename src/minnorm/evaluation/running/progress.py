"""The progress of an evaluation, reported to the user and to a function of the caller."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from minnorm.runtime.progress import progress_bars

EvaluationProgress: TypeAlias = Callable[[int, int, int], None]
"""Called with the number of finished units, the number of all units of this rank (a unit is one
attack on one batch), and the number of gradients so far, counting one for a whole batch."""


@contextmanager
def shown_progress(
    on_progress: EvaluationProgress | None, *, show: bool
) -> Iterator[EvaluationProgress | None]:
    """Yield a function to report progress to; `None` if nobody needs the reports.

    Args:
        on_progress: Called with all reports.
        show: Whether the reports become a progress bar, or lines in a log.
    """
    if not show:
        yield on_progress
        return
    with progress_bars() as bars:
        task = bars.add_task("preparing", total=None)

        def report(done: int, total: int, gradients: int) -> None:
            text = f"attacking, {gradients:,} gradients"
            bars.update(task, completed=done, total=total, description=text)
            if on_progress is not None:
                on_progress(done, total, gradients)

        yield report
