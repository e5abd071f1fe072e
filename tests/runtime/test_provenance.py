"""Provenance: versions, hardware, sessions, and the revision of the code."""

import json
import platform
import re
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from minnorm.runtime import provenance

CPU = torch.device("cpu")


def test_versions_are_those_of_the_installed_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "LIBRARIES", ("minnorm", "torch", "no-such-library"))
    assert provenance.versions() == {
        "python": platform.python_version(),
        "minnorm": version("minnorm"),
        "torch": version("torch"),
    }


def test_hardware_can_be_written_as_json() -> None:
    found = provenance.hardware(CPU)
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] >= 1
    assert found["threads"] == torch.get_num_threads()
    assert 0.1 < found["memory_gib"] < 1e5
    assert found["processor"]
    assert "gpu" not in found


def test_hardware_names_the_gpu_that_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"the GPU {device}")
    assert provenance.hardware(torch.device("cuda:1"))["gpu"] == "the GPU cuda:1"


def test_the_processor_has_a_name_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_: Path) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", refused)
    monkeypatch.setattr(platform, "processor", lambda: "a processor")
    assert provenance.hardware(CPU)["processor"] == "a processor"


def test_a_session_is_the_description_with_its_start_and_the_number_of_ranks() -> None:
    before = datetime.now(UTC) - timedelta(seconds=1)
    found = provenance.session(CPU)
    assert before <= datetime.fromisoformat(found.pop("started")) <= datetime.now(UTC)
    assert found.pop("ranks") == 1
    assert found == provenance.describe(CPU)
    assert set(found) == {"revision", "versions", "hardware"}


def _checkout(folder: Path, monkeypatch: pytest.MonkeyPatch, *, commit: bool) -> Path:
    """Make a git checkout with a package in it, and pretend that the module is part of it."""
    module = folder / "package" / "runtime" / "provenance.py"
    module.parent.mkdir(parents=True)
    for file in (module, folder / "package" / "other.py", folder / "outside.py"):
        file.write_text("# first\n")

    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)

    git("init", "--quiet")
    if commit:
        git("add", ".")
        git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(provenance, "__file__", str(module))
    return folder


def test_the_revision_is_the_commit_and_says_if_the_package_has_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _checkout(tmp_path, monkeypatch, commit=True)
    (folder / "package" / "new.py").write_text("# an untracked file is not a change\n")
    (folder / "outside.py").write_text("# a file outside the package is not a change\n")
    clean = provenance.revision()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    (folder / "package" / "other.py").write_text("# changed\n")
    changed = provenance.revision()
    assert re.fullmatch(rf"{clean}-dirty-[0-9a-f]{{8}}", changed)
    assert provenance.revision() == changed
    (folder / "package" / "other.py").write_text("# changed again\n")
    assert provenance.revision() != changed


def test_the_revision_inside_a_checkout_of_another_project_is_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _checkout(tmp_path, monkeypatch, commit=False)
    assert provenance.revision() == version("minnorm")


def test_the_revision_without_git_is_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.revision() == version("minnorm")
