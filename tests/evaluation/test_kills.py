"""Runs that are killed at any moment continue: nothing is lost, nothing is there twice."""

import json
import multiprocessing
import random
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest

from evaluation.record_tables import same
from minnorm.evaluation import evaluate, load_run

UNITS = 2 * 10
"""Two attacks on ten batches."""

# The processes are forked from one that has loaded PyTorch, but never computed anything.
PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(["minnorm.evaluation.evaluation", "minnorm.attacks"])

pytestmark = pytest.mark.slow


def start(out: Path) -> BaseProcess:
    """Start a run in a process of its own."""
    process = PROCESSES.Process(
        target=evaluate,
        args=(
            "evaluation.tiny_models:linear",
            "mnist-sample[:200]",
            ["ddn(steps=80)", "ddn(steps=70, levels=256)"],
        ),
        kwargs={"out": out, "batch_size": 20, "accelerate": "off"},
    )
    process.start()
    return process


def finish(out: Path) -> None:
    process = start(out)
    process.join(timeout=120)
    assert process.exitcode == 0


def shards(out: Path) -> int:
    return len(list((out / "records").glob("*.parquet")))


def sessions(out: Path) -> int:
    """Return the number of processes that have claimed the folder."""
    path = out / "manifest.json"
    return len(json.loads(path.read_text())["sessions"]) if path.exists() else 0


def kill_after(out: Path, units: int, delay: float) -> int:
    """Start a run, kill it a while after so many new units, and return its finished units.

    The units count, and not only the time, since a first unit takes longer on a slow machine.
    """
    sessions_before, shards_before = sessions(out), shards(out)
    process = start(out)
    try:
        deadline = time.monotonic() + 60
        while process.is_alive() and time.monotonic() < deadline:
            if sessions(out) > sessions_before and shards(out) >= shards_before + units:
                break
            time.sleep(0.005)
        time.sleep(delay)
    finally:
        process.kill()
    process.join(timeout=60)
    return shards(out)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, never killed."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    finish(out)
    return out


@pytest.mark.parametrize("seed", range(5))
def test_a_run_killed_four_times_ends_with_the_records_of_one_that_was_not(
    tmp_path: Path, undisturbed: Path, seed: int
) -> None:
    source = random.Random(seed)  # noqa: S311 - no secret
    out = tmp_path / "run"
    done = [kill_after(out, source.randint(0, 3), source.uniform(0.0, 0.05)) for _ in range(4)]
    assert sum(0 < units < UNITS for units in done) >= 2
    finish(out)
    assert shards(out) == UNITS
    assert not list(out.rglob("*.tmp"))
    found = load_run(out)
    assert same(found.records, load_run(undisturbed).records)
    assert len(found.records) == 2 * 200
    assert not any("incomplete" in warning for warning in found.warnings)
