"""Experiments as run directories: shared, resumed, and apart where rows take long."""

from pathlib import Path

import pytest

from evaluation.small_runs import files
from minnorm.errors import InputError
from minnorm.evaluation.records import samples_in
from minnorm.paper.experiment import AttackRow
from minnorm.paper.measuring import Options, measure
from minnorm.paper.shared_runs import run_folders
from paper.small_settings import one, setting


def test_rows_share_a_run_but_for_those_apart(tmp_path: Path) -> None:
    reports: list[str] = []
    options = Options(tmp_path, on_progress=lambda name, *_: reports.append(name))
    (found,) = measure(one(setting(keep=True)), options)
    folders = ["runs/table1/mnist", "runs/table1/mnist-c-w-9x10-000"]
    assert list(run_folders(found.setting)) == folders
    assert [str(run.directory) for run in found.runs] == [str(tmp_path / one) for one in folders]
    assert samples_in(found.of("DDN 100")) == 5
    assert samples_in(found.of("C&W 9x10,000")) == 3
    configuration = found.run_of("C&W 9x10,000").manifest["configuration"]
    assert configuration["batch_size"] == 2
    assert configuration["save_adversarials"]
    assert [entry["name"] for entry in configuration["attacks"]] == ["C&W 9x10,000"]
    assert list(dict.fromkeys(reports)) == ["table1, MNIST", "table1, MNIST, C&W 9x10,000"]


def test_what_is_finished_is_not_run_again_and_new_rows_are_added(tmp_path: Path) -> None:
    before = one(setting())
    measure(before, Options(tmp_path))
    kept = files(tmp_path)
    measure(before, Options(tmp_path))
    assert files(tmp_path) == kept
    row = AttackRow(name="DDN 300", attack="ddn(steps=4)")
    more = setting(attacks=(*before.settings[0].attacks, row))
    (found,) = measure(one(more), Options(tmp_path))
    assert samples_in(found.of("DDN 300")) == 5
    after = files(tmp_path)
    records = {name for name in kept if name.endswith(".parquet")}
    assert records
    assert all(after[name] == kept[name] for name in records)


def test_rows_that_another_experiment_runs_are_taken_from_its_directories(tmp_path: Path) -> None:
    other = setting()
    ddn = AttackRow(name="DDN 100", attack="ddn(steps=2, levels=256)")
    taking = setting(name="baseline", experiment="table5", attacks=(ddn,), runs_of=other)
    (found,) = measure(one(taking), Options(tmp_path))
    assert [run.directory for run in found.runs] == [tmp_path / "runs" / "table1" / "mnist"]
    assert samples_in(found.of("DDN 100")) == 5
    kept = files(tmp_path)
    (both, again) = measure(one(other, taking), Options(tmp_path))
    assert both.run_of("DDN 100") is again.run_of("DDN 100")
    assert {name: text for name, text in files(tmp_path).items() if name in kept} == kept


def test_a_row_of_other_directories_that_cannot_run_says_why(tmp_path: Path) -> None:
    other = setting(data=f"imagenet:{tmp_path / 'none'}", install="Give the folder.")
    ddn = AttackRow(name="DDN 100", attack="ddn(steps=2, levels=256)")
    taking = setting(name="baseline", experiment="table5", attacks=(ddn,), runs_of=other)
    (found,) = measure(one(taking), Options(tmp_path))
    assert set(found.missing) == {"DDN 100"}
    assert found.missing["DDN 100"].endswith("Give the folder.")


def test_a_setting_that_cannot_run_does_not_stop_the_others(tmp_path: Path) -> None:
    missing = setting(
        name="ImageNet",
        data=f"imagenet:{tmp_path / 'none'}",
        install="Give the folder with --data.",
    )
    rows = tuple(row.model_copy(update={"data": None}) for row in missing.attacks)
    missing = missing.model_copy(update={"attacks": rows})
    found = measure(one(missing, setting()), Options(tmp_path))
    assert [len(each.runs) for each in found] == [0, 2]
    assert set(found[0].missing) == {"C&W 9x10,000", "DDN 100"}
    assert all("there is no folder" in why for why in found[0].missing.values())
    assert all(why.endswith("Give the folder with --data.") for why in found[0].missing.values())
    assert not found[0].has("DDN 100")


def test_an_error_of_the_user_stops_and_loses_nothing(tmp_path: Path) -> None:
    wrong = setting(name="CIFAR-10", model="zoo:nothing")
    with pytest.raises(InputError, match="nothing"):
        measure(one(setting(), wrong), Options(tmp_path))
    assert (tmp_path / "runs" / "table1" / "mnist" / "manifest.json").exists()
