"""Memory: what is available, which errors mean too little, and keeping what is freed."""

import ctypes
import os
import sys
from types import SimpleNamespace

import pytest
import torch

from minnorm.runtime import memory, system_files

CPU = torch.device("cpu")


def test_errors_of_pytorch_and_python_are_recognized() -> None:
    assert memory.is_out_of_memory(torch.OutOfMemoryError())
    assert memory.is_out_of_memory(MemoryError())
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**56, dtype=torch.uint8)
    assert memory.is_out_of_memory(caught.value)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("can't allocate memory"), True),
        (RuntimeError("HIP Out Of Memory"), True),
        (RuntimeError("std::bad_alloc"), True),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED"), True),
        (RuntimeError("shapes do not fit"), False),
        (ValueError("can't allocate memory"), False),
    ],
)
def test_other_errors_are_recognized_by_their_words(error: Exception, expected: bool) -> None:
    assert memory.is_out_of_memory(error) == expected


def _files(monkeypatch: pytest.MonkeyPatch, contents: dict[str, list[str]]) -> None:
    """Replace the files of the system by these; the others do not exist."""
    for module in (memory, system_files):
        monkeypatch.setattr(module, "read_lines", lambda path: contents.get(str(path), []))


def test_the_tightest_limit_counts_shared_among_the_ranks(monkeypatch: pytest.MonkeyPatch) -> None:
    files = {
        "/proc/meminfo": ["MemTotal: 9000 kB", "MemAvailable: 6 kB", "Buffers: 1 kB"],
        "/proc/self/cgroup": ["0::/outer/inner"],
        "/sys/fs/cgroup/outer/inner/memory.max": ["max"],
        "/sys/fs/cgroup/outer/inner/memory.current": ["10"],
        "/sys/fs/cgroup/outer/memory.max": ["5000"],
        "/sys/fs/cgroup/outer/memory.current": ["4000"],
        "/sys/fs/cgroup/outer/memory.stat": ["anon 5", "inactive_file 300", "active_file 7"],
    }
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    monkeypatch.setattr(os, "sysconf", lambda _: 1)  # not used if there are limits
    _files(monkeypatch, files)
    assert memory.available_memory(CPU) == 1300
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "2")
    assert memory.available_memory(CPU) == 650
    assert isinstance(memory.available_memory(CPU), int)
    _files(monkeypatch, files | {"/sys/fs/cgroup/outer/memory.max": ["max"]})
    assert memory.available_memory(CPU) == 3 * 1024
    _files(monkeypatch, files | {"/sys/fs/cgroup/outer/memory.current": []})
    assert memory.available_memory(CPU) == 3 * 1024
    monkeypatch.delenv("LOCAL_WORLD_SIZE")
    _files(monkeypatch, files | {"/sys/fs/cgroup/outer/memory.max": ["100"]})
    assert memory.available_memory(CPU) == 0


def test_a_group_at_the_root_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = {"/sys/fs/cgroup/memory.max": ["70"], "/sys/fs/cgroup/memory.current": ["30"]}
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    _files(monkeypatch, limits)
    assert memory.available_memory(CPU) == 40


def test_without_files_half_of_the_machines_memory_is_available(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    _files(monkeypatch, {})
    values = {"SC_PAGE_SIZE": 4096, "SC_PHYS_PAGES": 10}
    monkeypatch.setattr(os, "sysconf", values.__getitem__)
    assert memory.available_memory(CPU) == 4096 * 5
    assert isinstance(memory.available_memory(CPU), int)
    monkeypatch.delattr(os, "sysconf")
    assert memory.available_memory(CPU) == 2**32


def test_this_machine_has_memory() -> None:
    assert memory.available_memory(CPU) > 2**26


def test_of_a_gpu_what_is_free_or_reserved_but_unused_is_available(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    second = torch.device("cuda:1")
    monkeypatch.setattr(torch.cuda, "mem_get_info", {second: (1000, 5000)}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", {second: 300}.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_allocated", {second: 100}.__getitem__)
    assert memory.available_memory(second) == 1200


def _libc(monkeypatch: pytest.MonkeyPatch, accepted: int) -> list[tuple[int, int]]:
    """Replace the C library by one that accepts thresholds up to `accepted`."""
    calls: list[tuple[int, int]] = []

    def mallopt(option: int, value: int) -> int:
        calls.append((option, value))
        return int(value <= accepted)

    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace(mallopt=mallopt))
    return calls


def test_freed_memory_is_kept_by_two_settings_of_glibc(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    calls = _libc(monkeypatch, accepted=2**31)
    memory.keep_freed_memory()
    assert calls == [(-1, 2**31 - 1), (-3, 2**31 - 1)]


def test_an_older_glibc_gets_smaller_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "linux")
    calls = _libc(monkeypatch, accepted=2**25)
    memory.keep_freed_memory()
    assert calls[1::2] == [(-1, 2**25), (-3, 2**25)]


def test_without_linux_and_glibc_nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = _libc(monkeypatch, accepted=2**31)
    monkeypatch.setattr(sys, "platform", "darwin")
    memory.keep_freed_memory()
    assert calls == []
    monkeypatch.setattr(sys, "platform", "linux")
    monkeypatch.setattr(ctypes, "CDLL", lambda _: SimpleNamespace())
    memory.keep_freed_memory()
