"""The run directory: a claim on a folder, which is never mixed with another run."""

import shutil
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from evaluation.record_tables import table
from evaluation.small_runs import BATCHES, KEPT, SHARDS, TWO_ATTACKS, configuration, files, run
from minnorm.doubts import Doubt
from minnorm.errors import InputError, RunConflictError
from minnorm.evaluation import load_run
from minnorm.evaluation.store.configuration import AttackEntry, Configuration
from minnorm.evaluation.store.run_directory import Claim, RunDirectory
from minnorm.evaluation.store.unit_files import UnitFiles
from minnorm.evaluation.store.units import Unit

SESSION: dict[str, Any] = {"ranks": 1, "versions": {"torch": "2.9"}, "hardware": {"threads": 2}}
SLOW, DOUBT = Doubt("data", "slow"), Doubt("nan", "doubtful")
BOTH = configuration(attacks=TWO_ATTACKS)


def claimed(path: Path, used: Configuration = BOTH, session: dict[str, Any] = SESSION) -> Claim:
    """Claim a directory, and release it at once, as a process does that ends."""
    directory = RunDirectory(path)
    try:
        return directory.claim(used, (DOUBT,), session)
    finally:
        directory.release()


def save(path: Path, claim: Claim, *units: Unit) -> None:
    """Finish units of a run."""
    for unit in units:
        UnitFiles(path, claim.manifest).save(unit, table([1.0 + unit.attack]), KEPT)


def begun(path: Path) -> Path:
    """Begin a run of two attacks, of which one unit each is finished."""
    save(path, claimed(path), Unit(0, 0), Unit(0, 1))
    return path


def test_a_run_has_three_files_for_each_unit_one_for_each_batch_and_nothing_else(
    finished: Path,
) -> None:
    assert sorted(files(finished)) == [
        ".lock",
        *(f"adversarials/{name}.safetensors" for name in SHARDS),
        *(f"checksums/{name}.json" for name in SHARDS),
        *(f"inputs/{name}.safetensors" for name in BATCHES),
        "manifest.json",
        *(f"records/{name}.parquet" for name in SHARDS),
    ]


