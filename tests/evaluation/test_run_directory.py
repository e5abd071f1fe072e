"""The run directory: files that others can read, a claim on a folder, and damage that is named."""

import random
import struct
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file

from evaluation.record_tables import same, table
from evaluation.small_runs import ATTACKS, SHARDS, configuration, files, run
from evaluation.tiny_models import Centred
from minnorm.data import load_data
from minnorm.errors import InputError, RunConflictError
from minnorm.evaluation import SCHEMA, load_run
from minnorm.evaluation.configuration import Configuration
from minnorm.evaluation.run_directory import RunDirectory, Unit

SESSION = {"ranks": 1}


def claimed(path: Path, used: Configuration | None = None) -> RunDirectory:
    """Claim a directory, and release it at once, as a process does that ends."""
    directory = RunDirectory(path)
    try:
        directory.claim(used or configuration(), ("doubtful",), SESSION)
    finally:
        directory.release()
    return directory


def begun(path: Path) -> RunDirectory:
    """Return the directory of a run with two finished units of different attacks."""
    directory = claimed(path)
    for attack, distance in enumerate((1.0, 2.0)):
        directory.save(Unit(0, attack), table([distance]), {"adversarials": torch.ones(1, 2)})
    return directory


def test_a_run_has_a_shard_for_each_unit_and_nothing_else(finished: Path) -> None:
    assert sorted(files(finished)) == [
        ".lock",
        *(f"adversarials/{name}.safetensors" for name in SHARDS),
        "manifest.json",
        *(f"records/{name}.parquet" for name in SHARDS),
    ]


def test_shards_can_be_read_with_pyarrow_alone(finished: Path) -> None:
    for name in SHARDS:
        batch, attack = (int(number) for number in name.split("-"))
        table = pq.read_table(finished / "records" / f"{name}.parquet")
        assert table.schema.equals(SCHEMA)
        assert table.column("index").to_pylist() == list(range(12))[5 * batch : 5 * batch + 5]
        assert set(table.column("attack").to_pylist()) == {ATTACKS[attack]}
    # The whole folder at once too, as other tools read it.
    assert pq.read_table(finished / "records").num_rows == 24


def test_adversarials_can_be_read_with_safetensors_alone(
    finished: Path,
) -> None:
    model = Centred().eval()
    for name in SHARDS:
        tensors = load_file(finished / "adversarials" / f"{name}.safetensors")
        records = pq.read_table(finished / "records" / f"{name}.parquet")
        assert set(tensors) == {"index", "adversarials"}
        assert tensors["index"].tolist() == records.column("index").to_pylist()
        [points] = tensors["adversarials"]
        with torch.no_grad():
            answers = model(points).argmax(1)
        assert answers.tolist() == records.column("adversarial_prediction").to_pylist()
        images, _ = load_data("mnist-sample").batch(tensors["index"].tolist())
        lengths = (points - images).flatten(1).double().norm(dim=1)
        success = torch.tensor(records.column("success").to_pylist())
        expected = torch.tensor(records.column("l2").to_pylist(), dtype=torch.float64)
        torch.testing.assert_close(lengths[success], expected[success], rtol=1e-5, atol=1e-6)
        assert (lengths[~success] == 0).all()


def test_a_unit_has_a_name_that_sorts() -> None:
    assert Unit(12, 1).name == "000012-01"
    assert sorted([Unit(10, 0).name, Unit(9, 11).name]) == ["000009-11", "000010-00"]


def test_a_new_directory_holds_a_manifest_and_no_records(tmp_path: Path) -> None:
    directory = claimed(tmp_path / "a" / "b")
    assert sorted(files(directory.path)) == [".lock", "manifest.json"]
    manifest = directory.manifest()
    assert manifest.configuration == configuration()
    assert manifest.warnings == ("doubtful",)
    assert manifest.sessions == (SESSION,)
    assert directory.finished() == set()
    assert len(directory.records()) == 0
    assert directory.interrupted(configuration()) is None


def test_finished_units_and_their_records_are_found_again(tmp_path: Path) -> None:
    directory = begun(tmp_path)
    directory.save(Unit(1, 0), table([3.0]), None)
    assert directory.finished() == {Unit(0, 0), Unit(0, 1)}  # the last one lacks its adversarials
    assert directory.records().column("l2").to_pylist() == [1.0, 3.0, 2.0]  # attack by attack
    assert directory.interrupted(configuration()) == configuration()


def test_a_run_that_keeps_no_adversarials_needs_none(tmp_path: Path) -> None:
    directory = claimed(tmp_path, configuration(save_adversarials=False))
    directory.save(Unit(0, 0), table([1.0]), None)
    assert directory.finished() == {Unit(0, 0)}
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_second_claim_adds_a_session(tmp_path: Path) -> None:
    begun(tmp_path)
    directory = claimed(tmp_path)
    assert directory.manifest().sessions == (SESSION, SESSION)
    assert directory.finished() == {Unit(0, 0), Unit(0, 1)}


