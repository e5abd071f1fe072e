"""Provenance: the command repeats the run, and sessions on one machine share an entry."""

import shlex
from pathlib import Path
from typing import Any

import pytest

from cli.command_line import Shell
from minnorm.evaluation import Evaluation, load_run
from minnorm.evaluation.store.configuration import DrawsEntry, RestrictionsEntry
from minnorm.report import LabeledRun, label_runs
from minnorm.report.page.page import page_html
from minnorm.report.page.provenance import provenance, repeating_command
from report.made_runs import made_run


def labeled(run: Evaluation) -> LabeledRun:
    return label_runs([run])[0]


def session(**changes: Any) -> dict[str, Any]:
    made = {
        "acceleration": ["it is fast"], "started": "2026-01-01T10:00:00+00:00", "ranks": 1,
        "revision": "abc", "versions": {"torch": "2.6"}, "hardware": {"cores": 2, "memory_gib": 8},
    }  # fmt: skip
    return made | changes


@pytest.mark.slow
def test_the_command_repeats_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    shell = Shell(monkeypatch, capsys)
    words = ["--attack", "ddn(steps=3)", "--attack", "pgd(epsilon=100, steps=2, norm=l2)"]
    words += ["--targets", "random:2", "--seed", "7", "--bounds", "0", "255", "--batch-size", "4"]
    done = shell(
        "evaluate", "zoo:mnist-cnn", "mnist-sample[1:9:2]", *words, "--out", "run",
        "--no-adversarials",
    )  # fmt: skip
    assert done.code == 0, done.errors
    program, *again = shlex.split(repeating_command(labeled(load_run("run"))))
    assert program == "minnorm"
    assert shell(*again).code == 0
    first, second = load_run("run"), load_run("repeated")
    assert second.records.drop_columns(["seconds"]).equals(first.records.drop_columns(["seconds"]))
    assert second.manifest["configuration"] == first.manifest["configuration"]


@pytest.mark.parametrize(
    ("model", "data", "says"),
    [
        ("zoo:a", "mnist", "add these"),
        ("weights.pt + mnist_cnn", "images.npz", "add these"),
        ("Net", "mnist", "Replace MODEL by"),
        ("test.<locals>.Net", "data", "Replace MODEL and DATA by"),
        ("zoo:a", "data", "Replace DATA by"),
    ],
)
def test_what_is_no_spec_is_to_be_replaced(model: str, data: str, says: str) -> None:
    found = provenance(labeled(made_run(model=model, data=data)))
    assert says in found.remark
    words = shlex.split(found.command)
    assert words[2] == ("MODEL" if "MODEL" in says else model)
    assert words[3] == ("DATA" if "DATA" in says else data) + "[0:2]"


@pytest.mark.parametrize("trusted", [True, False])
def test_the_command_trusts_the_file_as_the_run_did(trusted: bool) -> None:
    run = made_run(model="tree.joblib", sessions=[session(), session(trust=trusted)])
    found = provenance(labeled(run))
    assert ("--trust" in shlex.split(found.command)) == trusted
    assert ("trust its source" in found.remark) == trusted


def test_the_command_has_bounds_and_mask_as_files() -> None:
    entry = RestrictionsEntry(features=9, free=3, bounds="a" * 64, mask="b" * 64)
    found = provenance(labeled(made_run(restrictions=entry)))
    assert "--bounds FILE.npz --mask FILE.npy" in found.command
    assert "give their file" in found.remark


def test_the_facts_are_those_of_the_manifest() -> None:
    run = made_run(model="zoo:a", seed=5, bounds=(0.0, 255.0), targets="all")
    run.manifest["sessions"] = [session(), session(started="2026-01-02T10:00:00+00:00")]
    configuration, machine = provenance(labeled(run)).facts
    facts = dict(configuration.entries)
    assert facts["model"] == "zoo:a"
    assert facts["samples"] == "2, positions 0 to 1"
    assert facts["seed"] == "5"
    assert facts["bounds of inputs"] == "0 to 255"
    assert facts["targets"] == "all"
    assert facts["attack"] == "ddn, minimizes l2, uses gradients"
    assert dict(machine.entries) == {
        "started": "2026-01-01T10:00:00+00:00, 2 sessions, the last one 2026-01-02T10:00:00+00:00",
        "revision": "abc",
        "versions": "torch 2.6",
        "processes": "1",
        "cores": "2",
        "memory in GiB": "8",
        "choice of acceleration": "it is fast",
    }


def test_sessions_of_other_code_have_their_own_entry() -> None:
    run = made_run()
    run.manifest["sessions"] = [session(), session(revision="def")]
    _, first, second = provenance(labeled(run)).facts
    assert (first.heading, second.heading) == ("Code and machine 1", "Code and machine 2")
    assert dict(second.entries)["revision"] == "def"


def test_a_session_that_tells_nothing_is_shown() -> None:
    run = made_run()
    run.manifest["sessions"] = [{}]
    [_, machine] = provenance(labeled(run)).facts
    assert dict(machine.entries) == {
        "started": "unknown", "revision": "unknown", "versions": "", "processes": "unknown",
    }  # fmt: skip
    assert "Code and machine" in page_html([labeled(run)])


def test_the_draws_of_a_random_model_are_shown() -> None:
    entry = DrawsEntry(draws=32, seed=4, threshold=0.5, judged=1024)
    (configuration, *_) = provenance(labeled(made_run(random_draws=entry))).facts
    rows = dict(configuration.entries)
    assert rows["draws"] == "32 with seed 4, threshold 0.5, judged in 1,024 others"
    (other, *_) = provenance(labeled(made_run())).facts
    assert "draws" not in dict(other.entries)
