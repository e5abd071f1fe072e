"""The progress of an evaluation, reported to the user and to a function of the caller."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from minnorm.access import Access
from minnorm.runtime.progress import progress_bars

EvaluationProgress: TypeAlias = Callable[[int, int, int], None]
"""Called with the number of finished units, the number of all units of this rank (a unit is one
attack on one batch), and the number of passes so far, counting one for a whole batch: gradients,
and queries of attacks that need no gradients."""


@contextmanager
def shown_progress(
    on_progress: EvaluationProgress | None, *, show: bool, passes: str
) -> Iterator[EvaluationProgress | None]:
    """Yield a function to report progress to; `None` if nobody needs the reports.

    Args:
        on_progress: Called with all reports.
        show: Whether the reports become a progress bar, or lines in a log.
        passes: What the passes are, in words: `gradients`, `queries`, or both.
    """
    if not show:
        yield on_progress
        return
    with progress_bars() as bars:
        task = bars.add_task("preparing", total=None)

        def report(done: int, total: int, number: int) -> None:
            text = f"attacking, {number:,} {passes}"
            bars.update(task, completed=done, total=total, description=text)
            if on_progress is not None:
                on_progress(done, total, number)

        yield report


def passes_in_words(accesses: Iterable[Access]) -> str:
    """Return what the passes of attacks are that need this access to the model."""
    words = {"gradients" if access == "gradients" else "queries" for access in accesses}
    return " and ".join(sorted(words))
