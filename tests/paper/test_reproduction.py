"""The files of an experiment, and the command that repeats it."""

import json
from pathlib import Path

import pytest

from minnorm.errors import InputError
from minnorm.paper import Experiment, Options, Outcome, load_experiment, reproduce, reproduction
from minnorm.paper.pages import to_json, to_markdown
from minnorm.paper.reproduction import command_of, load_experiments
from minnorm.paper.shared_runs import run_folders


def test_the_command_names_all_that_changes_the_numbers(tmp_path: Path) -> None:
    table = load_experiment("table1", "cpu", data={"MNIST": "mnist[:7]"})
    options = Options(tmp_path, accelerate="off", seed=3)
    assert command_of(table, options) == (
        "minnorm reproduce table1 --scale cpu --data 'MNIST=mnist[:7]' --accelerate off --seed 3"
    )


def test_the_command_has_what_a_model_needs_and_nothing_secret(tmp_path: Path) -> None:
    address = "https://me:PASSWORD@host/predict?key=TOKEN(classes=10, headers={'A': 'SECRET'})"
    experiment = load_experiment("black-box", "smoke", models={"MNIST": address})
    options = Options(tmp_path, trust=True)
    command = command_of(experiment, options)
    assert "--model 'MNIST=https://host/predict(classes=10)' --trust" in command
    numbers = to_json(Outcome(experiment), command)
    page = to_markdown(Outcome(experiment), command)
    for word in ("PASSWORD", "TOKEN", "SECRET"):
        assert word not in command + numbers + page
    assert json.loads(numbers)["definition"]["settings"][0]["model"] == (
        "https://host/predict(classes=10)"
    )


def test_a_replaced_network_is_that_of_every_experiment_that_has_its_runs() -> None:
    changed = load_experiments("all", "smoke", models={"MNIST": "zoo:mnist-cnn-ddn"})
    named = {one.name: one for one in changed}
    first = named["table1"].setting("MNIST")
    baseline = named["table5"].setting("MNIST baseline")
    assert baseline.runs_of is not None
    assert (baseline.model, baseline.runs_of.model) == (first.model, first.model)
    assert baseline.runs_of.model == "zoo:mnist-cnn-ddn"
    assert baseline.differences[0].startswith("The network is not that of the experiment")
    assert run_folders(baseline) == run_folders(baseline.runs_of)
    assert named["figure4"].setting("MNIST baseline").model == "zoo:mnist-cnn-ddn"


def test_a_page_that_cannot_be_written_is_said_with_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(experiment: Experiment, _: Options) -> Outcome:
        return Outcome(experiment, figures=("figure3.svg",))

    monkeypatch.setattr(reproduction, "load_kind", lambda _: drawn)
    (tmp_path / "figure3" / "results.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"results\.json cannot be written: .*--out"):
        reproduce(load_experiment("figure3", "smoke"), Options(tmp_path))
