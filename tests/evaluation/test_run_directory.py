"""The run directory: readable by others, resumed after an interruption, never mixed."""

import json
import os
import random
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from filelock import FileLock
from safetensors.torch import load_file
from torch import nn

from evaluation.test_evaluate import same
from evaluation.tiny_models import Centred
from minnorm import runtime
from minnorm.attacks import Attack, AttackResult, ddn
from minnorm.data import load_data
from minnorm.evaluation import SCHEMA, Evaluation, evaluate, load_run

MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:12]"
ATTACKS = ["ddn(steps=5)", "ddn(steps=3, levels=256)"]
SHARDS = [f"{batch:06d}-{attack:02d}" for batch in range(3) for attack in range(2)]


def run(out: Path, **changes: Any) -> Evaluation:
    """Runs two attacks on three batches."""
    arguments: dict[str, Any] = {"model": MODEL, "data": DATA, "attacks": ATTACKS, "batch_size": 5}
    return evaluate(out=out, **{**arguments, **changes})


def files(folder: Path) -> dict[str, bytes]:
    """Gives the content of all files in a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, to be read and copied, not to be changed."""
    out = tmp_path_factory.mktemp("runs") / "finished"
    run(out)
    return out


@pytest.fixture
def copy(finished: Path, tmp_path: Path) -> Path:
    """A copy of the finished run, to be damaged."""
    return Path(shutil.copytree(finished, tmp_path / "copy"))


def test_it_holds_a_shard_for_each_unit_and_nothing_else(finished: Path) -> None:
    assert sorted(files(finished)) == [
        ".lock",
        *(f"adversarials/{name}.safetensors" for name in SHARDS),
        "manifest.json",
        *(f"records/{name}.parquet" for name in SHARDS),
    ]


def test_what_is_written_is_what_is_given_without_a_directory(finished: Path) -> None:
    expected = evaluate(MODEL, DATA, ATTACKS, batch_size=5)
    evaluation = load_run(finished)
    assert same(evaluation.records, expected.records)
    assert evaluation.directory == finished
    assert evaluation.manifest == json.loads((finished / "manifest.json").read_text())