def test_a_run_without_records_is_replaced_by_one_of_another_configuration(tmp_path: Path) -> None:
    claimed(tmp_path)
    directory = claimed(tmp_path, configuration(seed=1))
    assert directory.manifest().configuration.seed == 1
    assert directory.manifest().sessions == (SESSION,)
    assert claimed(tmp_path, configuration(seed=1)).manifest().sessions == (SESSION, SESSION)


def test_a_run_of_another_configuration_is_refused_and_left_alone(tmp_path: Path) -> None:
    before = files(begun(tmp_path).path)
    message = (
        "holds a run of another configuration, which is never mixed with this one:\n"
        "  seed: 0 there, 1 now\n  batch_size: 5 there, 6 now\n"
        "Name another folder, or repeat the command that started the run."
    )
    other = configuration(seed=1, batch_size=6)
    for use in (RunDirectory(tmp_path).interrupted, lambda given: claimed(tmp_path, given)):
        with pytest.raises(RunConflictError) as caught:
            use(other)
        assert str(caught.value) == f"{tmp_path} {message}"
    assert files(tmp_path) == before


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
    claimed(tmp_path).release()


def test_partial_files_and_adversarials_without_records_are_removed(tmp_path: Path) -> None:
    begun(tmp_path)
    leftovers = [
        tmp_path / "records" / ".000001-00.parquet.123.tmp",
        tmp_path / "adversarials" / ".000001-00.safetensors.123.tmp",
        tmp_path / "adversarials" / "000001-00.safetensors",
        tmp_path / ".manifest.json.123.tmp",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    assert len(RunDirectory(tmp_path).records()) == 2  # they are not taken for shards
    claimed(tmp_path)
    assert not any(path.exists() for path in leftovers)
    assert RunDirectory(tmp_path).finished() == {Unit(0, 0), Unit(0, 1)}


def test_a_folder_with_only_a_lock_and_a_partial_manifest_is_taken(tmp_path: Path) -> None:
    (tmp_path / ".lock").touch()
    (tmp_path / ".manifest.json.123.tmp").write_bytes(b"half")
    claimed(tmp_path)
    assert sorted(files(tmp_path)) == [".lock", "manifest.json"]


@pytest.mark.parametrize("name", ["thesis.tex", "manifest.tmp", "records", ".manifest"])
def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("years of work")
    with pytest.raises(
        RunConflictError, match="is not a run directory: name a new or empty folder"
    ):
        claimed(tmp_path)
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


def test_a_damaged_manifest_is_refused_and_left_alone(tmp_path: Path) -> None:
    for path in (begun(tmp_path / "finished").path, claimed(tmp_path / "empty").path):
        (path / "manifest.json").write_bytes(b"{")
        for use in (claimed, load_run):
            with pytest.raises(InputError, match=r"manifest\.json is damaged"):
                use(path)
        assert (path / "manifest.json").read_bytes() == b"{"


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "flipped"])
def test_a_damaged_shard_is_named_and_repeated(copy: Path, finished: Path, damage: str) -> None:
    path = copy / "records" / f"{SHARDS[2]}.parquet"
    content = path.read_bytes()
    middle = len(content) // 4
    path.write_bytes(
        {
            "empty": b"",
            "cut": content[:-20],
            "text": b"not parquet",
            "flipped": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
        }[damage]
    )
    for use in (load_run, run):
        with pytest.raises(InputError, match=r"the shard .*000001-00.parquet is damaged") as error:
            use(copy)
        assert "Delete it and run the same command again" in str(error.value)
    path.unlink()
    assert same(run(copy).records, load_run(finished).records)


def test_one_changed_bit_of_a_distance_is_noticed(tmp_path: Path) -> None:
    directory = claimed(tmp_path, configuration(save_adversarials=False))
    distance = 1.2345678
    directory.save(Unit(0, 0), table([distance]), None)
    path = tmp_path / "records" / "000000-00.parquet"
    content = path.read_bytes()
    place = content.index(struct.pack("<d", distance))
    path.write_bytes(content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
    with pytest.raises(InputError, match=r"000000-00\.parquet is damaged"):
        directory.records()


def test_every_damage_to_a_shard_is_noticed(copy: Path) -> None:
    path = copy / "records" / f"{SHARDS[2]}.parquet"
    content = path.read_bytes()
    expected = load_run(copy).records
    source = random.Random(0)  # noqa: S311 - no secret
    for position in source.sample(range(len(content)), 150):
        flipped = bytes([content[position] ^ (1 << source.randrange(8))])
        path.write_bytes(content[:position] + flipped + content[position + 1 :])
        try:
            found = load_run(copy).records
        except InputError as error:
            named = str(path) in str(error)
        else:
            # The reader ignores some bytes, such as those of statistics.
            named = found.equals(expected)
        assert named, position


def test_a_shard_of_other_columns_is_refused(copy: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), copy / "records" / "000009-00.parquet")
    with pytest.raises(InputError, match=r"000009-00\.parquet has other columns than records have"):
        load_run(copy)


def test_another_file_among_the_shards_is_named(copy: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), copy / "records" / "notes.parquet")
    with pytest.raises(InputError, match=r"notes\.parquet does not belong in a run directory"):
        run(copy)
