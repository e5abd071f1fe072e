"""Devices, ranks and provenance."""

import json
import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import torch

from minnorm import runtime


def test_the_default_device_is_the_gpu_of_this_rank_or_the_cpu(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert runtime.default_device() == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert runtime.default_device() == torch.device("cuda:0")
    monkeypatch.setenv("LOCAL_RANK", "3")
    assert runtime.default_device() == torch.device("cuda:3")


def test_the_cpu_is_a_device() -> None:
    assert runtime.parse_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["", "banana", "cuda:99", "cuda:x", "xla", "hpu", "mtia"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    message = f"cannot use the device {re.escape(repr(name))} .* This machine has: cpu"
    with pytest.raises(ValueError, match=message):
        runtime.parse_device(name)


@pytest.mark.parametrize("chosen", [True, False])
def test_what_a_user_chose_for_float32_is_restored(chosen: bool) -> None:
    cudnn = torch.backends.cudnn
    before = cudnn.allow_tf32
    try:
        cudnn.allow_tf32 = chosen
        with runtime.full_float32():
            assert not cudnn.allow_tf32
        assert cudnn.allow_tf32 == chosen
    finally:
        cudnn.allow_tf32 = before


def test_a_process_alone_is_rank_0_of_1() -> None:
    with runtime.ranks():
        runtime.barrier()
        assert (runtime.rank(), runtime.world_size()) == (0, 1)
        assert runtime.gather({"a": 1}) == [{"a": 1}]


RANK_PROGRAM = """
import json, sys
import torch.distributed as dist
from minnorm import runtime
with runtime.ranks():
    with runtime.ranks():  # once inside, it does not join again, nor leave before its time
        pass
    runtime.barrier()
    seen = [runtime.rank(), runtime.world_size(), runtime.gather("r" + str(runtime.rank()))]
open(f"{sys.argv[1]}/{seen[0]}.json", "w").write(json.dumps([*seen, dist.is_initialized()]))
"""


@pytest.mark.slow
def test_two_ranks_gather_in_order_and_leave_the_group(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(RANK_PROGRAM)
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    subprocess.run(
        [*launcher, "--nproc-per-node=2", str(program), str(tmp_path)], check=True, timeout=120
    )
    for rank in (0, 1):
        seen = json.loads((tmp_path / f"{rank}.json").read_text())
        assert seen == [rank, 2, ["r0", "r1"], False]


def test_versions_are_those_of_the_libraries_that_are_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runtime, "LIBRARIES", ("minnorm", "torch", "no-such-library"))
    assert runtime.versions() == {
        "python": platform.python_version(),
        "minnorm": version("minnorm"),
        "torch": version("torch"),
    }


def test_hardware_can_be_written_as_json() -> None:
    found = runtime.hardware(torch.device("cpu"))
    assert json.loads(json.dumps(found)) == found
    assert found["cores"] >= 1
    assert found["threads"] == torch.get_num_threads()
    assert found["processor"]
    assert "gpu" not in found


def _checkout(folder: Path, monkeypatch: pytest.MonkeyPatch, *, commit: bool) -> Path:
    """Makes a git checkout that holds a copy of the module, and lets the module lie in it."""
    package = folder / "package"
    package.mkdir()
    module = package / "runtime.py"
    module.write_text("# a copy\n")

    def git(*words: str) -> None:
        identity = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
        subprocess.run(["git", "-C", str(folder), *identity, *words], check=True)

    git("init", "--quiet")
    if commit:
        git("add", ".")
        git("commit", "--quiet", "-m", "first")
    monkeypatch.setattr(runtime, "__file__", str(module))
    return module


def test_the_revision_is_the_commit_marked_when_the_code_was_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = _checkout(tmp_path, monkeypatch, commit=True)
    (module.parent / "new.py").write_text("# untracked files are no change\n")
    clean = runtime.revision()
    assert re.fullmatch(r"[0-9a-f]{40}", clean)
    module.write_text("# changed\n")
    assert runtime.revision() == f"{clean}-dirty"


def test_the_revision_inside_a_checkout_of_something_else_is_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _checkout(tmp_path, monkeypatch, commit=False)
    assert runtime.revision() == version("minnorm")


def test_the_revision_without_git_is_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert runtime.revision() == version("minnorm")
