"""A full disk costs a file, and not the run."""

import os
from collections.abc import Callable
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from minnorm.files import remove_partial_files, write_tensors
from minnorm.models import Card, save_weights
from minnorm.training import checkpoints, train
from training import small_runs
from training.small_runs import assert_same_run, on_full_disk, recipe_of, stopped


@pytest.mark.parametrize(
    ("place", "write", "message"),
    [
        ("torch.save", torch.save, "no checkpoint was written"),
        (
            "minnorm.models.weights.write_tensors",
            write_tensors,
            "the last weights were not written",
        ),
    ],
    ids=["checkpoint", "last weights"],
)
def test_a_full_disk_costs_a_file_and_not_the_run(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    place: str,
    write: Callable[..., None],
    message: str,
) -> None:
    monkeypatch.setattr(place, on_full_disk(write, {2}))
    card = train(recipe_of(digits), tmp_path)
    assert caplog.text.count(message) == 1
    assert_same_run(tmp_path, card, undisturbed)


@pytest.mark.parametrize("fails", [{1, 3}, set(range(1, 10))], ids=["some", "all"])
def test_weights_that_could_not_be_written_are_written_at_the_end(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    fails: set[int],
) -> None:
    full = on_full_disk(write_tensors, fails)
    monkeypatch.setattr("minnorm.models.weights.write_tensors", full)
    if len(fails) > 2:  # the last attempt fails as well
        with pytest.raises(OSError, match=r"tiny.safetensors cannot be written: .*No space left"):
            train(recipe_of(digits), tmp_path)
        monkeypatch.undo()
        card = train(recipe_of(digits), tmp_path, resume=True)
    else:
        card = train(recipe_of(digits), tmp_path)
    assert caplog.text.count("the best weights were not written") >= 1
    assert_same_run(tmp_path, card, undisturbed)


def test_logs_that_cannot_be_written_cost_nothing_else(
    undisturbed: tuple[Path, Card],
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    full = Mock(side_effect=OSError(28, "No space left on device"))
    monkeypatch.setattr("torch.utils.tensorboard.SummaryWriter", full)
    monkeypatch.setattr(checkpoints, "write_log", on_full_disk(checkpoints.write_log, {1}))
    card = train(recipe_of(digits), tmp_path)
    assert "TensorBoard's log was not written" in caplog.text
    assert "the log was not written" in caplog.text
    assert "no checkpoint was written" not in caplog.text
    assert_same_run(tmp_path, card, undisturbed)


def test_the_system_s_temporary_folder_is_not_needed(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "none"))
    folder = stopped(recipe_of(digits), tmp_path / "run", epochs=1)
    assert (folder / "last.ckpt").exists()


def test_partial_files_of_weights_can_be_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", Mock(side_effect=KeyboardInterrupt))
    monkeypatch.setattr(Path, "unlink", Mock())  # as if the process had been killed
    with pytest.raises(KeyboardInterrupt):
        save_weights(small_runs.network(), small_runs.NETWORK, tmp_path / "x.safetensors")
    monkeypatch.undo()
    assert len(list(tmp_path.iterdir())) == 1
    remove_partial_files(tmp_path)
    assert not list(tmp_path.iterdir())
