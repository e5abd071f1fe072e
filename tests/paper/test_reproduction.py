"""The files of an experiment, and the command that repeats it."""

from pathlib import Path

import pytest

from minnorm.errors import InputError
from minnorm.paper import Experiment, Options, Outcome, load_experiment, reproduce, reproduction
from minnorm.paper.reproduction import command_of


def test_the_command_names_all_that_changes_the_numbers(tmp_path: Path) -> None:
    table = load_experiment("table1", "cpu", data={"MNIST": "mnist[:7]"})
    options = Options(tmp_path, accelerate="off", seed=3)
    assert command_of(table, options) == (
        "minnorm reproduce table1 --scale cpu --data 'MNIST=mnist[:7]' --accelerate off --seed 3"
    )


def test_a_page_that_cannot_be_written_is_said_with_its_option(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def drawn(experiment: Experiment, _: Options) -> Outcome:
        return Outcome(experiment, figures=("figure3.svg",))

    monkeypatch.setattr(reproduction, "load_kind", lambda _: drawn)
    (tmp_path / "figure3" / "results.json").mkdir(parents=True)
    with pytest.raises(InputError, match=r"results\.json cannot be written: .*--out"):
        reproduce(load_experiment("figure3", "smoke"), Options(tmp_path))
