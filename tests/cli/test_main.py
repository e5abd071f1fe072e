"""The entry point: help, version, and what is shown after an error."""

import importlib.metadata
import json
import re
import subprocess
import sys
import time
from email.message import Message
from pathlib import Path

import pytest

from cli.bad_evaluation import ATTACK, DATA, MODEL, TINY
from cli.command_line import Shell
from minnorm.cli import main as entry_point
from minnorm.errors import InputError
from two_ranks import on_two_ranks

COMMANDS = [
    [], ["evaluate"], ["train"], ["demo"], ["data"], ["data", "list"], ["data", "fetch"], ["model"],
    ["model", "list"], ["attack"], ["attack", "list"],
]  # fmt: skip
MAIN = sys.modules["minnorm.cli.main"]


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> list[BaseException]:
    """Make `minnorm model list` raise the error in the returned list."""
    raised: list[BaseException] = []

    def fail() -> None:
        raise raised[0]

    monkeypatch.setattr("minnorm.models.zoo_cards", fail)
    return raised


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_help(shell: Shell, words: list[str]) -> None:
    outcome = shell(*words, "--help")
    assert outcome.code == 0
    # Within pytest the program has a longer name.
    assert re.match(rf"Usage: .*{' '.join(['minnorm', *words])}", outcome.output)
    assert outcome.errors == ""
    assert "--help" in outcome.output


def test_the_help_lists_every_command(shell: Shell) -> None:
    output = shell("--help").output
    for command in ("evaluate", "train", "demo", "data", "model", "attack"):
        assert re.search(rf"^\s+{command}\s+\w", output, re.MULTILINE)


def test_the_help_does_not_import_pytorch() -> None:
    program = (
        "import json, sys\n"
        "from minnorm.cli import main\n"
        f"for words in {[*COMMANDS, ['--version']]!r}:\n"
        "    sys.argv = ['minnorm', *words] + (['--help'] if words != ['--version'] else [])\n"
        "    try:\n"
        "        main()\n"
        "    except SystemExit as end:\n"
        "        assert not end.code\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout.splitlines()[-1]))
    assert "minnorm.cli.commands" in loaded
    assert not loaded & {"torch", "torchvision", "timm", "lightning_fabric", "numpy", "pyarrow"}


def test_a_group_without_a_command_shows_its_help(shell: Shell) -> None:
    for group in ("data", "model", "attack"):
        outcome = shell(group)
        assert "list" in outcome.output + outcome.errors
        assert "Traceback" not in outcome.errors


def test_the_version_is_that_of_the_package(shell: Shell) -> None:
    outcome = shell("--version")
    assert outcome.code == 0
    assert outcome.output == f"minnorm {importlib.metadata.version('minnorm')}\n"


@pytest.mark.parametrize(
    "error", [InputError("the reason"), OSError("the reason"), FileNotFoundError("the reason")]
)
def test_bad_input_is_one_message(
    shell: Shell, failing: list[BaseException], error: Exception
) -> None:
    failing.append(error)
    outcome = shell("model", "list")
    assert outcome.code == 2
    assert outcome.output == ""
    assert outcome.errors == "error: the reason\n"


@pytest.mark.parametrize(
    "error", [ValueError("the reason"), RuntimeError("the reason"), ImportError("the reason")]
)
def test_another_error_is_a_bug_with_its_traceback_and_where_to_report_it(
    shell: Shell,
    failing: list[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    metadata = Message()
    metadata["Version"] = "1.2.3"
    metadata["Project-URL"] = "Homepage, https://example.org"
    metadata["Project-URL"] = "Issues, https://example.org/issues"
    monkeypatch.setattr(importlib.metadata, "metadata", lambda _: metadata)
    failing.append(error)
    outcome = shell("model", "list")
    assert outcome.code == 70
    assert outcome.output == ""
    *trace, last = outcome.errors.splitlines()
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == f"{type(error).__name__}: the reason"
    assert last == (
        "This is a bug in minnorm 1.2.3. Please report it at "
        "https://example.org/issues with the command and the traceback."
    )


def test_debug_shows_the_traceback_of_bad_input(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINNORM_DEBUG", "")  # so that it is restored at the end
    words = ["evaluate", "banana", DATA, "--attack", ATTACK, "--out", str(tmp_path / "out")]
    assert "Traceback" not in shell(*words).errors
    outcome = shell("--debug", *words)
    assert outcome.code == 2
    assert "Traceback" in outcome.errors
    assert "cannot read 'banana' as a model" in outcome.message


def test_an_interruption_is_followed_by_how_to_continue(shell: Shell, tmp_path: Path) -> None:
    model = f"{TINY}:interrupted"
    outcome = shell("evaluate", model, DATA, "--attack", ATTACK, "--out", str(tmp_path / "out"))
    assert outcome.code == 130
    assert "interrupted: run the same command again to continue" in outcome.message


@pytest.mark.parametrize("error", [InputError("the reason"), ValueError("the reason")])
def test_ranks_other_than_the_first_wait_before_they_print_an_error(
    shell: Shell,
    failing: list[BaseException],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    failing.append(error)
    first = shell("model", "list")
    assert waits == []
    monkeypatch.setattr(MAIN, "is_first_rank", lambda: False)
    other = shell("model", "list")
    assert waits == [10.0]
    assert (other.code, "the reason" in other.errors) == (first.code, True)


@pytest.mark.slow
def test_two_ranks_print_one_message(tmp_path: Path) -> None:
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=0)", "--out", str(tmp_path / "out")]
    done = on_two_ranks("minnorm", *words)
    assert done.returncode != 0
    assert done.stdout == ""
    assert done.stderr.count("error: steps=0: expected a whole number") == 1, done.stderr


def test_the_module_runs_the_entry_point() -> None:
    # `minnorm.cli.main` is the function, because the package exports it under the module's name.
    assert entry_point is MAIN.main