def test_the_manifest_says_what_was_done_with_what(finished: Path) -> None:
    manifest = json.loads((finished / "manifest.json").read_text())
    configuration = manifest["configuration"]
    assert configuration["model"] == MODEL
    assert configuration["data"] == "mnist-sample"
    assert configuration["indices"] == [0, 12, 1]
    assert configuration["attacks"] == [
        {"name": name, "spec": name, "norm": "l2", "code": ""} for name in ATTACKS
    ]
    assert configuration["batch_size"] == 5
    assert configuration["seed"] == 0
    assert configuration["bounds"] == [0.0, 1.0]
    assert configuration["targets"] is None
    assert (configuration["dtype"], configuration["device"]) == ("torch.float32", "cpu")
    for name in ("model_fingerprint", "data_fingerprint"):
        assert re.fullmatch("[0-9a-f]{64}", configuration[name])
    [session] = manifest["sessions"]
    assert session["ranks"] == 1
    assert session["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert session["hardware"]["cores"] == os.cpu_count()
    assert session["revision"] == runtime.revision()


def test_shards_can_be_read_with_pyarrow_alone(finished: Path) -> None:
    for name in SHARDS:
        batch, attack = (int(number) for number in name.split("-"))
        table = pq.read_table(finished / "records" / f"{name}.parquet")
        assert table.schema.equals(SCHEMA)
        assert table.column("index").to_pylist() == list(range(12))[5 * batch : 5 * batch + 5]
        assert set(table.column("attack").to_pylist()) == {ATTACKS[attack]}
    # The whole folder at once too, as other tools read it.
    assert pq.read_table(finished / "records").num_rows == 24


def test_adversarials_can_be_read_with_safetensors_alone_and_are_adversarial(
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


def test_targeted_adversarials_carry_their_targets(tmp_path: Path) -> None:
    run(tmp_path / "run", attacks="ddn(steps=20)", targets="random:2", batch_size=12)
    tensors = load_file(tmp_path / "run" / "adversarials" / "000000-00.safetensors")
    assert tensors["adversarials"].shape == (2, 12, 1, 28, 28)
    records = load_run(tmp_path / "run").records
    assert records.column("target").to_pylist() == tensors["targets"].flatten().tolist()
    model = Centred()
    with torch.no_grad():
        answers = model(tensors["adversarials"].flatten(0, 1)).argmax(1)
    success = torch.tensor(records.column("success").to_pylist())
    assert success.any()
    assert torch.equal(answers[success], tensors["targets"].flatten()[success])


def test_adversarials_are_left_out_on_demand(tmp_path: Path, finished: Path) -> None:
    found = run(tmp_path / "run", save_adversarials=False)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert same(found.records, load_run(finished).records)


def test_a_finished_run_is_not_done_again(copy: Path) -> None:
    seen: list[tuple[int, ...]] = []
    before = files(copy)
    found = run(copy, on_progress=lambda *numbers: seen.append(numbers))
    assert seen == [(6, 6, 0)]
    after = files(copy)
    assert {k: v for k, v in after.items() if k != "manifest.json"} == {
        k: v for k, v in before.items() if k != "manifest.json"
    }
    assert found.records.equals(load_run(copy).records)
    assert len(found.manifest["sessions"]) == 2


def test_two_processes_cannot_work_in_the_same_folder(copy: Path, tmp_path: Path) -> None:
    (copy / "records" / f"{SHARDS[0]}.parquet").unlink()
    for path in (copy, tmp_path / "new"):
        path.mkdir(exist_ok=True)
        with FileLock(path / ".lock"):
            before = files(path)
            with pytest.raises(ValueError, match="another process is at work in"):
                run(path)
            assert files(path) == before
        assert len(run(path).records) == len(run(copy).records)


class Scaled(Centred):
    """Answers by a number that is neither a weight nor in what is printed of it."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = super().forward(inputs)
        return self.scale * logits


def test_models_are_told_apart_by_what_they_answer(tmp_path: Path) -> None:
    one, other = Scaled(1.0).eval(), Scaled(-1.0).eval()
    evaluate(one, DATA, ATTACKS, out=tmp_path / "run")
    evaluate(Scaled(1.0).eval(), DATA, ATTACKS, out=tmp_path / "run")
    with pytest.raises(
        ValueError, match=r"another configuration.*\n  model_answers: the model answers"
    ):
        evaluate(other, DATA, ATTACKS, out=tmp_path / "run")
    evaluate(lambda inputs: one(inputs) + 0, DATA, ATTACKS, out=tmp_path / "functions")
    with pytest.raises(
        ValueError, match=r"another configuration.*\n  model_answers: the model answers"
    ):
        evaluate(lambda inputs: other(inputs) + 0, DATA, ATTACKS, out=tmp_path / "functions")


def test_attacks_of_the_same_name_are_told_apart_by_their_code(tmp_path: Path) -> None:
    def of(steps: int) -> Attack:
        def mine(model: Any, inputs: Any, labels: Any, **given: Any) -> AttackResult:
            return ddn(model, inputs, labels, steps=steps, **given)

        return mine

    evaluate(MODEL, DATA, of(2), out=tmp_path / "run")
    evaluate(MODEL, DATA, of(2), out=tmp_path / "run")
    with pytest.raises(ValueError, match=r"another configuration.*\n  attacks: the code of one"):
        evaluate(MODEL, DATA, of(3), out=tmp_path / "run")


def test_a_unit_whose_adversarials_are_gone_is_done_again(copy: Path) -> None:
    (copy / "adversarials" / f"{SHARDS[1]}.safetensors").unlink()
    seen: list[tuple[int, ...]] = []
    run(copy, on_progress=lambda *numbers: seen.append(numbers))
    assert seen[0][:2] == (5, 6)
    assert (copy / "adversarials" / f"{SHARDS[1]}.safetensors").exists()


def test_a_run_without_its_adversarials_is_read_all_the_same(copy: Path, finished: Path) -> None:
    shutil.rmtree(copy / "adversarials")
    assert load_run(copy).records.equals(load_run(finished).records)


def test_a_folder_of_runs_is_told_from_a_run(finished: Path) -> None:
    with pytest.raises(ValueError, match=f"There are run directories in it: .*{finished.name}"):
        load_run(finished.parent)


@pytest.mark.parametrize("seed", range(4))
def test_a_run_goes_on_from_its_shards(copy: Path, finished: Path, seed: int) -> None:
    lost = random.Random(seed).sample(SHARDS, 1 + seed)  # noqa: S311 - no secret
    for name in lost:
        (copy / "records" / f"{name}.parquet").unlink()
        if seed % 2:
            (copy / "adversarials" / f"{name}.safetensors").unlink()
    kept = {name: (copy / "records" / f"{name}.parquet").stat().st_mtime_ns for name in SHARDS
            if name not in lost}  # fmt: skip
    found = run(copy)
    assert same(found.records, load_run(finished).records)
    assert sorted(files(copy)) == sorted(files(finished))
    for name, time in kept.items():
        assert (copy / "records" / f"{name}.parquet").stat().st_mtime_ns == time


def test_an_unfinished_run_can_be_read(copy: Path) -> None:
    for name in SHARDS[3:]:
        (copy / "records" / f"{name}.parquet").unlink()
    records = load_run(copy).records
    assert records.column("index").to_pylist() == [*range(10), *range(5)]


def test_leftovers_of_a_killed_run_are_cleared_away(copy: Path, finished: Path) -> None:
    (copy / "records" / f"{SHARDS[0]}.parquet").unlink()
    leftovers = [
        copy / "records" / f".{SHARDS[0]}.parquet.123.tmp",
        copy / "adversarials" / f".{SHARDS[0]}.safetensors.123.tmp",
        copy / ".manifest.json.123.tmp",
    ]
    for path in leftovers:
        path.write_bytes(b"half")
    assert len(load_run(copy).records) == 24 - 5  # they are not taken for shards
    found = run(copy)
    assert not any(path.exists() for path in leftovers)
    assert same(found.records, load_run(finished).records)


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"seed": 1}, ["seed: 0 there, 1 now"]),
        ({"batch_size": 6}, ["batch_size: 5 there, 6 now"]),
        ({"targets": "all"}, ["targets: None there, all now"]),
        ({"data": "mnist-sample[:11]"}, ["indices: [0, 12, 1] there, [0, 11, 1] now"]),
        ({"attacks": "ddn(steps=5)"}, ["attacks: "]),
        ({"attacks": ATTACKS[::-1]}, ["attacks: "]),
        ({"attacks": [partial(ddn, steps=5), partial(ddn, levels=256, steps=4)]}, ["steps=4"]),
        ({"bounds": (0.0, 2.0)}, ["bounds: [0.0, 1.0] there, [0.0, 2.0] now"]),
        ({"save_adversarials": False}, ["save_adversarials: True there, False now"]),
        ({"model": f"{MODEL}(seed=1)"}, ["model: ", "model_fingerprint: the weights or the code"]),
        ({"attacks": {"a": "ddn"}}, [f"attacks: {', '.join(ATTACKS)} there, a = ddn now"]),
        ({"model": Centred().double().eval()}, ["dtype: torch.float32 there, torch.float64 now"]),
        ({"seed": 1, "batch_size": 6}, ["seed: ", "batch_size: "]),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_a_run_of_another_configuration_is_refused(
    finished: Path, changes: dict[str, Any], names: list[str]
) -> None:
    before = files(finished)
    with pytest.raises(ValueError, match="holds a run of another configuration") as refusal:
        run(finished, **changes)
    for name in names:
        assert name in str(refusal.value)
    for other in {"seed", "batch_size", "targets", "bounds"} - set(changes):
        assert f"{other}: " not in str(refusal.value)
    assert files(finished) == before


def test_attacks_in_another_order_lose_no_rows(copy: Path, finished: Path) -> None:
    for name in SHARDS[1:]:
        (copy / "records" / f"{name}.parquet").unlink()
    try:
        found = run(copy, attacks=ATTACKS[::-1]).records
    except ValueError:
        return  # refused, as any other configuration
    order = [("attack", "ascending"), ("index", "ascending")]
    assert same(found.sort_by(order), load_run(finished).records.sort_by(order))


def test_a_model_whose_weights_changed_is_refused(tmp_path: Path) -> None:
    model = Centred().eval()
    run(tmp_path, model=model)
    with torch.no_grad():
        model.bias[3] += 1e-6
    with pytest.raises(ValueError, match="model_fingerprint: "):
        run(tmp_path, model=model)


def test_data_that_changed_is_refused(tmp_path: Path) -> None:
    images, labels = load_data(DATA).batch(range(12))
    run(tmp_path, data=(images, labels))
    images[11, 0, 14, 14] = 0.123
    with pytest.raises(ValueError, match="data_fingerprint: "):
        run(tmp_path, data=(images, labels))


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ValueError, match="is not a run directory: name a new or empty folder"):
        run(tmp_path)
    assert files(tmp_path) == {"thesis.tex": b"years of work"}


def test_a_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "thesis.tex"
    path.write_text("years of work")
    with pytest.raises(ValueError, match="is not a run directory: name a new or empty folder"):
        run(path)
    assert path.read_text() == "years of work"


def test_an_empty_folder_and_one_that_is_not_there_are_taken(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert len(run(tmp_path / "empty").records) == 24
    assert len(run(tmp_path / "a" / "b").records) == 24


@pytest.mark.parametrize("damage", ["empty", "cut", "text", "flipped"])
def test_a_damaged_shard_is_named_with_what_to_do(copy: Path, finished: Path, damage: str) -> None:
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
        with pytest.raises(ValueError, match=r"the shard .*000001-00.parquet is damaged") as error:
            use(copy)
        assert "Delete it and run the same command again" in str(error.value)
    path.unlink()
    assert same(run(copy).records, load_run(finished).records)


def test_no_damage_to_a_shard_goes_unseen(copy: Path) -> None:
    path = copy / "records" / f"{SHARDS[2]}.parquet"
    content = path.read_bytes()
    expected = load_run(copy).records
    source = random.Random(0)  # noqa: S311 - no secret
    for position in source.sample(range(len(content)), 150):
        flipped = bytes([content[position] ^ (1 << source.randrange(8))])
        path.write_bytes(content[:position] + flipped + content[position + 1 :])
        try:
            found = load_run(copy).records
        except ValueError as error:
            named = str(path) in str(error)
        else:
            # Some bytes mean nothing to the reader, such as those of statistics.
            named = found.equals(expected)
        assert named, position


def test_a_shard_of_other_columns_is_refused(copy: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), copy / "records" / "000009-00.parquet")
    with pytest.raises(ValueError, match=r"000009-00\.parquet has other columns than records have"):
        load_run(copy)


def test_a_file_among_the_shards_that_is_none_is_named(copy: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), copy / "records" / "notes.parquet")
    with pytest.raises(ValueError, match=r"notes\.parquet does not belong to a run directory"):
        run(copy)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is damaged"),
        (b"", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b"[]", "is not of format 2"),
        (b'{"format": 1}', "is not of format 2"),
        (b'{"format": 2}', "is damaged"),
        (b'{"format": 2, "configuration": {}}', "is damaged"),
        (b'{"format": 2, "configuration": 5, "sessions": []}', "is damaged"),
    ],
)
def test_a_damaged_manifest_is_named(copy: Path, content: bytes, message: str) -> None:
    (copy / "manifest.json").write_bytes(content)
    with pytest.raises(ValueError, match=rf"manifest\.json {message}"):
        run(copy)
    assert (copy / "manifest.json").read_bytes() == content


def test_a_folder_without_a_manifest_is_no_run(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(ValueError, match=r"it has no manifest\.json"):
            load_run(path)


@pytest.mark.parametrize(
    "moment",
    [(runtime, "hardware"), (Path, "write_text"), (os, "fsync"), (Path, "replace")],
    ids=["before the manifest", "before its text", "before it is whole", "before its name"],
)
def test_a_run_that_was_killed_while_it_began_can_be_begun_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path, moment: tuple[object, str]
) -> None:
    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(*moment, killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert not (tmp_path / "manifest.json").exists()
    assert same(run(tmp_path).records, load_run(finished).records)
    assert sorted(files(tmp_path)) == sorted(files(finished))


def test_a_run_that_was_killed_while_it_wrote_can_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, finished: Path
) -> None:
    def killed(descriptor: int) -> None:
        if (tmp_path / "records" / f"{SHARDS[1]}.parquet").exists():
            raise KeyboardInterrupt
        synchronise(descriptor)

    synchronise = os.fsync
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", killed)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    assert not list(tmp_path.rglob(".*.tmp"))
    # Who is killed at once has no time to clean up.
    (tmp_path / "records" / f".{SHARDS[2]}.parquet.123.tmp").write_bytes(b"PAR1")
    assert same(run(tmp_path).records, load_run(finished).records)
    assert sorted(files(tmp_path)) == sorted(files(finished))


def test_a_run_that_stopped_at_a_bad_sample_keeps_what_it_had(tmp_path: Path) -> None:
    images, labels = load_data(DATA).batch(range(12))
    images[9, 0, 0, 0] = torch.nan
    with pytest.raises(ValueError, match="data, samples 5 to 9: inputs hold NaN"):
        run(tmp_path, data=(images, labels))
    assert len(load_run(tmp_path).records) == 2 * 5


def test_what_was_mistyped_can_be_put_right_in_the_same_folder(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="steps=0"):
        run(tmp_path / "run", attacks="ddn(steps=0)")
    assert len(run(tmp_path / "run", attacks="ddn(steps=1)").records) == 12


def test_buffers_of_a_model_that_are_not_saved_count_too(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    model.register_buffer("shift", torch.zeros(1), persistent=False)
    run(tmp_path, model=model)
    model.shift = torch.ones(1)
    with pytest.raises(ValueError, match="model_fingerprint: "):
        run(tmp_path, model=model)
