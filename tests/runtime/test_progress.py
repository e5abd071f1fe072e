"""Progress without a terminal: lines with counts and the time left, not too many."""

import io

import pytest

from minnorm.runtime import progress
from minnorm.runtime.terminal import Terminal


class Clock:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    return clock


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> io.StringIO:
    log = io.StringIO()
    monkeypatch.setattr(progress, "messages", Terminal(file=log, width=20))
    return log


def show(clock: Clock, reports: list[tuple[float, float]], total: float = 100) -> None:
    """Report finished work at times, in seconds from the start."""
    start = clock.now
    with progress.progress_bars() as bars:
        task = bars.add_task("work", total=None)
        for seconds, done in reports:
            clock.now = start + seconds
            bars.update(task, completed=done, total=total)


def test_there_is_a_line_after_each_tenth_of_the_work(clock: Clock, log: io.StringIO) -> None:
    show(clock, [(0, 0), (6, 5), (12, 10), (18, 15), (24, 20)])
    assert log.getvalue() == (
        "work: 10 of 100 (10%), 0:12 so far, about 1:48 left\n"
        "work: 20 of 100 (20%), 0:24 so far, about 1:36 left\n"
    )


def test_fast_work_prints_a_line_in_five_seconds(clock: Clock, log: io.StringIO) -> None:
    show(clock, [(0, 0), (1, 20), (2, 40), (5, 60), (6, 80), (9, 100)])
    assert log.getvalue() == "work: 60 of 100 (60%), 0:05 so far, about 0:03 left\n"


def test_slow_work_prints_a_line_in_a_minute(clock: Clock, log: io.StringIO) -> None:
    show(clock, [(0, 0), (59, 0), (60, 0), (100, 0), (3720, 1)])
    assert log.getvalue() == (
        "work: 0 of 100 (0%), 1:00 so far\n"
        "work: 1 of 100 (1%), 1:02:00 so far, about 102:18:00 left\n"
    )


def test_work_of_an_earlier_session_does_not_count_for_the_time_left(
    clock: Clock, log: io.StringIO
) -> None:
    show(clock, [(0, 50), (10, 60)])
    assert log.getvalue() == "work: 60 of 100 (60%), 0:10 so far, about 0:40 left\n"


def test_a_description_is_printable(clock: Clock, log: io.StringIO) -> None:
    with progress.progress_bars() as bars:
        task = bars.add_task("", total=1)
        bars.update(task, completed=0, description="x")
        clock.now += 100
        bars.update(task, completed=1, description="[/x]\x1b[31m\n")
    assert log.getvalue().startswith("[/x]\\x1b[31m\\n: 1 of 1")


def test_only_the_first_rank_shows_progress(
    clock: Clock, log: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "is_first_rank", lambda: False)
    show(clock, [(0, 0), (100, 50)])
    assert log.getvalue() == ""
