"""Where the code runs: devices, ranks, and the provenance that result files carry."""

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

LIBRARIES = ("minnorm", "torch", "torchvision", "timm", "numpy", "lightning-fabric")
"""The libraries whose versions can change a result."""


def default_device() -> torch.device:
    """Gives the GPU of this rank where there is one, else the CPU."""
    if torch.cuda.is_available():
        return torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    return torch.device("cpu")


def parse_device(name: str) -> torch.device:
    """Gives the device of that name, checked by putting a number on it.

    Raises:
        ValueError: If there is no such device on this machine.
    """
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()
    except (RuntimeError, AssertionError, NotImplementedError, ImportError) as error:
        reason = str(error).partition(". ")[0].splitlines()[0][:120]
        raise ValueError(
            f"cannot use the device {name!r} ({reason}). This machine has: {', '.join(_devices())}."
        ) from error
    return device


def _devices() -> list[str]:
    gpus = [f"cuda:{number}" for number in range(torch.cuda.device_count())]
    return ["cpu", *gpus, *(["mps"] if torch.backends.mps.is_available() else [])]


@contextmanager
def ranks() -> Iterator[None]:
    """Joins the process group when started by `torchrun`, and leaves it at the end.

    What the ranks tell each other are small Python objects, so it is done by gloo on any device;
    and since one rank may have much more to do than another, they wait for each other long.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or dist.is_initialized():
        yield
        return
    dist.init_process_group("gloo", timeout=timedelta(days=365))
    try:
        yield
    finally:
        dist.destroy_process_group()


@contextmanager
def full_float32() -> Iterator[None]:
    """Has convolutions of a GPU compute in float32 what is in float32, as a CPU does.

    In TF32, PyTorch's default for them, which has 10 bits behind the point, the decisions near a
    boundary are not those of the model in its own precision. For matrix products full precision is
    the default, which is the user's to change.
    """
    cudnn: Any = torch.backends.cudnn
    # PyTorch takes both the old and the new setting, and refuses to read where they differ.
    kinds = [cudnn.conv, cudnn.rnn] if hasattr(cudnn, "conv") else []  # since PyTorch 2.9
    chosen = [kind.fp32_precision for kind in kinds]
    allowed = "tf32" in chosen if kinds else cudnn.allow_tf32
    cudnn.allow_tf32 = False
    for kind in kinds:
        kind.fp32_precision = "ieee"
    try:
        yield
    finally:
        cudnn.allow_tf32 = allowed
        for kind, precision in zip(kinds, chosen, strict=True):
            kind.fp32_precision = precision


def rank() -> int:
    """Gives the number of this process among all of them, 0 when it is alone."""
    return dist.get_rank() if dist.is_initialized() else 0


def world_size() -> int:
    """Gives the number of processes that work together, 1 when this one is alone."""
    return dist.get_world_size() if dist.is_initialized() else 1


def barrier() -> None:
    """Waits until all ranks are here."""
    if dist.is_initialized():
        dist.barrier()


def gather(value: Any) -> list[Any]:
    """Gives the values of all ranks, in the order of the ranks, to each of them."""
    if not dist.is_initialized():
        return [value]
    values: list[Any] = [None] * world_size()
    dist.all_gather_object(values, value)
    return values


def take_from_first_rank(tensor: Tensor) -> None:
    """Makes a tensor on each rank the one of the first rank, in place."""
    if dist.is_initialized():
        dist.broadcast(tensor, 0)


@contextmanager
def same_on_all_ranks() -> Iterator[None]:
    """Waits for all ranks at the end, and raises on each of them what one of them raised.

    Of what is raised on bad input, that is: `ValueError` and `OSError`.

    Otherwise the others would wait for the one that failed for ever.
    """
    problem: Exception | None = None
    try:
        yield
    except (ValueError, OSError) as error:
        problem = error
    for found in gather(problem):
        if found is not None:
            raise found


def provenance(device: torch.device) -> dict[str, Any]:
    """Gives what a result file carries: the revision of the code, versions, and the hardware."""
    return {"revision": revision(), "versions": versions(), "hardware": hardware(device)}


def session(device: torch.device) -> dict[str, Any]:
    """Gives what is said of who works on a run: since when, how many ranks, `provenance`."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "ranks": world_size(),
        **provenance(device),
    }


def versions() -> dict[str, str]:
    """Gives the versions of Python and of the libraries that can change a result."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: torch.device) -> dict[str, Any]:
    """Describes the machine: processor, cores, threads, memory, and the GPU if it is used."""
    found: dict[str, Any] = {
        "system": platform.platform(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
    }
    if hasattr(os, "sysconf"):
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        found["memory_gib"] = round(memory / 2**30, 1)
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
    return found


def available_memory(device: torch.device) -> int:
    """Gives the bytes of memory of the device that this process may still use.

    On a CPU what the system and the control groups (version 2) of the process leave, shared by the
    ranks of this machine; on a GPU with what PyTorch holds and does not use.
    """
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return int(torch.cuda.mem_get_info(device)[0]) + unused
    free = []
    meminfo = _lines(Path("/proc/meminfo"))
    free += [int(line.split()[1]) * 1024 for line in meminfo if line.startswith("MemAvailable")]
    free += [left for group in _control_groups() if (left := _left_in_group(group)) is not None]
    if not free and hasattr(os, "sysconf"):
        free.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2)
    ranks_here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    return max(min(free, default=2**32), 0) // ranks_here


def _control_groups() -> list[Path]:
    """Gives the folders of the control group of this process, and of those that it is in."""
    root = Path("/sys/fs/cgroup")
    own = [
        line.removeprefix("0::/") for line in _lines(Path("/proc/self/cgroup")) if "0::/" in line
    ]
    folder = root / own[0] if own else root
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _left_in_group(group: Path) -> int | None:
    """Gives the bytes that a control group may still take; `None` where it has no limit."""
    limit, current = (_lines(group / name) for name in ("memory.max", "memory.current"))
    if not limit or not current or not limit[0].isdigit():
        return None
    # What was read from files is given back when it is needed.
    words = [line.split() for line in _lines(group / "memory.stat")]
    cached = sum(int(value) for name, value in words if name == "inactive_file")
    return int(limit[0]) - int(current[0]) + cached


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def revision() -> str:
    """Gives the commit of the package's code, with `-dirty` when it was changed since.

    Outside a git checkout of the package it is the version.
    """
    here = Path(__file__).parent

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(here), *words], capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A virtual environment may lie inside some other project's checkout: ask for our own file.
    if git("ls-files", "--error-unmatch", Path(__file__).name) is None:
        return importlib.metadata.version("minnorm")
    commit = git("rev-parse", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", str(here))
    return f"{commit}-dirty" if changed else str(commit)


def _processor() -> str:
    lines = _lines(Path("/proc/cpuinfo"))
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
