"""Experiments as run directories: shared, resumed, and apart where rows take long."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from evaluation.small_runs import files
from minnorm.errors import InputError
from minnorm.evaluation.records import samples_in
from minnorm.files import write_tensors
from minnorm.models.small_cnn import mnist_cnn
from minnorm.paper.experiment import AttackRow, Experiment, Setting
from minnorm.paper.measuring import Options, measure
from minnorm.paper.shared_runs import run_folders, slug
from paper.measured_by_hand import experiment, interrupted_after

LINEAR = "evaluation.tiny_models:linear"
NOTHING = "No batch of it is finished yet."


def setting(**values: object) -> Setting:
    """Return a setting of two rows, one of them apart on fewer images."""
    rows = (
        AttackRow(
            name="C&W 9x10,000",
            attack="ddn(steps=3)",
            apart=True,
            data="mnist-sample[:3]",
            batch_size=2,
            accelerate="off",
        ),
        AttackRow(name="DDN 100", attack="ddn(steps=2, levels=256)"),
    )
    given = {
        "name": "MNIST",
        "model": LINEAR,
        "data": "mnist-sample[:5]",
        "batch_size": 5,
        "accelerate": "off",
        "attacks": rows,
        "experiment": "table1",
    }
    return Setting.model_validate({**given, **values})


def one(*settings: Setting) -> Experiment:
    return experiment(settings=settings)


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


def test_so_far_takes_what_is_finished_and_runs_nothing(tmp_path: Path) -> None:
    small = one(setting(batch_size=2))
    (before,) = measure(small, Options(tmp_path, so_far=True))
    assert before.runs == ()
    assert before.missing == dict.fromkeys(("C&W 9x10,000", "DDN 100"), NOTHING)
    assert files(tmp_path) == {}

    with pytest.raises(KeyboardInterrupt):
        measure(small, Options(tmp_path, on_progress=interrupted_after(2)))
    kept = files(tmp_path)
    (found,) = measure(small, Options(tmp_path, so_far=True))
    assert files(tmp_path) == kept
    assert samples_in(found.of("DDN 100")) == 4
    assert found.unfinished() == {"DDN 100": "4 of 5 images"}
    assert found.missing == {"C&W 9x10,000": NOTHING}
    (whole,) = measure(small, Options(tmp_path))
    assert whole.unfinished() == {}
    assert whole.missing == {}
    (again,) = measure(small, Options(tmp_path, so_far=True))
    assert again.of("DDN 100").equals(whole.of("DDN 100"))


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"model": "evaluation.tiny_models:two_classes"}, "network: evaluation.tiny_models:linear"),
        ({"data": "mnist-sample[:4]"}, "samples: range(0, 5), not range(0, 4)"),
        ({"targets": "all"}, "targets: None, not all"),
        ({"accelerate": "plain"}, "acceleration: off, not plain"),
        (
            {"attacks": (AttackRow(name="DDN 100", attack="ddn(steps=3)"),)},
            "DDN 100: ddn(steps=2, levels=256), not ddn(steps=3)",
        ),
    ],
)
def test_so_far_takes_no_run_of_something_else(
    changes: dict[str, object], difference: str, tmp_path: Path
) -> None:
    measure(one(setting()), Options(tmp_path))
    with pytest.raises(InputError, match="holds a run of something else") as caught:
        measure(one(setting(**changes)), Options(tmp_path, so_far=True))
    assert difference in "\n".join(map(str, caught.value.args))
    for options, text in (
        ({"seed": 1}, "seed: 0, not 1"),
        ({"accelerate": "plain"}, "off, not plain"),
    ):
        with pytest.raises(InputError, match=text):
            measure(one(setting()), Options(tmp_path, so_far=True, **options))


def test_so_far_needs_no_images_and_notices_others(tmp_path: Path) -> None:
    file = tmp_path / "images.npz"
    generator = np.random.default_rng(0)
    inputs, labels = generator.random((5, 1, 28, 28), np.float32), np.arange(5)
    np.savez(file, images=inputs, labels=labels)
    rows = setting().attacks[1:]
    own = one(setting(data=str(file), attacks=rows))
    options = Options(tmp_path / "out")
    measure(own, options)
    np.savez(file, images=inputs / 2, labels=labels)
    with pytest.raises(InputError, match="fingerprint of the data"):
        measure(own, replace(options, so_far=True))
    file.unlink()
    (found,) = measure(own, replace(options, so_far=True))
    assert samples_in(found.of("DDN 100")) == 5


def test_so_far_mixes_no_runs_of_changed_weights(tmp_path: Path) -> None:
    file = tmp_path / "network.safetensors"
    together, apart = setting().attacks[1:], setting().attacks[:1]
    options = Options(tmp_path / "out")
    for seed, rows in ((0, together), (1, apart)):
        torch.manual_seed(seed)
        write_tensors(file, mnist_cnn().state_dict(), {"architecture": "mnist_cnn"})
        measure(one(setting(model=str(file), attacks=rows)), options)
    with pytest.raises(InputError, match=r"the network .* was another one in .*mnist than in"):
        measure(one(setting(model=str(file))), replace(options, so_far=True))


def test_a_run_that_has_begun_and_finished_nothing_has_no_rows(tmp_path: Path) -> None:
    measure(one(setting()), Options(tmp_path))
    for path in tmp_path.rglob("*.parquet"):
        path.unlink()
    (found,) = measure(one(setting()), Options(tmp_path, so_far=True))
    assert found.runs == ()
    assert set(found.missing.values()) == {NOTHING}


def test_an_error_of_the_user_stops_and_loses_nothing(tmp_path: Path) -> None:
    wrong = setting(name="CIFAR-10", model="zoo:nothing")
    with pytest.raises(InputError, match="nothing"):
        measure(one(setting(), wrong), Options(tmp_path))
    assert (tmp_path / "runs" / "table1" / "mnist" / "manifest.json").exists()


@pytest.mark.parametrize(
    ("text", "expected"),
    [("C&W 9x10,000", "c-w-9x10-000"), ("CIFAR-10 DDN", "cifar-10-ddn"), (" all! ", "all")],
)
def test_a_name_becomes_that_of_a_folder(text: str, expected: str) -> None:
    assert slug(text) == expected
