"""Attacks that are added to a run: what is there stays, and only they are computed."""

from pathlib import Path
from typing import Any

import pytest

from evaluation.record_tables import same
from evaluation.small_runs import ATTACKS, SHARDS, files, run
from minnorm.attacks import AttackResult, ddn, fmn
from minnorm.errors import RunConflictError
from minnorm.evaluation import load_run, of_attack

CALLS: list[str] = []


def first(*args: Any, **given: Any) -> AttackResult:
    CALLS.append("first")
    return ddn(*args, steps=5, **given)


def second(*args: Any, **given: Any) -> AttackResult:
    CALLS.append("second")
    return fmn(*args, steps=3, **given)


@pytest.mark.parametrize("attacks", [[first, second], [second, first]], ids=["last", "first"])
def test_only_the_attack_that_is_added_runs(tmp_path: Path, attacks: list[Any]) -> None:
    out = tmp_path / "run"
    before = run(out, attacks=first)
    kept = files(out)
    CALLS.clear()
    found = run(out, attacks=attacks)
    assert CALLS == ["second"] * 3  # batches
    assert of_attack(found.records, "first").equals(before.records)
    assert same(found.records, run(None, attacks=[first, second]).records)
    after = files(out)
    assert {name: after[name] for name in kept if name != "manifest.json"} == {
        name: content for name, content in kept.items() if name != "manifest.json"
    }
    names = [entry["name"] for entry in found.manifest["configuration"]["attacks"]]
    assert names == ["first", "second"]
    assert len(found.manifest["sessions"]) == 2
    assert found.manifest["run"] == before.manifest["run"]
    assert found.warnings == ()


def test_attacks_can_be_added_again_and_again_and_to_an_unfinished_run(tmp_path: Path) -> None:
    out = tmp_path / "run"
    attacks = {"a": "ddn(steps=2)", "b": "ddn(steps=3)", "c": "ddn(steps=4)"}
    for count in (1, 2, 3):
        run(out, attacks=dict(list(attacks.items())[:count]))
        (out / "records" / "000001-00.parquet").unlink()
    found = run(out, attacks=dict(reversed(attacks.items())))
    assert same(found.records, run(None, attacks=attacks).records)


def test_a_run_with_fewer_attacks_or_another_configuration_is_refused(copy: Path) -> None:
    before = files(copy)
    for changes in (
        {"attacks": ATTACKS[:1]},
        {"attacks": [ATTACKS[0], "fmn(steps=3)"]},
        {"attacks": [*ATTACKS, "fmn(steps=3)"], "seed": 1},
        {"attacks": [*ATTACKS, "fmn(steps=3)"], "batch_size": 6},
        {"attacks": {**{name: name for name in ATTACKS[1:]}, "new name": ATTACKS[0]}},
    ):
        with pytest.raises(RunConflictError, match="holds a run of another configuration"):
            run(copy, **changes)
    assert files(copy) == before


def test_an_added_attack_uses_what_the_run_has_decided(copy: Path) -> None:
    found = run(copy, attacks=[*ATTACKS, "fmn(steps=3)"], batch_size="auto", accelerate="auto")
    configuration = found.manifest["configuration"]
    assert (configuration["batch_size"], configuration["acceleration"]) == (5, "off")
    added = [f"{batch:06d}-02" for batch in range(3)]
    assert sorted(path.stem for path in (copy / "records").iterdir()) == sorted(SHARDS + added)


def test_the_code_of_an_attack_in_the_run_must_be_the_same(tmp_path: Path) -> None:
    def of(steps: int) -> Any:
        def mine(*args: Any, **given: Any) -> AttackResult:
            return ddn(*args, steps=steps, **given)

        return mine

    run(tmp_path, attacks=of(2))
    with pytest.raises(RunConflictError, match="attacks: the code of mine differs, or what"):
        run(tmp_path, attacks=[of(3), second])
    assert len(load_run(tmp_path).records) == 12


def test_what_cannot_be_compared_is_said_once_where_a_run_can_go_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    numbers = iter(range(9))

    def mine(*args: Any, **given: Any) -> AttackResult:
        assert numbers is not None
        return ddn(*args, steps=2, **given)

    run(None, attacks=mine)
    assert "cannot notice" not in caplog.text
    run(tmp_path, attacks=[mine, second])
    assert caplog.text.count("mine: a session that continues this run cannot notice") == 1
    assert (
        "mine: a session that continues this run cannot notice changes of an object of the class "
        "builtins.range_iterator." in caplog.text
    )


def test_the_manifest_names_the_libraries_that_attacks_use(tmp_path: Path) -> None:
    import yaml

    def mine(*args: Any, **given: Any) -> AttackResult:
        steps: int = yaml.safe_load("2")
        return ddn(*args, steps=steps, **given)

    versions = run(tmp_path, attacks=mine).manifest["sessions"][0]["versions"]
    assert versions["PyYAML"] == yaml.__version__
