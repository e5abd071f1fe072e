"""The manifest: the keys on disk, and the message about a damaged one."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
import torch

from evaluation.small_runs import ATTACKS, MODEL, configuration
from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation.store.configuration import AttackEntry
from minnorm.evaluation.store.manifest import FORMAT, Manifest, new_run, new_session, read_manifest
from minnorm.runtime import provenance


def manifest() -> Manifest:
    return Manifest(
        run="abc",
        configuration=configuration(),
        classes=("cat", "dog"),
        doubts=(Doubt("nan", "doubtful"),),
        sessions=({"ranks": 1},),
    )


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "manifest.json"
    path.write_text(manifest().text())
    assert read_manifest(path) == manifest()
    assert json.loads(path.read_text()) == manifest().values()


def test_the_keys_and_values_on_disk_are_those_of_format_4() -> None:
    assert FORMAT == 4
    assert manifest().text() == json.dumps(
        {
            "format": 4,
            "run": "abc",
            "configuration": {
                "model": "zoo:it",
                "model_fingerprint": "f" * 64,
                "model_answers": [1.0, -2.0, 0.5],
                "model_code": None,
                "data": "mnist",
                "data_fingerprint": "a" * 64,
                "indices": [0, 12, 1],
                "attacks": [
                    {"name": "ddn", "spec": "ddn", "norm": "l2", "code": "", "access": "gradients"}
                ],
                "targets": None,
                "seed": 0,
                "bounds": [0.0, 1.0],
                "restrictions": None,
                "dtype": "torch.float32",
                "device": "cpu",
                "save_adversarials": True,
                "random_draws": None,
                "batch_size": 5,
                "acceleration": "off",
            },
            "classes": ["cat", "dog"],
            "doubts": [{"kind": "nan", "text": "doubtful"}],
            "sessions": [{"ranks": 1}],
        },
        indent=2,
    ) + "\n"  # fmt: skip


def test_the_manifest_of_a_run_says_what_was_run_and_on_what(finished: Path) -> None:
    values = json.loads((finished / "manifest.json").read_text())
    configuration = values["configuration"]
    assert configuration["model"] == MODEL
    assert configuration["data"] == "mnist-sample"
    assert configuration["indices"] == [0, 12, 1]
    assert configuration["attacks"] == [
        {"name": name, "spec": name, "norm": "l2", "code": "", "access": "gradients"}
        for name in ATTACKS
    ]
    assert (configuration["batch_size"], configuration["acceleration"]) == (5, "off")
    assert (configuration["seed"], configuration["bounds"]) == (0, [0.0, 1.0])
    assert configuration["targets"] is None
    assert (configuration["dtype"], configuration["device"]) == ("torch.float32", "cpu")
    assert configuration["save_adversarials"] is True
    assert len(configuration["model_answers"]) == 8 * 10
    for name in ("model_fingerprint", "data_fingerprint"):
        assert re.fullmatch("[0-9a-f]{64}", configuration[name])
    assert re.fullmatch("[0-9a-f]{16}", configuration["model_code"])
    [session] = values["sessions"]
    assert session["ranks"] == 1
    assert session["acceleration"]
    assert session["versions"]["torch"] == torch.__version__.partition("+")[0]
    assert session["hardware"]["cores"] == os.cpu_count()
    assert session["revision"]


def test_a_session_says_what_runs_and_how_the_model_was_accelerated(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provenance, "revision", lambda: "abc-dirty")
    session = new_session(torch.device("cpu"), ("narrow: yes",), {"foolbox": "3.3"})
    assert session["revision"] == "abc-dirty"
    assert session["acceleration"] == ["narrow: yes"]
    assert session["versions"] == {**provenance.versions(), "foolbox": "3.3"}
    assert session["trust"] is False
    assert {"started", "ranks", "revision", "versions", "hardware"} <= set(session)
    json.dumps(session)


def test_a_manifest_counts_the_batches_and_units() -> None:
    assert (manifest().batches, manifest().units) == (3, 3)  # of 12 samples, 5 at a time
    two = (*configuration().attacks, AttackEntry(name="a", spec="fmn", norm="l2", code=""))
    changed = manifest().model_copy(
        update={"configuration": configuration(attacks=two, indices=(0, 30, 3))}
    )
    assert (changed.batches, changed.units) == (2, 4)


def test_each_run_has_an_identity_of_its_own() -> None:
    assert len({new_run() for _ in range(10)}) == 10


def changed(**changes: Any) -> bytes:
    return json.dumps({**manifest().values(), **changes}).encode()


def configured(**changes: Any) -> bytes:
    values = manifest().values()
    return json.dumps({**values, "configuration": {**values["configuration"], **changes}}).encode()


def without(name: str) -> bytes:
    values = manifest().values()
    del values["configuration"][name]
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "is damaged: Expecting property name"),
        (b"", "is damaged: Expecting value"),
        (b"\xff\xfe", "is damaged: 'utf-8' codec"),
        (b"[]", "is of format None, but this version of minnorm reads format 4"),
        (b'{"format": 3}', "is of format 3, .* with that version, or repeat it in another folder"),
        (b'{"format": 4}', "is damaged: run: Field required"),
        (b'{"format": 4, "run": "a"}', "is damaged: configuration: Field required"),
        (changed(configuration={}), "is damaged: configuration.model: Field required"),
        (changed(configuration=5), "is damaged: configuration: "),
        (changed(doubts=5), "is damaged: doubts: "),
        (changed(sessions={}), "is damaged: sessions: "),
        (changed(sessions=["x"]), "is damaged: sessions.0: "),
        (changed(sessions=[{"versions": None}]), "is damaged: sessions.0: .*versions is of"),
        (changed(sessions=[{"started": 1}]), "is damaged: sessions.0: .*started is of"),
        (configured(batch_size=0), "is damaged: configuration.batch_size: .* greater than 0"),
        (configured(indices=[0, 1, 0]), "is damaged: configuration.indices: .*not start, stop and"),
        (configured(indices=[0, 10**20, 1]), "is damaged: configuration.indices: "),
        (changed(more=1), "is damaged: more: Extra inputs are not permitted"),
        (without("seed"), "is damaged: configuration.seed: Field required"),
        (without("batch_size"), "is damaged: configuration.batch_size: Field required"),
        (without("acceleration"), "is damaged: configuration.acceleration: Field required"),
    ],
)  # fmt: skip
def test_a_damaged_manifest_is_named_with_what_is_wrong(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "manifest.json"
    path.write_bytes(content)
    with pytest.raises(InputError, match=rf"manifest\.json {message}"):
        read_manifest(path)
