"""Runs that are read from their directory: how much is there, and what makes them doubtful."""

import json
import shutil
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evaluation.record_tables import same
from evaluation.small_runs import ATTACKS, SHARDS, run
from minnorm.doubts import Doubt
from minnorm.evaluation import (
    Evaluation,
    accuracy_at,
    clean_accuracy,
    closest_records,
    load_run,
    mean_distance,
    median_distance,
    of_attack,
    robustness_curve,
    success_rate,
    summarize,
)

ONE, OTHER = ATTACKS


def remove(copy: Path, *shards: str) -> None:
    for name in shards:
        (copy / "records" / f"{name}.parquet").unlink()


def loaded(path: Path) -> tuple[Evaluation, list[str]]:
    """Read a run, and return it with the warnings that Python would show."""
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")
        found = load_run(path)
    return found, sorted({str(warning.message) for warning in shown})


def test_a_complete_run_is_read_without_a_warning(finished: Path) -> None:
    found, shown = loaded(finished)
    assert (found.warnings, shown) == ((), [])
    assert len(found.records) == 24
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(closest_records(found.records)) == 12
        clean_accuracy(found.records)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (SHARDS[:1], f"1 of 3 batches of {ONE} are missing"),
        (SHARDS[3:], f"1 of 3 batches of {ONE}, 2 of 3 batches of {OTHER} are missing"),
        (SHARDS[1::2], f"3 of 3 batches of {OTHER} are missing"),
        (SHARDS, f"3 of 3 batches of {ONE}, 3 of 3 batches of {OTHER} are missing"),
    ],
    ids=["one", "half", "an attack", "all"],
)
def test_an_incomplete_run_says_how_much_is_missing(
    copy: Path, lost: list[str], message: str
) -> None:
    remove(copy, *lost)
    found, shown = loaded(copy)
    [warning] = found.warnings
    assert warning.startswith(f"The run in {copy} is incomplete: {message}. Figures are of the ")
    assert "Repeat the command that started the run to finish it." in warning
    assert shown == [warning]


METRICS: list[Callable[[Any], Any]] = [
    clean_accuracy,
    success_rate,
    mean_distance,
    median_distance,
    robustness_curve,
    lambda records: accuracy_at(records, 1.0),
    lambda records: summarize(records, "ddn"),
    lambda records: clean_accuracy(of_attack(records, ONE)),
    lambda records: clean_accuracy(closest_records(records)),
]


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_of_an_incomplete_run_warn(copy: Path, metric: Callable[[Any], Any]) -> None:
    remove(copy, *SHARDS[:2], *SHARDS[1::2][1:])
    records = loaded(copy)[0].records
    assert len(records) == 7
    with pytest.warns(UserWarning, match="is incomplete: 1 of 3 batches"):
        metric(records)


def test_the_warning_is_shown_once(copy: Path) -> None:
    remove(copy, SHARDS[0])
    with warnings.catch_warnings(record=True) as shown:
        warnings.resetwarnings()
        warnings.simplefilter("default")
        records = of_attack(load_run(copy).records, ONE)
        for radius in (0.5, 1.0):
            accuracy_at(records, radius)
        mean_distance(records)
    assert len(shown) == 1


def test_a_run_without_its_adversarials_can_be_read_but_says_so(copy: Path, finished: Path) -> None:
    shutil.rmtree(copy / "adversarials")
    found, shown = loaded(copy)
    assert found.records.equals(load_run(finished).records)
    assert found.warnings == (f"The adversarials of 6 of 6 batches in {copy} are missing.",)
    assert shown == []  # figures are of all samples


def test_a_run_without_some_inputs_says_so(copy: Path) -> None:
    (copy / "inputs" / "000001.safetensors").unlink()
    assert loaded(copy)[0].doubts == (
        Doubt("missing-adversarials", f"The inputs of 1 of 3 batches in {copy} are missing."),
    )
    shutil.rmtree(copy / "adversarials")
    assert loaded(copy)[0].warnings == (
        f"The adversarials of 6 of 6 batches and the inputs of 1 of 3 batches in {copy} are "
        "missing.",
    )


def test_a_run_that_keeps_no_adversarials_lacks_none(tmp_path: Path) -> None:
    run(tmp_path / "run", save_adversarials=False)
    assert load_run(tmp_path / "run").warnings == ()


def test_a_run_that_was_finished_is_complete_again(copy: Path, finished: Path) -> None:
    remove(copy, *SHARDS[2:4])
    assert run(copy).warnings == load_run(copy).warnings == ()
    assert same(load_run(copy).records, load_run(finished).records)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("versions", {"torch": "1.0"}),
        ("versions", {"minnorm": "0.0.1"}),
        ("hardware", {"threads": 99}),
        ("revision", "another"),
    ],
    ids=str,
)
def test_a_run_that_went_on_with_other_versions_or_settings_says_so(
    copy: Path, part: str, changes: Any, caplog: pytest.LogCaptureFixture
) -> None:
    remove(copy, SHARDS[0])
    path = copy / "manifest.json"
    manifest = json.loads(path.read_text())
    session = manifest["sessions"][0]
    session[part] = {**session[part], **changes} if isinstance(changes, dict) else changes
    path.write_text(json.dumps(manifest))
    assert run(copy).warnings == load_run(copy).warnings
    [warning] = load_run(copy).warnings
    name, before = next(iter(changes.items())) if isinstance(changes, dict) else (part, changes)
    assert f"({name} {before}, then " in warning
    assert caplog.text.count(warning) == 1
    assert len(load_run(copy).manifest["sessions"]) == 2


def test_the_repr_is_a_summary() -> None:
    found = run(None)
    assert repr(found) == (
        "Evaluation(evaluation.tiny_models:linear on mnist-sample: 12 samples, clean accuracy "
        f"{100 * clean_accuracy(found.records).value:.2f} %, attacks: ddn(steps=5), "
        "ddn(steps=3, levels=256))"
    )
    assert repr(replace(found, doubts=(Doubt("nan", "one"), Doubt("data", "two")))).endswith(
        "levels=256), warnings: 2)"
    )
