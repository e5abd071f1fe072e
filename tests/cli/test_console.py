"""The console: progress without a terminal, and output on ranks other than the first."""

import logging
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cli.bad_evaluation import DATA, MODEL
from cli.command_line import Shell
from minnorm.cli import console


def test_progress_without_a_terminal_is_a_line_from_time_to_time(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_SECONDS_BETWEEN_LINES", 0.0)
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=3)", "--batch-size", "4"]
    message = shell(*words, "--out", str(tmp_path / "run")).message
    assert "attacking, 3 gradients of a batch: 1 of 2" in message
    assert "attacking, 6 gradients of a batch: 2 of 2" in message


@pytest.mark.parametrize(("verbose", "level"), [(False, logging.WARNING), (True, logging.INFO)])
def test_the_log_has_warnings_or_all_messages(verbose: bool, level: int) -> None:
    logger = logging.getLogger("minnorm")
    before = logger.handlers, logger.level
    try:
        console.show_log(verbose=verbose)
        console.show_log(verbose=verbose)
        assert logger.level == level
        assert len(logger.handlers) == 1  # not one more for each call
    finally:
        logger.handlers, logger.level = before


def test_only_the_first_rank_prints_results() -> None:
    program = "from minnorm.cli.console import output; output.print('the result')"
    for rank, printed in (("0", "the result\n"), ("1", "")):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "RANK": rank}, capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == printed
