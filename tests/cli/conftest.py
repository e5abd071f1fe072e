"""What the tests of the command line share."""

import pytest

from cli.command_line import Shell


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    """The command line, called in this process."""
    return Shell(monkeypatch, capsys)
