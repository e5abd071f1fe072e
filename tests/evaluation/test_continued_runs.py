"""Runs that continue: after an interruption, and never with another configuration."""

import os
import random
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from evaluation.record_tables import same
from evaluation.small_runs import ATTACKS, BATCHES, DATA, MODEL, SHARDS, files, run
from evaluation.tiny_models import Centered
from minnorm.attacks import Attack, AttackResult, ddn
from minnorm.data import load_data
from minnorm.errors import InputError, RunConflictError
from minnorm.evaluation import load_run
from minnorm.runtime import provenance


def test_a_finished_run_is_not_repeated(copy: Path) -> None:
    seen: list[tuple[int, ...]] = []
    before = files(copy)
    found = run(copy, on_progress=lambda *numbers: seen.append(numbers))
    assert seen == [(6, 6, 0)]
    assert files(copy) == before
    assert found.records.equals(load_run(copy).records)
    assert len(found.manifest["sessions"]) == 1


def test_the_units_of_a_batch_whose_inputs_are_lost_are_repeated(
    copy: Path, finished: Path
) -> None:
    before = {name: (copy / "records" / f"{name}.parquet").stat().st_mtime_ns for name in SHARDS}
    (copy / "inputs" / f"{BATCHES[1]}.safetensors").unlink()
    assert same(run(copy).records, load_run(finished).records)
    assert (copy / "inputs" / f"{BATCHES[1]}.safetensors").read_bytes() == (
        finished / "inputs" / f"{BATCHES[1]}.safetensors"
    ).read_bytes()
    after = {name: (copy / "records" / f"{name}.parquet").stat().st_mtime_ns for name in SHARDS}
    assert [name for name in SHARDS if after[name] != before[name]] == SHARDS[2:4]


def test_a_unit_whose_adversarials_are_lost_is_repeated(copy: Path) -> None:
    (copy / "adversarials" / f"{SHARDS[1]}.safetensors").unlink()
    seen: list[tuple[int, ...]] = []
    run(copy, on_progress=lambda *numbers: seen.append(numbers))
    assert seen[0][:2] == (5, 6)
    assert (copy / "adversarials" / f"{SHARDS[1]}.safetensors").exists()


@pytest.mark.parametrize("seed", range(4))
def test_a_run_continues_from_its_shards(copy: Path, finished: Path, seed: int) -> None:
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


@pytest.mark.parametrize(
    ("changes", "names"),
    [
        ({"seed": 1}, ["seed"]),
        ({"batch_size": 6}, ["batch_size"]),
        ({"targets": "all"}, ["targets"]),
        ({"data": "mnist-sample[:11]"}, ["indices"]),
        ({"attacks": "ddn(steps=5)"}, ["attacks"]),
        ({"attacks": ["ddn(steps=5)", "fmn(steps=3)"]}, ["attacks"]),
        ({"attacks": [*ATTACKS, "fmn(steps=3)"], "seed": 1}, ["seed"]),
        ({"attacks": [partial(ddn, steps=5), partial(ddn, levels=256, steps=4)]}, ["attacks"]),
        ({"attacks": {"a": "ddn"}}, ["attacks"]),
        ({"save_adversarials": False}, ["save_adversarials"]),
        ({"model": f"{MODEL}(seed=1)"}, ["model", "model_fingerprint", "model_answers"]),
        ({"model": Centered().double().eval()}, ["model", "model_fingerprint", "dtype"]),
        ({"accelerate": "plain"}, ["acceleration"]),
        ({"seed": 1, "batch_size": 6}, ["seed", "batch_size"]),
    ],
    ids=lambda value: ", ".join(value) if isinstance(value, dict) else "",
)
def test_a_run_of_another_configuration_is_refused(
    finished: Path, changes: dict[str, Any], names: list[str]
) -> None:
    before = files(finished)
    with pytest.raises(RunConflictError, match="holds a run of another configuration") as refusal:
        run(finished, **changes)
    _, *differences, _ = str(refusal.value).splitlines()
    assert [line.strip().partition(":")[0] for line in differences] == names
    assert files(finished) == before


def test_attacks_may_be_named_in_another_order(copy: Path, finished: Path) -> None:
    for name in SHARDS[1:]:
        (copy / "records" / f"{name}.parquet").unlink()
    found = run(copy, attacks=ATTACKS[::-1])
    assert same(found.records, load_run(finished).records)


@pytest.mark.parametrize("left_open", ["batch_size", "accelerate"])
def test_a_run_continues_with_what_was_decided_at_its_start(copy: Path, left_open: str) -> None:
    (copy / "records" / f"{SHARDS[0]}.parquet").unlink()
    expected = load_run(copy).manifest["configuration"]
    assert run(copy, **{left_open: "auto"}).manifest["configuration"] == expected


