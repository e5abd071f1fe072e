"""A finished run for the tests of evaluations."""

import shutil
from pathlib import Path

import pytest

from evaluation.small_runs import run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read and copied but never changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    run(out)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))
