"""Files that cannot be written: one message, which names the file and its option."""

from pathlib import Path

import pytest

from cli.command_line import Shell
from evaluation.small_runs import run

LENGTH = 252
"""The length of a name that leaves no room for that of a temporary file."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read but never changed."""
    out = tmp_path_factory.mktemp("runs") / "it"
    run(out, data="mnist-sample[:4]", attacks="ddn(steps=2)")
    return out


@pytest.mark.parametrize(
    ("words", "option", "ending"),
    [
        (["show", "RUN", "--format", "csv"], "--out", ".csv"),
        (["report", "RUN"], "--out", ".html"),
        (["figure", "curves", "RUN"], "--out", ".pdf"),
        (["gate", "RUN", "--require", "success >= 0"], "--junit", ".xml"),
        (["gate", "RUN", "--require", "success >= 0"], "--markdown", ".md"),
        (["export", "RUN"], "--out", ".npz"),
        (["export", "RUN"], "--out", ".safetensors"),
        (["export", "RUN", "--format", "png"], "--out", ""),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_a_file_that_cannot_be_written_is_bad_input(
    shell: Shell, finished: Path, words: list[str], option: str, ending: str
) -> None:
    given = [str(finished) if word == "RUN" else word for word in words]
    name = ending.rjust(LENGTH, "x")
    outcome = shell(*given, option, name)
    assert outcome.code == 2
    assert f"error: {name} cannot be written: " in outcome.message
    assert outcome.message.strip().endswith(f". Name another place with {option}.")
    assert ".tmp" not in outcome.errors
    assert "Traceback" not in outcome.errors
