"""The command line, called in this process as a shell calls it in another."""

import re
import sys
from dataclasses import dataclass

import jaxtyping
import pytest

from minnorm.cli import main

_PROGRESS = re.compile(r"\S.*\s\d+/(\d+|\?)\s+\d+:\d\d:\d\d")


@dataclass(frozen=True)
class Outcome:
    """The result of a command: its exit code and its output."""

    code: int
    output: str
    errors: str

    @property
    def message(self) -> str:
        """Standard error in one line, without the progress bars."""
        lines = [line for line in self.errors.splitlines() if not _PROGRESS.match(line)]
        return " ".join(" ".join(lines).split())


class Shell:
    """Run commands."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: str) -> Outcome:
        self._monkeypatch.setattr(sys, "argv", ["minnorm", *words])
        # Annotations are checked at run time in the tests only; users see the errors without.
        self._monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        captured = self._capsys.readouterr()
        code = exit_.value.code
        assert code is None or isinstance(code, int)
        return Outcome(code or 0, captured.out, captured.err)
