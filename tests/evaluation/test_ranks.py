"""Two ranks give the records of one."""

import json
import shutil
from pathlib import Path

import pytest

from evaluation.record_tables import same
from minnorm.evaluation import evaluate, load_run, of_attack
from two_ranks import on_two_ranks

MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:25]"
ATTACKS = ["ddn(steps=10)", "ddn(steps=5)"]

pytestmark = pytest.mark.slow


def evaluation(
    out: Path, *, data: str = DATA, attacks: list[str] = ATTACKS, targets: str = "random:2"
) -> list[str]:
    options = [word for attack in attacks for word in ("--attack", attack)]
    options += ["--out", str(out), "--targets", targets, "--batch-size", "4"]
    return ["evaluate", MODEL, data, *options]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "alone"
    evaluate(MODEL, DATA, ATTACKS, out=out, targets="random:2", batch_size=4)
    return out


Times = dict[str, dict[Path, int]]


@pytest.fixture(scope="module")
def runs(alone: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Times]:
    """Return a folder of runs that two ranks have finished, and when earlier shards were written.

    `new` had none, `continued` some of a single process, and `added` those of one of the attacks.
    """
    folder = tmp_path_factory.mktemp("two")
    shutil.copytree(alone, folder / "continued")
    shards = sorted((folder / "continued" / "records").iterdir())
    for path in set(shards) - {*shards[:3], shards[9]}:
        path.unlink()
    evaluate(MODEL, DATA, ATTACKS[1:], out=folder / "added", targets="random:2", batch_size=4)
    times = {
        name: {path: _written(path) for path in (folder / name / "records").iterdir()}
        for name in ("continued", "added")
    }
    names = ("new", "continued", "added")
    commands = [json.dumps(evaluation(folder / name)) for name in names]
    done = on_two_ranks("several_commands", *commands)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("worst case, hardest target") == 3  # only the first rank prints
    return folder, times


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns


def test_two_ranks_give_exactly_the_records_of_one(runs: tuple[Path, Times], alone: Path) -> None:
    out = runs[0] / "new"
    run, expected = load_run(out), load_run(alone)
    assert len(expected.records) == 25 * 2 * 2
    assert same(run.records, expected.records)
    assert run.manifest["configuration"] == expected.manifest["configuration"]
    assert [session["ranks"] for session in run.manifest["sessions"]] == [2]
    for path in sorted((alone / "adversarials").iterdir()):
        assert (out / "adversarials" / path.name).read_bytes() == path.read_bytes()


def test_two_ranks_continue_a_run_that_one_started(runs: tuple[Path, Times], alone: Path) -> None:
    folder, times = runs
    assert same(load_run(folder / "continued").records, load_run(alone).records)
    kept = times["continued"]
    assert len(kept) == 4
    assert {path: _written(path) for path in kept} == kept


def test_two_ranks_add_an_attack_to_a_run_of_one(runs: tuple[Path, Times], alone: Path) -> None:
    folder, times = runs
    found = (folder / "added" / "records").iterdir()
    assert {path: _written(path) for path in found if path.stem.endswith("-00")} == times["added"]
    run = load_run(folder / "added")
    for attack in ATTACKS:
        expected = of_attack(load_run(alone).records, attack)
        assert same(of_attack(run.records, attack), expected)
    assert [session["ranks"] for session in run.manifest["sessions"]] == [1, 2]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"targets": "all"}, "holds a run of another configuration"),
        ({"data": "evaluation.tiny_models:one_bad"}, "samples 12 to 15: inputs hold NaN"),
    ],
    ids=["first rank refuses", "second rank fails"],
)
def test_a_refusal_ends_all_ranks(
    tmp_path: Path, alone: Path, changes: dict[str, object], message: str
) -> None:
    out = alone if "targets" in changes else tmp_path / "run"
    words = evaluation(out, **changes)  # type: ignore[arg-type] # names of its own arguments
    done = on_two_ranks("minnorm", *words)
    assert done.returncode != 0
    assert message in done.stderr
