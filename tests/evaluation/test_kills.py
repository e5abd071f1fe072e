"""Runs that are killed at any moment, and gone on with: nothing is lost, nothing is there twice."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluation.test_evaluate import same
from minnorm.evaluation import load_run

TESTS = Path(__file__).parent.parent
KILLS = 20
KILLS_IN_A_RUN = 4
UNITS = 2 * 15
"""Two attacks on 15 batches: three to four seconds of work."""


def start(out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "minnorm", "evaluate", "evaluation.tiny_models:linear"]
    attacks = ["--attack", "ddn(steps=150)", "--attack", "ddn(steps=140, levels=256)"]
    options = ["mnist-sample[:300]", *attacks, "--batch-size", "20", "--out", str(out)]
    # In the folder of the tests, so that the model's module is found there.
    return subprocess.Popen([*command, *options], cwd=TESTS, stdout=subprocess.DEVNULL)


def finish(out: Path) -> None:
    assert start(out).wait(timeout=120) == 0


def shards(out: Path) -> int:
    return len(list((out / "records").glob("*.parquet")))


def kill_while_it_works(out: Path, units: int, delay: float) -> int:
    """Starts a run, kills it a while after so many new units, and gives its finished units.

    By units and not by the clock alone: how long the first one takes depends on the machine.
    """
    sessions_before, shards_before = len(sessions(out)), shards(out)
    process = start(out)
    try:
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:
            if len(sessions(out)) > sessions_before and shards(out) >= shards_before + units:
                break
            time.sleep(0.01)
        time.sleep(delay)
    finally:
        process.kill()
    process.wait(timeout=60)
    return shards(out)


def sessions(out: Path) -> list[object]:
    """Gives the sessions in the manifest; each process that claims the folder adds one."""
    if not (out / "manifest.json").exists():
        return []
    return list(json.loads((out / "manifest.json").read_text())["sessions"])


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_runs_end_with_the_records_of_one_that_was_not(tmp_path: Path) -> None:
    finish(tmp_path / "undisturbed")
    expected = load_run(tmp_path / "undisturbed").records
    assert len(expected) == 2 * 300
    source = random.Random(0)  # noqa: S311 - no secret
    amid = 0
    for number in range(KILLS // KILLS_IN_A_RUN):
        out = tmp_path / f"run-{number}"
        for _ in range(KILLS_IN_A_RUN):
            done = kill_while_it_works(out, source.randint(0, 4), source.uniform(0.0, 0.3))
            amid += 0 < done < UNITS
        finish(out)
        assert shards(out) == UNITS
        assert not list(out.rglob("*.tmp"))
        assert same(load_run(out).records, expected)
    assert amid >= 3 * KILLS // 4