class Scaled(Centered):
    """Scales its logits by a number that is neither a weight nor in its printed form."""

    def __init__(self, scale: float) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = super().forward(inputs)
        return self.scale * logits


def test_models_are_distinguished_by_their_logits(tmp_path: Path) -> None:
    one, other = Scaled(1.0).eval(), Scaled(-1.0).eval()
    run(tmp_path / "run", model=one)
    run(tmp_path / "run", model=Scaled(1.0).eval())
    with pytest.raises(ValueError, match=r"another configuration.*\n  model_answers: the model's"):
        run(tmp_path / "run", model=other)
    run(tmp_path / "functions", model=lambda inputs: one(inputs) + 0)
    with pytest.raises(ValueError, match=r"another configuration.*\n  model_answers: the model's"):
        run(tmp_path / "functions", model=lambda inputs: other(inputs) + 0)


def test_attacks_of_the_same_name_are_distinguished_by_their_code(tmp_path: Path) -> None:
    def of(steps: int) -> Attack:
        def mine(model: Any, inputs: Any, labels: Any, **given: Any) -> AttackResult:
            return ddn(model, inputs, labels, steps=steps, **given)

        return mine

    run(tmp_path / "run", attacks=of(2))
    run(tmp_path / "run", attacks=of(2))
    with pytest.raises(
        InputError, match=r"another configuration.*\n  attacks: the code of mine differs"
    ):
        run(tmp_path / "run", attacks=of(3))


def test_a_model_whose_weights_changed_is_refused(tmp_path: Path) -> None:
    model = Centered().eval()
    run(tmp_path, model=model)
    with torch.no_grad():
        model.bias[3] += 1e-6
    with pytest.raises(InputError, match="model_fingerprint: "):
        run(tmp_path, model=model)


def test_a_model_whose_unsaved_buffers_changed_is_refused(tmp_path: Path) -> None:
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).eval()
    model.register_buffer("shift", torch.zeros(1), persistent=False)
    run(tmp_path, model=model)
    model.shift = torch.ones(1)
    with pytest.raises(InputError, match="model_fingerprint: "):
        run(tmp_path, model=model)


def test_data_that_changed_is_refused(tmp_path: Path) -> None:
    images, labels = load_data(DATA).batch(range(12))
    run(tmp_path, data=(images, labels))
    images[11, 0, 14, 14] = 0.123
    with pytest.raises(InputError, match="data_fingerprint: "):
        run(tmp_path, data=(images, labels))


@pytest.mark.parametrize(
    "moment",
    [(provenance, "hardware"), (Path, "write_text"), (os, "fsync"), (Path, "replace")],
    ids=["before the manifest", "before its text", "before it is whole", "before its name"],
)
def test_a_run_killed_at_its_start_can_start_again(
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


@pytest.mark.parametrize("call", [2, 3, 4, 7])
@pytest.mark.parametrize("operation", [(os, "fsync"), (Path, "replace")], ids=["fsync", "replace"])
def test_a_run_killed_while_writing_continues(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    finished: Path,
    operation: tuple[Any, str],
    call: int,
) -> None:
    calls = 0
    original = getattr(*operation)

    def killed(*given: object) -> object:
        nonlocal calls
        calls += 1
        if calls == call:
            raise KeyboardInterrupt
        return original(*given)

    with monkeypatch.context() as patch:
        patch.setattr(*operation, killed)
        # A process that is killed at once has no time to clean up.
        patch.setattr(Path, "unlink", lambda *_, **__: None)
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path)
    [partial_file] = tmp_path.rglob(".*.tmp")
    assert same(run(tmp_path).records, load_run(finished).records)
    assert not partial_file.exists()
    assert sorted(files(tmp_path)) == sorted(files(finished))


def test_a_run_stopped_by_a_bad_sample_keeps_its_records(tmp_path: Path) -> None:
    images, labels = load_data(DATA).batch(range(12))
    images[9, 0, 0, 0] = torch.nan
    with pytest.raises(InputError, match="data, samples 5 to 9: inputs hold NaN"):
        run(tmp_path, data=(images, labels))
    assert len(load_run(tmp_path).records) == 2 * 5


def test_a_corrected_command_can_use_the_same_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="steps=0"):
        run(tmp_path / "run", attacks="ddn(steps=0)")
    assert len(run(tmp_path / "run", attacks="ddn(steps=1)").records) == 12


def test_adversarials_can_be_left_out(tmp_path: Path, finished: Path) -> None:
    found = run(tmp_path / "run", save_adversarials=False)
    assert not list((tmp_path / "run").rglob("*.safetensors"))
    assert same(found.records, load_run(finished).records)
