"""Runs that are killed at any moment continue: nothing is lost, nothing is there twice."""

import json
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest

from evaluation.record_tables import same
from minnorm.evaluation import evaluate, load_run

TESTS = Path(__file__).parent.parent
MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:300]"
ATTACKS = ["ddn(steps=150)", "ddn(steps=140, levels=256)"]
BATCH_SIZE = 20
UNITS = 2 * 15
"""Two attacks on 15 batches: three to four seconds of work."""

pytestmark = pytest.mark.slow


def start(out: Path) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "minnorm", "evaluate", MODEL, DATA]
    attacks = [word for attack in ATTACKS for word in ("--attack", attack)]
    options = ["--batch-size", str(BATCH_SIZE), "--accelerate", "off", "--out", str(out)]
    # In the folder of the tests, so that the model's module is found there.
    return subprocess.Popen([*command, *attacks, *options], cwd=TESTS, stdout=subprocess.DEVNULL)


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
        while process.poll() is None and time.monotonic() < deadline:
            if sessions(out) > sessions_before and shards(out) >= shards_before + units:
                break
            time.sleep(0.01)
        time.sleep(delay)
    finally:
        process.kill()
    process.wait(timeout=60)
    return shards(out)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same run, not killed; in this process, which has loaded everything already."""
    out = tmp_path_factory.mktemp("runs") / "undisturbed"
    evaluate(MODEL, DATA, ATTACKS, out=out, batch_size=BATCH_SIZE, accelerate="off")
    return out


@pytest.mark.parametrize("seed", range(4))
def test_a_run_killed_twice_ends_with_the_records_of_one_that_was_not(
    tmp_path: Path, undisturbed: Path, seed: int
) -> None:
    source = random.Random(seed)  # noqa: S311 - no secret
    out = tmp_path / "run"
    for _ in range(2):
        kill_after(out, source.randint(0, 6), source.uniform(0.0, 0.2))
    assert shards(out) < UNITS
    found = evaluate(MODEL, DATA, ATTACKS, out=out, batch_size=BATCH_SIZE, accelerate="off")
    assert shards(out) == UNITS
    assert not list(out.rglob("*.tmp"))
    assert same(found.records, load_run(undisturbed).records)
    assert len(found.records) == 2 * 300
