"""A module of Python on two ranks."""

import os
import subprocess
import sys
from pathlib import Path


def on_two_ranks(module: str, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run a module with the words of its command line on two ranks; a hang is a failure."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    return subprocess.run(
        [*launcher, "--nproc-per-node", "2", "-m", module, *words],
        cwd=Path(__file__).parent, capture_output=True, text=True, timeout=120, check=False,
        # The modules that this process imports, in particular the same checkout of the package.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
