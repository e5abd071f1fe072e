"""The commands `compare` and `gate`, and `evaluate --strict`: words, files and exit codes."""

import json
import shutil
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from cli.bad_evaluation import MODEL, TINY
from cli.command_line import Shell
from minnorm.evaluation import evaluate, load_run

DATA = "mnist-sample[:40]"

FGSM = "fgsm(epsilon=0.3, norm='linf')"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Two runs, to be read but never changed."""
    folder = tmp_path_factory.mktemp("runs")
    for name, attacks in (("a", ["ddn(steps=2)", FGSM]), ("b", ["ddn(steps=4)", FGSM])):
        evaluate(MODEL, DATA, attacks, out=folder / name, accelerate="off", batch_size=20)
    return str(folder / "a"), str(folder / "b")


def test_two_runs_are_compared_in_three_forms(shell: Shell, runs: tuple[str, str]) -> None:
    words = ["compare", *runs, "--epsilon", "0.1,1/4", "--norm", "L2", "--top", "2"]
    table = shell(*words)
    assert (table.code, table.message) == (0, "")
    for text in (
        "accuracy at 0.25",
        "median l2",
        "McNemar",
        "What differs (A and B): attacks: ddn",
    ):
        assert text in table.output
    markdown = shell(*words, "--format", "markdown")
    assert "| metric | A | B | B - A |" in markdown.output
    content = json.loads(shell(*words, "--format", "json").output)
    assert [one["metric"] for one in content["differences"]] == [
        "clean accuracy", "accuracy at 0.1", "accuracy at 0.25", "median l2", "mean l2",
    ]  # fmt: skip
    assert len(content["less_robust"]) <= 2
    assert content["confidence"] == 0.95


def test_one_attack_is_compared_at_another_confidence(shell: Shell, runs: tuple[str, str]) -> None:
    words = ["compare", *runs, "--attack", FGSM, "--confidence", "80%", "--format", "json"]
    words += ["--label", "plain", "--label", "defended"]
    content = json.loads(shell(*words).output)
    assert (content["attacks"], content["norm"], content["counts"]) == (
        [FGSM] * 2,
        "linf",
        [0, 0],
    )
    assert content["confidence"] == 0.8
    assert content["labels"] == ["plain", "defended"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--format", "xml"], "--format='xml': expected one of 'table', 'markdown', 'json'"),
        (["--confidence", "95"], "confidence=95.0: expected a number above 0 and below 1"),
        (["--confidence", "none"], "'none' is not a number"),
        (["--attack", "fgms(epsilon=0.3, norm=linf)"], "Did you mean "),
        (["--epsilon", "-1"], "--epsilon -1: expected a radius of at least 0"),
        ([], "minimize l2 and linf: choose the norm to measure in, for example --norm l2"),
    ],
)
def test_a_bad_comparison_is_refused(
    shell: Shell, runs: tuple[str, str], words: list[str], says: str
) -> None:
    outcome = shell("compare", *runs, *words)
    assert (outcome.code, outcome.output) == (2, "")
    assert says in outcome.message
    assert "Traceback" not in outcome.errors


def test_runs_on_other_data_are_refused(
    shell: Shell, runs: tuple[str, str], tmp_path: Path
) -> None:
    other = tmp_path / "other"
    evaluate(MODEL, "mnist-sample[:4]", FGSM, out=other, accelerate="off")
    for words in (
        ["compare", runs[0], str(other)],
        ["gate", runs[0], "--baseline", str(other), "--no-worse-than", "2%"],
    ):
        outcome = shell(*words)
        assert outcome.code == 2
        assert "cannot be compared sample by sample" in outcome.message
        assert "the part of the data set: [0:" in outcome.message


@pytest.mark.parametrize(
    ("requirements", "code", "says"),
    [
        (["accuracy_l2@0 <= 90%"], 0, "all requirements are met"),
        (["accuracy_l2@0 <= 90%", "clean_accuracy >= 99%"], 1, "not met, missed by"),
        (["accuracy_l2@0 <= 90%", "clean_accuracy >= 32%"], 3, "too few samples"),
    ],
)
def test_the_exit_code_is_the_answer(
    shell: Shell, runs: tuple[str, str], requirements: list[str], code: int, says: str
) -> None:
    outcome = shell("gate", runs[0], *(word for one in requirements for word in ("--require", one)))
    assert outcome.code == code
    assert says in outcome.output
    assert outcome.message == ""


def test_the_answers_are_written_to_files(
    shell: Shell, runs: tuple[str, str], elsewhere: Path
) -> None:
    words = ["--require", "clean_accuracy", "--junit", "gate.xml", "--markdown", "gate.md"]
    baseline = ["--baseline", runs[1], "--no-worse-than", "2%", "--confidence", "none"]
    outcome = shell("gate", runs[0], *words, *baseline)
    assert outcome.code == 0
    suite = ET.fromstring((elsewhere / "gate.xml").read_bytes())  # noqa: S314 - our own document
    assert suite[0].get("name") == "clean_accuracy at most 2 points below the baseline"
    assert "| clean_accuracy at most 2 points" in (elsewhere / "gate.md").read_text()


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "a gate needs a requirement"),
        (["--require", "acuracy@1 >= 1"], "Did you mean 'accuracy'?"),
        (["--require", "accuracy@1 >= 50%"], "name a norm, for example 'accuracy_l2@1'"),
        (["--require", "median_l2 >= 1", "--no-worse-than", "2%"], "give both baseline and"),
        (["--require", "median_l2 >= 1", "--confidence", "95"], "Did you mean 95%?"),
        (["--require", "median_l2 >= 1", "--confidence", "10%"], "expected a number above 0.5"),
    ],
)
def test_a_bad_gate_is_refused(
    shell: Shell, runs: tuple[str, str], elsewhere: Path, words: list[str], says: str
) -> None:
    outcome = shell("gate", runs[0], *words)
    assert outcome.code == 2
    assert says in outcome.message
    assert "Traceback" not in outcome.errors
    assert list(elsewhere.iterdir()) == []


@pytest.mark.filterwarnings("ignore:The run in .* is incomplete")
def test_an_incomplete_run_never_passes(
    shell: Shell, runs: tuple[str, str], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(runs[0], tmp_path / "copy"))
    next((copy / "records").glob("000001-00*")).unlink()
    outcome = shell("gate", str(copy), "--require", "clean_accuracy >= 0")
    assert outcome.code == 2
    assert "1 of 2 batches of ddn(steps=2) are missing" in outcome.message
    assert "Repeat the command that started the run" in outcome.message


def test_no_run_is_bad_input(shell: Shell, tmp_path: Path) -> None:
    outcome = shell("gate", str(tmp_path), "--require", "median >= 1")
    assert outcome.code == 2
    assert "is not a run directory" in outcome.message


def test_warnings_fail_if_strict_after_the_results_are_saved_and_shown(
    shell: Shell, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    model = f"{TINY}:says(kind=probabilities)"
    words = ["evaluate", model, "mnist-sample[:8]", "--attack", "ddn(steps=2)", "--out", str(out)]
    assert shell(*words).code == 0
    strict = shell(*words, "--strict")
    assert strict.code == 1
    assert f"records: {out}" in strict.output
    assert load_run(out).warnings
    gate = ["gate", str(out), "--require", "clean_accuracy >= 0"]
    lenient = shell(*gate)
    assert lenient.code == 0
    assert f"Warning: {load_run(out).warnings[0]}" in " ".join(lenient.output.split())
    assert shell(*gate, "--strict").code == 1


def test_problems_that_the_numbers_show_are_warnings_and_fail_if_strict(
    shell: Shell, runs: tuple[str, str], elsewhere: Path
) -> None:
    words = ["gate", runs[0], "--require", "clean_accuracy >= 0"]
    files = ["--junit", "gate.xml", "--markdown", "gate.md"]
    lenient = shell(*words, *files)
    assert lenient.code == 0
    problem = "Warning: All attacks are very short. ddn(steps=2) and fgsm"
    suite = ET.fromstring((elsewhere / "gate.xml").read_bytes())  # noqa: S314 - our own document
    for text in (
        lenient.output,
        (elsewhere / "gate.md").read_text(),
        suite.findtext("system-out") or "",
    ):
        assert problem in " ".join(text.split())
    assert shell(*words, "--strict").code == 1


def test_of_several_ranks_only_the_first_answers(
    shell: Shell, runs: tuple[str, str], elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Torchrun stops the first rank if another one fails, and a summary would have two entries."""
    launch = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}
    for name, value in launch.items():
        monkeypatch.setenv(name, value)
    found = shell("gate", runs[0], "--require", "clean_accuracy >= 99%", "--markdown", "gate.md")
    assert (found.code, found.output, list(elsewhere.iterdir())) == (0, "", [])
    monkeypatch.setenv("RANK", "0")
    assert shell("gate", runs[0], "--require", "clean_accuracy >= 99%").code == 1


def test_an_evaluation_without_warnings_passes_if_strict(shell: Shell, tmp_path: Path) -> None:
    words = ["evaluate", MODEL, DATA, "--attack", "ddn(steps=2)", "--out", str(tmp_path / "run")]
    assert shell(*words, "--strict").code == 0


def test_the_help_of_the_gate_lists_the_exit_codes(shell: Shell) -> None:
    text = " ".join(shell("gate", "--help").output.split())
    assert "Exit codes: 0: all requirements are met. 1: at least one is not met. 2: bad" in text
    assert "3: too few samples to tell about at least one, and all others are met." in text
