"""The files of units: readable by others, bound to their run, and damage that is named."""

import json
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file, save

from evaluation.record_tables import same, table
from evaluation.small_runs import ATTACKS, BATCHES, KEPT, SHARDS, TWO_ATTACKS, configuration, run
from evaluation.tiny_models import Centered
from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.evaluation import SCHEMA, load_run
from minnorm.evaluation.store.manifest import Manifest
from minnorm.evaluation.store.run_directory import RunDirectory
from minnorm.evaluation.store.unit_files import FOLDERS, Kept, UnitFiles
from minnorm.evaluation.store.units import Unit

MANIFEST = Manifest(
    run="abc", configuration=configuration(attacks=TWO_ATTACKS), doubts=(), sessions=()
)
SHARD = f"records/{SHARDS[2]}.parquet"
ADVERSARIALS = f"adversarials/{SHARDS[2]}.safetensors"
INPUTS = f"inputs/{BATCHES[1]}.safetensors"


def with_units(path: Path, manifest: Manifest, *units: Unit) -> UnitFiles:
    """Return the files of a run in which these units are finished."""
    for folder in FOLDERS:
        (path / folder).mkdir(parents=True, exist_ok=True)
    unit_files = UnitFiles(path, manifest)
    for unit in units:
        kept = KEPT if manifest.configuration.save_adversarials else None
        unit_files.save(unit, table([unit.batch + 10.0 * unit.attack]), kept)
    return unit_files


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
    model = Centered().eval()
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


def test_the_inputs_of_each_batch_are_kept_as_the_model_got_them(finished: Path) -> None:
    for batch, name in enumerate(BATCHES):
        tensors = load_file(finished / "inputs" / f"{name}.safetensors")
        expected = list(range(12))[5 * batch : 5 * batch + 5]
        assert tensors["index"].tolist() == expected
        assert tensors["inputs"].equal(load_data("mnist-sample").batch(expected)[0])


def test_finished_units_and_their_records_are_found_again(tmp_path: Path) -> None:
    units = [Unit(1, 0), Unit(0, 1), Unit(0, 0)]
    unit_files = with_units(tmp_path, MANIFEST, *units)
    assert unit_files.finished() == set(units)
    distances = unit_files.records().column("l2").to_pylist()
    assert distances == [0.0, 1.0, 10.0]  # attack by attack


def test_a_unit_that_is_repeated_replaces_its_files(tmp_path: Path) -> None:
    unit_files = with_units(tmp_path, MANIFEST, Unit(0, 0))
    unit_files.save(Unit(0, 0), table([5.0]), KEPT)
    assert unit_files.finished() == {Unit(0, 0)}
    assert unit_files.records().column("l2").to_pylist() == [5.0]


def test_a_run_that_keeps_no_adversarials_needs_none(tmp_path: Path) -> None:
    kept = MANIFEST.configuration.model_copy(update={"save_adversarials": False})
    unit_files = with_units(tmp_path, MANIFEST.model_copy(update={"configuration": kept}),
                            Unit(0, 0))  # fmt: skip
    assert unit_files.finished() == {Unit(0, 0)}
    assert not list(tmp_path.rglob("*.safetensors"))


def test_a_unit_without_its_adversarials_is_not_finished(tmp_path: Path) -> None:
    unit_files = with_units(tmp_path, MANIFEST, Unit(0, 0), Unit(0, 1))
    (tmp_path / "adversarials" / "000000-01.safetensors").unlink()
    assert unit_files.finished() == {Unit(0, 0)}
    assert len(unit_files.records()) == 2


def test_the_units_of_a_batch_without_its_inputs_are_not_finished(tmp_path: Path) -> None:
    unit_files = with_units(tmp_path, MANIFEST, Unit(0, 0), Unit(0, 1), Unit(1, 0))
    (tmp_path / "inputs" / "000000.safetensors").unlink()
    assert unit_files.finished() == {Unit(1, 0)}
    unit_files.save(Unit(0, 1), table([1.0]), KEPT)
    assert unit_files.finished() == {Unit(0, 0), Unit(0, 1), Unit(1, 0)}


