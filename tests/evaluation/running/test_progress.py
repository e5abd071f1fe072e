"""The progress of an evaluation: shown if wanted, reported to the caller, and silent otherwise."""

import pytest

from evaluation.small_runs import run
from minnorm.evaluation.running.progress import shown_progress
from minnorm.runtime import progress


def test_nobody_gets_reports_by_default() -> None:
    with shown_progress(None, show=False, passes="gradients") as report:
        assert report is None


def test_the_caller_gets_each_report_as_it_is() -> None:
    reports: list[tuple[int, int, int]] = []
    for show in (False, True):
        with shown_progress(
            lambda *numbers: reports.append(numbers), show=show, passes="gradients"
        ) as report:
            assert report is not None
            report(1, 4, 30)
    assert reports == [(1, 4, 30)] * 2


def test_a_run_shows_lines_only_if_asked_to(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "_MOST_SECONDS", 0.0)
    reports: list[tuple[int, int, int]] = []
    shown = run(None, progress=True, on_progress=lambda *numbers: reports.append(numbers))
    lines = capsys.readouterr()
    assert "attacking, 5 gradients: 1 of 6 (17%), 0:00 so far" in lines.err
    assert "6 of 6 (100%)" in lines.err
    assert lines.out == ""
    assert reports[-1] == (6, 6, 24)
    silent = run(None)
    assert capsys.readouterr() == ("", "")
    assert silent.records.column("l2").equals(shown.records.column("l2"))
