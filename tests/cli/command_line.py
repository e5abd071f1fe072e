"""Calls the command line in this process, as a user's shell would in another."""

import re
import sys
from dataclasses import dataclass

import jaxtyping
import pytest

from minnorm.cli import main


@dataclass(frozen=True)
class Outcome:
    """What a command did: its exit code and what it printed."""

    code: int
    output: str
    errors: str

    @property
    def message(self) -> str:
        """Standard error without the progress bars, in one line."""
        lines = [line for line in self.errors.splitlines() if not _PROGRESS.match(line)]
        return " ".join(" ".join(lines).split())


_PROGRESS = re.compile(r"\S.*\s\d+/(\d+|\?)\s+\d+:\d\d:\d\d")


class Shell:
    """Runs commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["minnorm", *words])
        # Annotations are checked in the tests only; users see what comes without.
        self._monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = self._capsys.readouterr()
        code = exit_.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, captured.out, captured.err)