def test_the_inputs_of_a_batch_are_written_once(tmp_path: Path) -> None:
    unit_files = with_units(tmp_path, MANIFEST, Unit(0, 0))
    path = tmp_path / "inputs" / "000000.safetensors"
    path.write_bytes(save(dict(KEPT.inputs), {"written by": "another version of the library"}))
    adopted = path.read_bytes()
    unit_files.save(Unit(0, 1), table([1.0]), KEPT)
    assert path.read_bytes() == adopted
    assert unit_files.read(Unit(0, 1)).inputs["inputs"].equal(KEPT.inputs["inputs"])
    other = Kept(KEPT.adversarials, {"inputs": torch.full((1, 2), 0.5)})
    with pytest.raises(InputError, match=r"the inputs of batch 0 are not those in .*000000.saf"):
        unit_files.save(Unit(0, 1), table([1.0]), other)
    # Those of a batch that nothing depends on are replaced.
    for attack in range(2):
        (tmp_path / "records" / f"000000-0{attack}.parquet").unlink(missing_ok=True)
    unit_files.save(Unit(0, 1), table([1.0]), other)
    assert unit_files.read(Unit(0, 1)).inputs["inputs"].equal(other.inputs["inputs"])


@pytest.mark.parametrize("file", ["inputs/000000", "adversarials/000000-01"])
def test_tensors_are_read_back_and_checked(tmp_path: Path, file: str) -> None:
    unit_files = with_units(tmp_path, MANIFEST, Unit(0, 1))
    kept = unit_files.read(Unit(0, 1))
    assert kept.adversarials["adversarials"].equal(KEPT.adversarials["adversarials"])
    assert kept.inputs["inputs"].equal(KEPT.inputs["inputs"])
    path = tmp_path / f"{file}.safetensors"
    flipped_at_the_end(path)
    with pytest.raises(InputError, match=rf"{file}.safetensors is damaged or not of this run"):
        unit_files.read(Unit(0, 1))
    path.unlink()
    with pytest.raises(InputError, match=rf"{file}.safetensors is missing: repeat the command"):
        unit_files.read(Unit(0, 1))


def test_files_of_other_machines_are_waited_for(
    copy: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folders = ["records", "adversarials", "inputs"]
    unseen = [sorted((copy / folder).iterdir())[-1] for folder in folders]
    for path in unseen:
        path.rename(path.with_suffix(".unseen"))

    def see_one(_: float) -> None:
        path = unseen.pop()
        path.with_suffix(".unseen").rename(path)

    monkeypatch.setattr(time, "sleep", see_one)
    manifest = RunDirectory(copy).manifest()
    UnitFiles(copy, manifest).wait_until_visible()
    assert unseen == []
    assert caplog.messages == [f"waiting for the files of other machines in {copy}"]
    UnitFiles(copy, manifest).wait_until_visible()  # nothing is missing
    shutil.rmtree(copy / "records")
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    UnitFiles(copy, manifest).wait_until_visible()
    assert 60 < sum(pauses) < 120


def read(path: Path) -> None:
    """Read all files of a run."""
    found = load_run(path)
    for attack in ATTACKS:
        found.adversarials(attack)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 4] ^= 1
    path.write_bytes(content)


def flipped_at_the_end(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-30] ^= 1
    path.write_bytes(content)


def copied(path: Path) -> None:
    """Replace a file by that of another batch."""
    shutil.copy(path.with_name(path.name.replace(BATCHES[1], BATCHES[0])), path)


