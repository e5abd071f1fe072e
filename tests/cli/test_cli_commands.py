"""The commands that go well: help, lists, and an evaluation from beginning to end."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cli.command_line import Shell
from minnorm.attacks import ATTACKS
from minnorm.attacks.default import DEFAULT
from minnorm.cli import console
from minnorm.data import CATALOGUE
from minnorm.evaluation import load_run
from minnorm.models import zoo_cards

TESTS = Path(__file__).parent.parent
MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:8]"


@pytest.mark.parametrize(
    "words",
    [[], ["evaluate"], ["train"], ["demo"], ["data"], ["data", "list"], ["data", "fetch"],
     ["model"], ["model", "list"], ["attack"], ["attack", "list"]],
    ids=" ".join,
)  # fmt: skip
def test_every_command_has_help(shell: Shell, words: list[str]) -> None:
    outcome = shell(*words, "--help")
    assert outcome.code == 0
    # Inside of pytest the program has a longer name.
    assert re.match(rf"Usage: .*{' '.join(['minnorm', *words])}", outcome.output)
    assert outcome.errors == ""
    assert "--help" in outcome.output


def test_the_help_names_every_command(shell: Shell) -> None:
    output = shell("--help").output
    for command in ("evaluate", "train", "demo", "data", "model", "attack"):
        assert re.search(rf"^\s+{command}\s+\w", output, re.MULTILINE)


def test_an_evaluation_prints_a_table_and_where_the_records_are(
    shell: Shell, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=5)", "--attack", "ddn(steps=3)"]
    outcome = shell(*words, "--out", str(out), "--epsilon", "0.5", "--norm", "linf")
    assert outcome.code == 0
    for text in ("ddn(steps=5)", "ddn(steps=3)", "worst case", "median linf", "acc. % at 0.5"):
        assert text in outcome.output
    assert outcome.output.splitlines()[-1] == f"records: {out}"
    assert outcome.message == ""
    assert len(load_run(out).records) == 2 * 8


def test_without_a_terminal_a_line_tells_now_and_then_how_far_it_is(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(console, "_SECONDS_BETWEEN_LINES", 0.0)
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=3)", "--batch-size", "4"]
    message = shell(*words, "--out", str(tmp_path / "run")).message
    assert "attacking, 3 gradients of a batch: 1 of 2" in message
    assert "attacking, 6 gradients of a batch: 2 of 2" in message


def test_without_an_attack_the_package_chooses(shell: Shell, tmp_path: Path) -> None:
    outcome = shell("evaluate", MODEL, DATA, "--out", str(tmp_path / "run"))
    assert outcome.code == 0
    assert set(load_run(tmp_path / "run").records.column("attack").to_pylist()) == {DEFAULT}
    assert DEFAULT in outcome.output
    assert f"Default: {DEFAULT}." in " ".join(shell("evaluate", "--help").output.split())


def test_the_options_reach_the_evaluation(shell: Shell, tmp_path: Path) -> None:
    out = tmp_path / "run"
    options = ["--targets", "random:2", "--batch-size", "3", "--seed", "7", "--bounds", "-1", "2"]
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(out), *options]
    assert shell(*words, "--no-adversarials", "--device", "cpu").code == 0
    configuration = load_run(out).manifest["configuration"]
    expected = {"targets": "random:2", "batch_size": 3, "seed": 7, "bounds": [-1.0, 2.0],
                "device": "cpu", "save_adversarials": False}  # fmt: skip
    assert expected.items() <= configuration.items()
    assert not list(out.rglob("*.safetensors"))


def test_the_same_command_again_prints_the_same_table(shell: Shell, tmp_path: Path) -> None:
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(tmp_path / "run")]
    assert shell(*words).output == shell(*words).output


def test_data_list_shows_the_data_sets_and_where_they_are(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MINNORM_CACHE", str(tmp_path))
    outcome = shell("data", "list")
    assert outcome.code == 0
    assert all(name in outcome.output for name in ("mnist-sample", *CATALOGUE))
    assert str(tmp_path) in "".join(outcome.output.split())
    assert "FILE.npz" in outcome.output


def test_model_list_shows_the_zoo_and_the_forms(shell: Shell) -> None:
    outcome = shell("model", "list")
    assert outcome.code == 0
    assert all(f"zoo:{name}" in outcome.output for name in zoo_cards())
    assert "normal_pursuit(budget=30) within" in " ".join(outcome.output.split())
    assert "FILE.safetensors [+ ARCHITECTURE]" in outcome.output


def test_attack_list_shows_the_attacks_and_their_parameters(shell: Shell) -> None:
    outcome = shell("attack", "list")
    assert outcome.code == 0
    assert all(name in outcome.output for name in ATTACKS)
    assert "steps=100" in " ".join(outcome.output.split())


def test_a_group_without_a_command_shows_its_help(shell: Shell) -> None:
    for group in ("data", "model", "attack"):
        outcome = shell(group)
        assert "list" in outcome.output + outcome.errors
        assert "Traceback" not in outcome.errors


@pytest.mark.slow
def test_a_process_of_its_own_evaluates(tmp_path: Path) -> None:
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(tmp_path / "run")]
    done = subprocess.run(
        [sys.executable, "-m", "minnorm", *words],
        cwd=TESTS, capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    assert "ddn(steps=2)" in done.stdout
    assert "\x1b[" not in done.stdout  # no colours where nobody sees them
    assert len(load_run(tmp_path / "run").records) == 8
