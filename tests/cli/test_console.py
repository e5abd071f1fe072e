"""The console: progress without a terminal, and output on ranks other than the first."""

import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.bad_evaluation import DATA, MODEL, TINY
from cli.command_line import Shell
from minnorm.cli import console
from minnorm.evaluation import load_run
from minnorm.runtime import progress


def test_progress_without_a_terminal_is_a_line_from_time_to_time(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_MOST_SECONDS", 0.0)
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=3)", "--batch-size", "4"]
    message = shell(*words, "--out", str(tmp_path / "run")).message
    assert "attacking, 3 gradients: 1 of 2 (50%), 0:00 so far, about" in message
    assert "attacking, 6 gradients: 2 of 2 (100%)" in message


@pytest.mark.parametrize("verbose", [False, True])
def test_the_log_has_warnings_and_labels_or_all_messages(
    verbose: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    console.show_log(verbose=verbose)
    console.show_log(verbose=verbose)
    logging.getLogger("minnorm.any").info("an event")
    logging.getLogger("minnorm.any").warning("a warning")
    logging.getLogger("minnorm.data.folder").info("0 = cat")
    errors = capsys.readouterr().err
    assert errors.count("an event") == verbose
    assert errors.count("a warning") == 1  # not one more for each call of show_log
    assert errors.count("0 = cat") == 1


def test_only_the_first_rank_prints_results() -> None:
    program = "from minnorm.cli.console import output; output.print('the result')"
    launch = {"WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for rank, printed in (("0", "the result\n"), ("1", "")):
        done = subprocess.run(
            [sys.executable, "-c", program], env={**os.environ, **launch, "RANK": rank},
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        assert done.stdout == printed


@pytest.fixture
def log() -> Iterator[logging.Logger]:
    """Return the package's logger, which the command line shows."""
    logger = logging.getLogger("minnorm")
    before = logger.handlers, logger.level
    console.show_log(verbose=False)
    yield logger
    logger.handlers, logger.level = before


def test_a_message_of_the_log_is_printable_and_remembered(
    log: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    log.warning("the file %s", "[/x]\x1b[31m\r\x07\nWARNING fake")
    shown = capsys.readouterr().err
    assert r"the file [/x]\x1b[31m\r\x07\nWARNING fake" in " ".join(shown.split())
    assert console.shown == {"the file [/x]\x1b[31m\r\x07\nWARNING fake"}


def test_a_warning_is_shown_once(shell: Shell, tmp_path: Path) -> None:
    words = ["evaluate", f"{TINY}:says(kind=probabilities)", DATA, "--attack", "ddn(steps=2)"]
    outcome = shell(*words, "--out", str(tmp_path / "run"))
    assert outcome.code == 0
    everything = " ".join((outcome.errors + outcome.output).split())
    [warning] = load_run(tmp_path / "run").warnings
    assert everything.count(warning[:40]) == 1
    assert (
        f"warnings: 1, see the messages or {tmp_path / 'run' / 'manifest.json'}" in outcome.output
    )