def test_a_new_directory_holds_a_manifest_and_no_records(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    claim = claimed(path)
    assert sorted(files(path)) == [".lock", "manifest.json"]
    assert claim.manifest == RunDirectory(path).manifest()
    assert claim.manifest.configuration == BOTH
    assert claim.manifest.doubts == (DOUBT,)
    assert claim.manifest.sessions == (SESSION,)
    assert claim.finished == set()


def test_finished_units_are_found_again(tmp_path: Path) -> None:
    begun(tmp_path)
    assert claimed(tmp_path).finished == {Unit(0, 0), Unit(0, 1)}
    assert RunDirectory(tmp_path).interrupted(BOTH) == BOTH


def test_a_second_claim_adds_a_session_and_keeps_the_identity_and_the_warnings(
    tmp_path: Path,
) -> None:
    directory = RunDirectory(begun(tmp_path))
    first = directory.manifest()
    second = directory.claim(BOTH, (SLOW, DOUBT), SESSION).manifest
    directory.release()
    assert second.sessions == (SESSION, SESSION)
    assert second.doubts == (DOUBT, SLOW)
    assert second.run == first.run
    assert RunDirectory(tmp_path).manifest() == second


def test_finished_units_stay_valid_where_logits_are_rounded_in_another_way(tmp_path: Path) -> None:
    begun(tmp_path)
    rounded = configuration(attacks=TWO_ATTACKS, model_answers=(1.0 + 1e-6, -2.0, 0.5))
    claim = claimed(tmp_path, rounded)
    assert claim.manifest.configuration == BOTH
    save(tmp_path, claim, Unit(1, 0))
    assert claimed(tmp_path).finished == {Unit(0, 0), Unit(0, 1), Unit(1, 0)}
    assert len(UnitFiles(tmp_path, claim.manifest).records()) == 3


def test_a_claim_on_a_run_that_is_finished_changes_nothing(tmp_path: Path) -> None:
    units = [Unit(batch, attack) for batch in range(3) for attack in range(2)]
    save(tmp_path, claimed(tmp_path), *units)
    before = files(tmp_path)
    claim = claimed(tmp_path, session={**SESSION, "versions": {"torch": "2.10"}})
    assert claim.finished == set(units)
    assert files(tmp_path) == before


def test_a_run_without_results_is_replaced_by_one_of_another_configuration(tmp_path: Path) -> None:
    first = claimed(tmp_path).manifest
    second = claimed(tmp_path, configuration(seed=1)).manifest
    assert second.configuration.seed == 1
    assert second.sessions == (SESSION,)
    assert second.run != first.run
    third = claimed(tmp_path, configuration(seed=1)).manifest
    assert third.sessions == (SESSION, SESSION)
    assert third.run == second.run


def test_a_run_of_another_configuration_is_refused_and_left_alone(tmp_path: Path) -> None:
    before = files(begun(tmp_path))
    message = (
        "holds a run of another configuration, which is never mixed with this one:\n"
        "  seed: 0 there, 1 now\n  batch_size: 5 there, 6 now\n"
        "Name another folder, or repeat the command that started the run."
    )
    other = configuration(seed=1, batch_size=6, attacks=TWO_ATTACKS)
    for use in (RunDirectory(tmp_path).interrupted, lambda given: claimed(tmp_path, given)):
        with pytest.raises(RunConflictError) as caught:
            use(other)
        assert str(caught.value) == f"{tmp_path} {message}"
    assert files(tmp_path) == before


@pytest.mark.parametrize(
    "moved",
    [("records",), ("records", "checksums"), ("records", "adversarials"), ("checksums",)],
    ids=" and ".join,
)
def test_what_is_left_of_a_run_whose_files_were_moved_is_never_deleted(
    tmp_path: Path, moved: tuple[str, ...]
) -> None:
    path = begun(tmp_path / "run")
    for folder in moved:
        shutil.move(path / folder, tmp_path / folder)
    before = files(path)
    with pytest.raises(RunConflictError, match="holds a run of another configuration"):
        claimed(path, configuration(seed=1))
    assert files(path) == before


def test_attacks_can_be_added_to_a_run(tmp_path: Path) -> None:
    one = configuration(attacks=TWO_ATTACKS[:1])
    save(tmp_path, claimed(tmp_path, one), *(Unit(batch, 0) for batch in range(3)))
    before = files(tmp_path)
    claim = claimed(tmp_path, BOTH)
    assert claim.finished == {Unit(batch, 0) for batch in range(3)}
    assert claim.manifest.configuration == BOTH
    after = files(tmp_path)
    assert after.pop("manifest.json") != before.pop("manifest.json")
    assert after == before
    save(tmp_path, claim, Unit(0, 1))
    assert claimed(tmp_path, BOTH).finished == {*claim.finished, Unit(0, 1)}
    with pytest.raises(RunConflictError, match="Attacks can be added to a run, but not removed"):
        claimed(tmp_path, one)


def test_the_code_of_an_attack_in_a_run_cannot_change(tmp_path: Path) -> None:
    begun(tmp_path)
    changed = AttackEntry(**{**TWO_ATTACKS[1].model_dump(), "code": "1"})
    with pytest.raises(RunConflictError, match="attacks: the code of fmn differs"):
        claimed(tmp_path, configuration(attacks=(TWO_ATTACKS[0], changed)))


@pytest.mark.parametrize(
    ("changes", "warned"),
    [
        ({}, None),
        ({"ranks": 2}, None),
        ({"versions": {"torch": "2.10"}}, "torch 2.9, then 2.10"),
        ({"hardware": {"threads": 1}}, "threads 2, then 1"),
        ({"revision": "abc"}, "revision None, then abc"),
    ],
    ids=str,
)
def test_other_versions_and_settings_are_warned_of_when_a_run_goes_on(
    tmp_path: Path, changes: dict[str, Any], warned: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    begun(tmp_path)
    claimed(tmp_path, session={**SESSION, **changes})
    assert caplog.text.count("other versions or settings") == (warned is not None)
    assert warned is None or f"({warned}): its records may differ in rounding" in caplog.text


def test_a_claimed_directory_is_refused_to_others_until_it_is_released(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.claim(configuration(), (), SESSION)
    before = files(tmp_path)
    with pytest.raises(RunConflictError, match="another process is working in"):
        RunDirectory(tmp_path).claim(configuration(), (), SESSION)
    assert files(tmp_path) == before
    directory.release()
    claimed(tmp_path)


def test_a_folder_that_another_process_has_locked_is_refused_and_left_alone(
    tmp_path: Path,
) -> None:
    with FileLock(tmp_path / ".lock"):
        before = files(tmp_path)
        with pytest.raises(RunConflictError, match="another process is working in"):
            run(tmp_path)
        assert files(tmp_path) == before
    claimed(tmp_path)


def test_a_directory_can_be_released_twice_and_unclaimed(tmp_path: Path) -> None:
    directory = RunDirectory(tmp_path)
    directory.release()
    directory.claim(configuration(), (), SESSION)
    directory.release()
    directory.release()


def test_partial_files_are_removed_and_no_others(tmp_path: Path) -> None:
    begun(tmp_path)
    leftovers = [
        tmp_path / "records" / ".000001-00.parquet.123.tmp",
        tmp_path / "adversarials" / ".000001-00.safetensors.123.tmp",
        tmp_path / "inputs" / ".000001.safetensors.123.tmp",
        tmp_path / "checksums" / ".000001-00.json.123.tmp",
        tmp_path / ".manifest.json.123.tmp",
    ]
    kept = [
        tmp_path / "adversarials" / "000001-00.safetensors",  # of a unit that will be repeated
        tmp_path / ".notes.tmp",
        tmp_path / "notes.txt",
    ]
    for path in (*leftovers, *kept):
        path.write_bytes(b"half")
    assert claimed(tmp_path).finished == {Unit(0, 0), Unit(0, 1)}
    assert not any(path.exists() for path in leftovers)
    assert all(path.read_bytes() == b"half" for path in kept)


def test_a_folder_with_only_a_lock_and_a_partial_manifest_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".manifest.json.123.tmp").write_bytes(b"half")
    claimed(tmp_path)
    assert sorted(files(tmp_path)) == [".lock", "manifest.json"]


@pytest.mark.parametrize("name", ["thesis.tex", "manifest.tmp", "records", ".manifest"])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("years of work")
    for use in (claimed, lambda path: RunDirectory(path).check_usable()):
        with pytest.raises(
            RunConflictError, match="is not a run directory: name a new or empty folder"
        ):
            use(tmp_path)
    assert files(tmp_path) == {name: b"years of work"}


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text("years of work")
    with pytest.raises(
        RunConflictError, match="is not a run directory: name a new or empty folder"
    ):
        claimed(path)
    assert path.read_text() == "years of work"


def test_a_folder_without_a_manifest_is_not_a_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(InputError, match=r"it has no manifest\.json\.$"):
            load_run(path)
    for name in ("b", "a"):
        claimed(tmp_path / name)
    with pytest.raises(InputError, match=f"Run directories in it: {tmp_path}/a, {tmp_path}/b"):
        load_run(tmp_path)


@pytest.mark.parametrize("content", [b"{", b'{"format": 2}'], ids=["damaged", "older"])
def test_a_damaged_or_older_manifest_is_refused_and_left_alone(
    tmp_path: Path, content: bytes
) -> None:
    claimed(tmp_path / "empty")
    for path in (begun(tmp_path / "finished"), tmp_path / "empty"):
        (path / "manifest.json").write_bytes(content)
        for use in (claimed, load_run):
            with pytest.raises(InputError, match=r"manifest\.json is (damaged|of format 2)"):
                use(path)
        assert (path / "manifest.json").read_bytes() == content
