"""A finished run for the tests of evaluations."""

import shutil
from pathlib import Path

import pytest

from evaluation.small_runs import run
from minnorm.runtime import provenance


@pytest.fixture(autouse=True)
def one_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give all sessions the same revision, whatever is edited while the tests run."""
    monkeypatch.setattr(provenance, "revision", lambda: "abc")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read and copied but never changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(provenance, "revision", lambda: "abc")
        run(out)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be changed."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))
