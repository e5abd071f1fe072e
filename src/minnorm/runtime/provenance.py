"""Provenance: the code revision, versions and hardware that every result file carries."""

import hashlib
import importlib.metadata
import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from minnorm.runtime import ranks
from minnorm.runtime.system_files import read_lines

LIBRARIES = ("minnorm", "torch", "torchvision", "timm", "numpy", "lightning-fabric")
"""The libraries whose versions can change a result."""


def describe(device: torch.device) -> dict[str, Any]:
    """Return the revision of the code, the versions of the libraries, and the hardware."""
    return {"revision": revision(), "versions": versions(), "hardware": hardware(device)}


def session(device: torch.device) -> dict[str, Any]:
    """Return a description of this process: its start time, the number of ranks, `describe`."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "ranks": ranks.world_size(),
        **describe(device),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python and of those `LIBRARIES` that are installed."""
    found = {"python": platform.python_version()}
    for library in LIBRARIES:
        try:
            found[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def hardware(device: torch.device) -> dict[str, Any]:
    """Describe the machine: processor, cores, threads, memory, and the GPU if `device` is one."""
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


def revision() -> str:
    """Return the commit of the package's code; if files changed since, with a hash of the changes.

    For example `1f3a...-dirty-5b0c2e91`.

    Outside a git checkout of the package, return its version.
    """
    here = Path(__file__)
    package = here.parents[1]

    def git(*words: str) -> str | None:
        try:
            done = subprocess.run(
                ["git", "-C", str(package), *words], capture_output=True, text=True, check=False
            )
        except OSError:
            return None
        return done.stdout.strip() if done.returncode == 0 else None

    # A virtual environment may be inside the checkout of another project: is this file tracked?
    if git("ls-files", "--error-unmatch", str(here)) is None:
        return importlib.metadata.version("minnorm")
    commit = git("rev-parse", "HEAD")
    changes = git("diff", "--no-ext-diff", "--no-color", "HEAD", "--", str(package))
    if not changes:
        return str(commit)
    return f"{commit}-dirty-{hashlib.sha256(changes.encode()).hexdigest()[:8]}"


def _processor() -> str:
    lines = read_lines(Path("/proc/cpuinfo"))
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()