def link_to_nothing(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("replace", [Path.mkdir, link_to_nothing])
@pytest.mark.parametrize("folder", FOLDERS)
def test_what_is_no_file_is_named(copy: Path, replace: Callable[[Path], None], folder: str) -> None:
    path = sorted((copy / folder).iterdir())[0]
    path.unlink()
    replace(path)
    for use in (read, run):
        with pytest.raises(InputError, match=r"cannot be read: |, are missing") as error:
            use(copy)
        assert str(path) in str(error.value)
        assert "Delete it, or move it away" in str(error.value)


@pytest.mark.parametrize("file", [SHARD, ADVERSARIALS, INPUTS])
@pytest.mark.parametrize("damage", [cut, empty, flipped, flipped_at_the_end, copied])
def test_a_damaged_file_is_named_and_its_unit_repeated(
    copy: Path, finished: Path, damage: Callable[[Path], None], file: str
) -> None:
    path = copy / file
    damage(path)
    for use in (read, run):
        with pytest.raises(InputError, match="is damaged or not of this run") as error:
            use(copy)
        assert str(error.value).startswith(f"{path} ")
        assert "Delete it, or move it away, and run the same command again" in str(error.value)
    path.unlink()
    assert same(run(copy).records, load_run(finished).records)


@pytest.mark.parametrize("file", [SHARD, ADVERSARIALS, INPUTS])
def test_every_flipped_bit_is_noticed(copy: Path, file: str) -> None:
    content = (copy / file).read_bytes()
    source = random.Random(0)  # noqa: S311 - no secret
    for position in [*range(-40, 0), *source.sample(range(len(content)), 40)]:
        changed = bytearray(content)
        changed[position] ^= 1 << source.randrange(8)
        (copy / file).write_bytes(changed)
        with pytest.raises(InputError, match="its SHA-256 differs"):
            read(copy)


def test_every_flipped_bit_of_the_checksums_is_noticed(copy: Path) -> None:
    path = copy / "checksums" / f"{SHARDS[2]}.json"
    content = path.read_bytes()
    for position in range(len(content)):
        changed = bytearray(content)
        changed[position] ^= 1
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"000001(-00)?\.(parquet|safetensors) is damaged"):
            read(copy)


@pytest.mark.parametrize("file", [ADVERSARIALS, INPUTS])
def test_the_records_of_a_run_are_read_without_its_tensors(
    copy: Path, finished: Path, file: str
) -> None:
    flipped(copy / file)
    found = load_run(copy)
    assert found.records.equals(load_run(finished).records)
    found.adversarials(ATTACKS[0], indices=range(5))  # those of another batch
    with pytest.raises(InputError, match=f"{file} is damaged or not of this run"):
        found.adversarials(ATTACKS[0], indices=[5])


def test_missing_checksums_are_noticed(copy: Path, finished: Path) -> None:
    (copy / "checksums" / f"{SHARDS[2]}.json").unlink()
    with pytest.raises(InputError, match=r"its checksums, .*000001-00\.json, are missing"):
        load_run(copy)
    for file in (SHARD, ADVERSARIALS):
        (copy / file).unlink()
    assert same(run(copy).records, load_run(finished).records)


@pytest.mark.parametrize("folders", [("records",), ("records", "adversarials", "checksums")])
def test_files_of_another_run_are_refused(
    copy: Path, tmp_path: Path, folders: tuple[str, ...]
) -> None:
    # The same command in another folder: equal but for the seconds.
    other = tmp_path / "other"
    run(other)
    for folder in folders:
        [source] = (other / folder).glob(f"{SHARDS[2]}.*")
        shutil.copy(source, copy / folder)
    with pytest.raises(InputError, match=f"{SHARDS[2]}.* is damaged or not of this run"):
        load_run(copy)


def test_a_manifest_of_another_run_or_a_changed_configuration_is_refused(
    copy: Path, tmp_path: Path
) -> None:
    path = copy / "manifest.json"
    values = json.loads(path.read_text())
    values["configuration"]["seed"] = 1
    path.write_text(json.dumps(values))
    with pytest.raises(InputError, match=r"of another run, or manifest\.json was changed"):
        load_run(copy)
    run(tmp_path / "other")
    shutil.copy(tmp_path / "other" / "manifest.json", path)
    with pytest.raises(InputError, match=r"of another run, or manifest\.json was changed"):
        load_run(copy)


@pytest.mark.parametrize(
    "name", ["records/notes.parquet", "records/000009-00.parquet", "records/000000-02.parquet",
             "records/0-0.parquet", "adversarials/notes.safetensors",
             "inputs/notes.safetensors", "inputs/000009.safetensors", "inputs/1.safetensors"],
)  # fmt: skip
def test_another_file_among_those_of_the_run_is_named_and_kept(copy: Path, name: str) -> None:
    (copy / name).write_bytes(b"years of work")
    for use in (load_run, run):
        with pytest.raises(InputError, match=f"{name} does not belong to the run in this folder"):
            use(copy)
    assert (copy / name).read_bytes() == b"years of work"
