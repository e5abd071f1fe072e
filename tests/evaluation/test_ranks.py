"""Two ranks give the records of one."""

import subprocess
import sys
from pathlib import Path

import pytest

from evaluation.record_tables import same
from minnorm.evaluation import evaluate, load_run, of_attack

TESTS = Path(__file__).parent.parent
MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:25]"
ATTACKS = ["ddn(steps=10)", "ddn(steps=5)"]

pytestmark = pytest.mark.slow


def two_ranks(
    out: Path, *, data: str = DATA, attacks: list[str] = ATTACKS, targets: str = "random:2"
) -> "subprocess.CompletedProcess[str]":
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command = ["--nproc-per-node", "2", "-m", "minnorm", "evaluate", MODEL, data]
    options = [word for attack in attacks for word in ("--attack", attack)]
    options += ["--out", str(out), "--targets", targets, "--batch-size", "4"]
    # The time limit ends a run that hangs.
    return subprocess.run(
        [*launcher, *command, *options],
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    evaluate(MODEL, DATA, ATTACKS, out=out, targets="random:2", batch_size=4)
    return out


def test_two_ranks_give_exactly_the_records_of_one(tmp_path: Path, alone: Path) -> None:
    done = two_ranks(tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("worst case, hardest target") == 1  # only the first rank prints
    run, expected = load_run(tmp_path / "run"), load_run(alone)
    assert len(expected.records) == 25 * 2 * 2
    assert same(run.records, expected.records)
    assert run.manifest["configuration"] == expected.manifest["configuration"]
    assert [session["ranks"] for session in run.manifest["sessions"]] == [2]
    for path in sorted((alone / "adversarials").iterdir()):
        assert (tmp_path / "run" / "adversarials" / path.name).read_bytes() == path.read_bytes()


def test_two_ranks_continue_a_run_that_one_started(tmp_path: Path, alone: Path) -> None:
    out = tmp_path / "run"
    evaluate(MODEL, DATA, ATTACKS, out=out, targets="random:2", batch_size=4)
    shards = sorted((out / "records").iterdir())
    kept = shards[:3] + shards[9:10]
    for path in set(shards) - set(kept):
        path.unlink()
    times = [path.stat().st_mtime_ns for path in kept]
    done = two_ranks(out)
    assert done.returncode == 0, done.stderr
    assert same(load_run(out).records, load_run(alone).records)
    assert [path.stat().st_mtime_ns for path in kept] == times


def test_two_ranks_add_an_attack_to_a_run_of_one(tmp_path: Path, alone: Path) -> None:
    out = tmp_path / "run"
    evaluate(MODEL, DATA, ATTACKS[1:], out=out, targets="random:2", batch_size=4)
    times = [path.stat().st_mtime_ns for path in sorted((out / "records").iterdir())]
    done = two_ranks(out, attacks=ATTACKS)
    assert done.returncode == 0, done.stderr
    found = sorted((out / "records").iterdir())
    assert [path.stat().st_mtime_ns for path in found if path.stem.endswith("-00")] == times
    run = load_run(out)
    for attack in ATTACKS:
        expected = of_attack(load_run(alone).records, attack)
        assert same(of_attack(run.records, attack), expected)
    assert [session["ranks"] for session in run.manifest["sessions"]] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": "all"}, "holds a run of another configuration"),
        ({"attacks": ["dnn"]}, "Did you mean 'ddn'?"),
        ({"data": "evaluation.tiny_models:one_bad"}, "samples 12 to 15: inputs hold NaN"),
    ],
    ids=["first rank refuses", "all refuse", "second rank fails"],
)
def test_a_refusal_ends_all_ranks(
    tmp_path: Path, alone: Path, changes: dict[str, object], message: str
) -> None:
    out = alone if "targets" in changes else tmp_path / "run"
    done = two_ranks(out, **changes)  # type: ignore[arg-type] # names of its own arguments
    assert done.returncode != 0
    assert message in done.stderr
