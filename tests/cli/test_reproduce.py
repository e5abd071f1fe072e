"""The command that repeats the tables and figures of the paper."""

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from cli.command_line import Shell
from evaluation.small_runs import files
from minnorm.errors import MissingLibraryError
from minnorm.evaluation import load_run, mean_distance, of_attack
from minnorm.paper import Outcome, experiment_names
from minnorm.paper.experiment import Experiment
from minnorm.paper.measuring import Options
from two_ranks import on_two_ranks

WITHOUT_RUNS = ("figure1", "figure3")


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of all experiments, so that figures find the runs of tables."""
    return tmp_path_factory.mktemp("all")


@pytest.mark.slow
@pytest.mark.parametrize("name", experiment_names())
def test_every_experiment_runs_at_the_scale_smoke(name: str, shell: Shell, out: Path) -> None:
    outcome = shell("reproduce", name, "--scale", "smoke", "--out", str(out))
    assert outcome.code == 0, outcome.errors
    folder = out / name
    assert f"results: {folder}" in outcome.output
    page = (folder / "page.md").read_text()
    results = json.loads((folder / "results.json").read_text())
    assert f"minnorm reproduce {name} --scale smoke" in page
    assert results["scale"] == "smoke"
    assert {claim["result"] for claim in results["claims"]} <= {"not measured"}
    for figure in results["figures"]:
        if figure.endswith(".svg"):
            assert ET.parse(folder / figure).getroot().tag.endswith("svg")  # noqa: S314
        else:
            with Image.open(folder / figure) as image:
                assert min(image.size) > 500
        assert f"({figure})" in page or f"({Path(figure).stem}.svg)" in page
    is_figure = bool(results["figures"])
    assert is_figure == (name.startswith("figure") or name == "curves")
    if name in WITHOUT_RUNS:
        return
    assert "<script" in (folder / "report.html").read_text()
    assert is_figure or results["rows"]
    runs = {run["run"]: run for run in results["runs"]}
    assert {one for setting in results["settings"] for one in setting["runs"]} == set(runs)
    assert all(run["sessions"][0]["versions"] for run in runs.values())
    for row in results["rows"]:
        ours = row["ours"]
        median = ours.get("median") or ours["success"]
        assert median["value"] is not None
        assert max(ours[cost]["value"] for cost in ("gradients", "queries") if cost in ours) > 0


@pytest.mark.slow
def test_two_ranks_share_an_experiment(out: Path, tmp_path: Path, shell: Shell) -> None:
    words = ("reproduce", "table2", "--scale", "smoke", "--out")
    assert shell(*words, str(out)).code == 0
    done = on_two_ranks("minnorm", *words, str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("results: ") == 1
    ours, theirs = (
        json.loads((folder / "table2" / "results.json").read_text())["rows"]
        for folder in (tmp_path, out)
    )
    for row, other in zip(ours, theirs, strict=True):
        for column in {*row["ours"]} - {"seconds"}:
            value, expected = (one["ours"][column]["value"] for one in (row, other))
            assert value == (expected and pytest.approx(expected, rel=1e-4)), column


def test_a_table_is_beside_the_paper_s_and_is_resumed(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("minnorm.paper.reproduction.write_report", lambda *_: None)
    words = ("reproduce", "table2", "--scale", "smoke", "--out", str(tmp_path))
    first = shell(*words)
    assert first.code == 0, first.errors
    records = load_run(tmp_path / "runs" / "table2" / "mnist").records
    mean = mean_distance(of_attack(records, "DDN 1,000"), over="all").value
    page = (tmp_path / "table2" / "page.md").read_text()
    row = next(line for line in page.splitlines() if line.startswith("| DDN 1,000 "))
    assert f"{mean:.4f}" in row
    assert "1.9511" in page  # the paper's
    assert "1.9511" in first.output
    before = files(tmp_path / "runs")
    second = shell(*words)
    assert second.output == first.output
    assert files(tmp_path / "runs") == before


def test_without_a_name_the_experiments_are_listed(shell: Shell) -> None:
    for words in (("reproduce",), ("reproduce", "table1", "--list")):
        outcome = shell(*words)
        assert outcome.code == 0
        assert all(name in outcome.output for name in (*experiment_names(), "all"))
        assert "Table 1: untargeted attacks" in outcome.output


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tabel1",), "unknown experiment 'tabel1'. Did you mean 'table1'?"),
        (("table1", "--scale", "gpu"), "unknown scale 'gpu'. Did you mean 'cpu'?"),
        (("table1", "--model", "MNISTT=zoo:mnist-cnn"), "Did you mean 'MNIST'?"),
        (("table1", "--data", "zoo"), "--data zoo: expected SETTING=SPEC"),
        (("table1", "--model", "MNIST="), "--model MNIST=: expected SETTING=SPEC"),
        (("table1", "--data", "MNIST=a", "--data", "MNIST=b"), "'MNIST' is given twice"),
        (("table1", "--model", "MNIST=zoo:mnist"), "Did you mean"),
        (("table1", "--data", "MNIST=no.npz"), "there is no file no.npz"),
        (("all", "--data", "nowhere=mnist"), "unknown setting 'nowhere' of any experiment"),
    ],
)
def test_bad_input_is_explained_before_anything_runs(
    words: tuple[str, ...], message: str, shell: Shell, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    given = words if "--scale" in words else (*words, "--scale", "smoke")
    outcome = shell("reproduce", *given, "--out", str(out))
    assert outcome.code == 2
    assert message in outcome.message
    assert outcome.message.count("error:") == 1
    assert not out.exists()


def test_if_nothing_can_run_the_message_says_what_to_do(shell: Shell, elsewhere: Path) -> None:
    outcome = shell("reproduce", "table4", "--scale", "paper", "--out", str(elsewhere / "out"))
    assert outcome.code == 2
    assert "table4 has no results" in outcome.message
    assert "--data 'ImageNet=imagenet:FOLDER" in outcome.message


def test_without_runs_there_is_nothing_so_far(shell: Shell, tmp_path: Path) -> None:
    words = ("reproduce", "table1", "--scale", "smoke", "--so-far", "--out", str(tmp_path / "out"))
    outcome = shell(*words)
    assert outcome.code == 2
    assert "table1 has no results. No batch of it is finished yet." in outcome.message
    assert "Leave out --so-far to run it." in outcome.message
    assert not list((tmp_path / "out").iterdir())


def test_of_all_experiments_those_that_fail_stop_no_other(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def fails_often(experiment: Experiment, _: Options) -> Outcome:
        ran.append(experiment.name)
        if experiment.name != "table2":
            raise MissingLibraryError(f"{experiment.name} needs a library")
        return Outcome(experiment)

    monkeypatch.setattr("minnorm.paper.reproduce", fails_often)
    outcome = shell("reproduce", "all", "--scale", "smoke", "--out", str(tmp_path))
    assert ran == list(experiment_names())
    assert outcome.code == 2
    count = len(ran)
    assert f"{count - 1} of {count} experiments have no results" in outcome.message
    assert "table1: table1 needs a library" in outcome.message
    assert "Table 2: targeted attacks on MNIST" in outcome.output


def test_without_the_extra_a_note_says_what_to_install(
    shell: Shell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise MissingLibraryError("install minnorm[report]")

    monkeypatch.setattr("minnorm.paper.reproduction.write_report", missing)
    outcome = shell("reproduce", "cw-search", "--scale", "smoke", "--out", str(tmp_path))
    assert outcome.code == 0
    assert "install minnorm[report]" in outcome.message
    page = (tmp_path / "cw-search" / "page.md").read_text()
    assert "There is no report: install minnorm" in page
