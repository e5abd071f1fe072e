"""CPU threads: cores that may be used, the share of a rank, and more threads than cores."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from minnorm.runtime import threads

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine with four cores, no quota and no processes, to which a test adds."""
    monkeypatch.setattr(threads, "_PROC", tmp_path)
    monkeypatch.setattr(threads, "_affinity", lambda: {0, 1, 2, 3})
    monkeypatch.setattr(threads, "_quotas", list)
    monkeypatch.setattr(threads, "_warned", set())
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for name in (*VARIABLES, "TORCHELASTIC_RUN_ID", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def _ranks(monkeypatch: pytest.MonkeyPatch, count: int, rank: int = 0) -> None:
    """Let this process be one of several ranks on one machine."""
    values = (rank, count, rank, count, "localhost", 29500)
    for name, value in zip(VARIABLES, values, strict=True):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")


def _process(proc: Path, number: int, states: str, processor: int = 0) -> None:
    """Add a process with a thread in each of these states."""
    for thread, state in enumerate(states, number):
        folder = proc / str(number) / "task" / str(thread)
        folder.mkdir(parents=True)
        between = " ".join(["0"] * 35)
        (folder / "stat").write_text(f"{thread} (a b) R) {state} {between} {processor} 0 0\n")


def _warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    caplog.clear()
    with caplog.at_level(logging.WARNING, "minnorm"):
        threads.warn_if_crowded()
    return caplog.messages


@pytest.mark.parametrize(
    ("threads_here", "others", "available", "advice"),
    [
        (2, 0, 2, None),
        (1, 1, 2, None),
        (2, 2, 2, "OMP_NUM_THREADS=1 "),
        (2, 1, 2, "OMP_NUM_THREADS=1 "),
        (8, 3, 8, "OMP_NUM_THREADS=5 "),
        (8, 100, 8, "OMP_NUM_THREADS=1 "),
        (16, 0, 2, "OMP_NUM_THREADS=2 "),  # a quota, which PyTorch does not read
    ],
)
def test_more_threads_than_cores_are_told_with_what_to_set(
    threads_here: int, others: int, available: int, advice: str | None
) -> None:
    found = threads.crowding(threads_here, others, available)
    assert (found is None) == (advice is None)
    if found is not None and advice is not None:
        assert advice in found
        assert ("other processes" in found) == (others > 0)


def test_the_warning_comes_once(proc: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert _warnings(caplog) == []
    _process(proc, 100, "RRS")
    (found,) = _warnings(caplog)
    assert "4 threads on 4 cores, beside 2 running threads" in found
    assert "OMP_NUM_THREADS=2" in found
    _process(proc, 200, "R")
    assert _warnings(caplog) == []


def test_only_threads_that_run_on_the_same_cores_count(
    proc: Path, caplog: pytest.LogCaptureFixture
) -> None:
    _process(proc, os.getpid(), "RRRR")  # this process
    _process(proc, 100, "SDZTI")
    _process(proc, 200, "R", processor=4)
    (proc / "300" / "task" / "300").mkdir(parents=True)  # it has ended meanwhile
    (proc / "400" / "task" / "400").mkdir(parents=True)
    (proc / "400" / "task" / "400" / "stat").write_text("damaged")
    assert _warnings(caplog) == []
    _process(proc, 500, "R", processor=-1)  # the system does not say where
    assert len(_warnings(caplog)) == 1


def test_a_short_interruption_is_no_reason_to_warn(
    proc: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = [3, 0]
    monkeypatch.setattr(threads, "_running_elsewhere", lambda: counts.pop(0))
    assert proc.is_dir()
    assert _warnings(caplog) == []
    assert counts == []


def test_a_single_thread_has_none_to_wait_for(
    proc: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    _process(proc, 100, "RRRRRRRR")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert _warnings(caplog) == []


def test_under_a_quota_only_processes_of_the_same_group_count(
    proc: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_quotas", lambda: [2.5, 3.5])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    assert threads.cores() == 3
    for number, group in ((100, "0::/other"), (200, "0::/own")):
        _process(proc, number, "R")
        (proc / str(number) / "cgroup").write_text(f"{group}\n")
    (proc / "self").mkdir()
    (proc / "self" / "cgroup").write_text("0::/own\n")
    (found,) = _warnings(caplog)
    assert "3 threads on 3 cores, beside 1 running threads" in found


def test_ranks_count_each_other_and_the_first_warns(
    proc: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    _ranks(monkeypatch, 2)
    _process(proc, 100, "RR")  # the other rank
    assert _warnings(caplog) == []
    _ranks(monkeypatch, 3, rank=1)
    assert _warnings(caplog) == []
    _ranks(monkeypatch, 3)
    assert len(_warnings(caplog)) == 1


def test_without_linux_there_is_no_warning(
    proc: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(threads, "_PROC", proc / "missing")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    assert _warnings(caplog) == []


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, []),
        ({"/sys/fs/cgroup/a/cpu.max": "max 100000"}, []),
        ({"/sys/fs/cgroup/a/cpu.max": "250000 100000"}, [2.5]),
        ({"/sys/fs/cgroup/cpu.max": "50000 100000"}, [0.5]),
        ({"/sys/fs/cgroup/a/cpu.max": "damaged"}, []),
        ({"/sys/fs/cgroup/a/cpu.max": "100000 0"}, []),
        (
            {
                "/sys/fs/cgroup/cpu/b/cpu.cfs_quota_us": "300000",
                "/sys/fs/cgroup/cpu/b/cpu.cfs_period_us": "100000",
                "/sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1",
                "/sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
            },
            [3.0],
        ),
    ],
)
def test_quotas_are_read_from_control_groups(
    monkeypatch: pytest.MonkeyPatch, files: dict[str, str], expected: list[float]
) -> None:
    root = Path("/sys/fs/cgroup")
    groups = {"": [root / "a", root], "cpu": [root / "cpu" / "b", root / "cpu"]}
    monkeypatch.setattr(threads, "control_groups", lambda name="": groups[name])
    monkeypatch.setattr(threads, "read_lines", lambda path: files.get(str(path), "").splitlines())
    assert threads._quotas() == expected


@pytest.mark.parametrize(
    ("affinity", "quotas", "expected"),
    [(4, [], 4), (4, [2.0], 2), (4, [1.5], 2), (4, [0.5], 1), (2, [8.0], 2), (8, [3.0, 5.0], 3)],
)
def test_the_cores_are_those_of_the_affinity_or_the_quota(
    monkeypatch: pytest.MonkeyPatch, affinity: int, quotas: list[float], expected: int
) -> None:
    monkeypatch.setattr(threads, "_affinity", lambda: set(range(affinity)))
    monkeypatch.setattr(threads, "_quotas", lambda: quotas)
    assert threads.cores() == expected


@pytest.fixture
def chosen(proc: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The numbers of threads that are set."""
    numbers: list[int] = []
    assert proc.is_dir()
    monkeypatch.setattr(torch, "set_num_threads", numbers.append)
    return numbers


@pytest.mark.parametrize(("ranks", "share"), [(2, 2), (3, 1), (4, 1), (8, 1)])
def test_ranks_share_the_cores_and_restore_the_threads(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch, ranks: int, share: int
) -> None:
    _ranks(monkeypatch, ranks)
    with threads.shared_cores():
        assert chosen == [share]
    assert chosen == [share, 4]


def test_the_threads_are_restored_after_an_error(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _ranks(monkeypatch, 2)

    @threads.shared_cores()
    def failing() -> None:
        raise KeyError

    for _ in range(2):
        with pytest.raises(KeyError):
            failing()
    assert chosen == [2, 4, 2, 4]


def test_a_process_alone_keeps_its_threads(chosen: list[int]) -> None:
    with threads.shared_cores():
        pass
    assert chosen == []


@pytest.mark.parametrize(
    ("value", "parent", "expected"),
    [
        ("1", b"HOME=/\0PATH=/bin\0", [2, 4]),  # torchrun's own default
        ("1", b"HOME=/\0OMP_NUM_THREADS=1\0", []),
        ("1", None, []),  # the environment of the parent cannot be read
        ("3", b"HOME=/\0", []),
    ],
)
def test_threads_that_the_user_has_set_stay(
    chosen: list[int],
    monkeypatch: pytest.MonkeyPatch,
    value: str,
    parent: bytes | None,
    expected: list[int],
) -> None:
    _ranks(monkeypatch, 2)
    proc = threads._PROC
    monkeypatch.setenv("OMP_NUM_THREADS", value)
    if parent is not None:
        (proc / str(os.getppid())).mkdir()
        (proc / str(os.getppid()) / "environ").write_bytes(parent)
    with threads.shared_cores():
        pass
    assert chosen == expected


def test_the_threads_of_a_launcher_other_than_torchrun_are_the_users(
    chosen: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    _ranks(monkeypatch, 2)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    with threads.shared_cores():
        pass
    assert chosen == []


RANK_PROGRAM = """
import sys
from pathlib import Path
import torch
from minnorm.runtime import threads
threads.cores = lambda: 6
with threads.shared_cores():
    inside = torch.get_num_threads()
Path(sys.argv[1], f"{threads.local_rank()}").write_text(f"{inside} {torch.get_num_threads()}")
"""


@pytest.mark.parametrize(("variable", "expected"), [(None, "3 1"), ("1", "1 1")])
@pytest.mark.slow
def test_ranks_of_torchrun_share_the_cores_unless_the_user_says_otherwise(
    tmp_path: Path, variable: str | None, expected: str
) -> None:
    program = tmp_path / "program.py"
    program.write_text(RANK_PROGRAM)
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if variable is not None:
        environment["OMP_NUM_THREADS"] = variable
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2"]
    subprocess.run(
        [*command, str(program), str(tmp_path)], check=True, env=environment, capture_output=True
    )
    assert [(tmp_path / name).read_text() for name in "01"] == [expected, expected]
