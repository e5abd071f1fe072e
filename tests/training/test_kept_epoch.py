"""The epoch that a run keeps, and what it says while it runs."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from minnorm.models import Card
from minnorm.training import loop, train
from training.small_runs import log_of, recipe_of, stopped


def measuring(
    monkeypatch: pytest.MonkeyPatch, clean: Sequence[float], robust: Sequence[float]
) -> None:
    """Replace the measurements after each epoch by given figures."""
    cleans, robusts = iter(clean), iter(robust)
    monkeypatch.setattr(loop, "accuracies", lambda *_: (next(cleans), 0.1))
    monkeypatch.setattr(loop, "robust_accuracy", lambda *_: next(robusts))


NAN = float("nan")


@pytest.mark.parametrize(
    ("figures", "kept"),
    [
        (([0.5, 0.6, 0.7], [0.3, 0.3, 0.3]), 3),
        (([0.7, 0.6, 0.5], [0.3, 0.3, 0.3]), 1),
        (([0.6, 0.6, 0.6], [0.3, 0.3, 0.3]), 3),
        (([0.6, 0.9, 0.9], [0.4, 0.3, 0.3]), 1),
        (([0.6, 0.6, 0.9], [0.0, 0.0, NAN]), 2),
        (([0.6, 0.7, NAN], [NAN, NAN, NAN]), 2),
        (([0.9, 0.5, 0.5], [0.0, 0.1, 0.1]), 3),
    ],
)
def test_ties_are_decided_by_clean_accuracy_and_then_by_the_later_epoch(
    digits: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    figures: tuple[Sequence[float], Sequence[float]],
    kept: int,
) -> None:
    measuring(monkeypatch, *figures)
    recipe = recipe_of(digits, robust_validation={"attack": "ddn(steps=1)", "epsilon": 0.1})
    card = train(recipe, tmp_path)
    assert card.epoch == kept
    assert json.loads((tmp_path / "tiny.json").read_text())["epoch"] == kept
    weights = load_file(tmp_path / "tiny.safetensors")
    last = load_file(tmp_path / "tiny-last.safetensors")
    assert (kept == 3) == all(weights[name].equal(last[name]) for name in last)


def test_the_kept_epoch_is_that_of_an_uninterrupted_run(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    measuring(monkeypatch, [0.9, 0.5, 0.9], [])
    recipe = recipe_of(digits)
    stopped(recipe, tmp_path, 2)
    assert torch.load(tmp_path / "last.ckpt", weights_only=True)["kept_epoch"] == 1
    assert train(recipe, tmp_path, resume=True).epoch == 3


def test_without_an_attack_the_last_of_several_best_epochs_is_kept(
    digits: Path, tmp_path: Path, undisturbed: tuple[Path, Card]
) -> None:
    folder, card = undisturbed
    reached = [line["validation_accuracy"] for line in log_of(folder)]
    assert card.epoch == max(n for n, one in enumerate(reached, 1) if one == max(reached))
    frozen = {"learning_rate": 1e-12, "momentum": 0.0}  # only the batch norm changes, a little
    again = recipe_of(digits, optimizer=frozen, initial=f"{folder}/tiny.safetensors + {NETWORK}")
    card = train(again, tmp_path)
    reached = [line["validation_accuracy"] for line in log_of(tmp_path)]
    assert card.epoch == max(n for n, one in enumerate(reached, 1) if one == max(reached))


NETWORK = "training.small_runs:network"


def warnings_of(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [r.getMessage() for r in caplog.records if text in r.getMessage()]


def test_a_training_that_diverges_is_told_once_while_it_runs(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[int] = []

    def on_progress(*_: object) -> None:
        told.append(len(warnings_of(caplog, "The training diverges")))

    wild = {"learning_rate": 30.0}
    train(recipe_of(digits, optimizer=wild, schedule={}), tmp_path, on_progress=on_progress)
    (warning,) = warnings_of(caplog, "The training diverges")
    assert warning.startswith("epoch 1: the mean loss is ")
    assert told[12] == 1  # in the second epoch already


def test_a_network_that_learns_nothing_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    images = np.random.default_rng(0).random((192, 1, 28, 28), np.float32)
    np.savez(tmp_path / "noise.npz", images=images, labels=np.arange(192) % 2)
    content: dict[str, Any] = {
        "data": f"{tmp_path}/noise.npz[:128]",
        "validation": f"{tmp_path}/noise.npz[128:160]",
        "test": f"{tmp_path}/noise.npz[160:]",
        "optimizer": {"learning_rate": 1e-9},
        "architecture": "mnist_cnn",
    }
    recipe = recipe_of(tmp_path, **content, epochs=3)
    train(recipe, tmp_path / "run")
    (warning,) = warnings_of(caplog, "no better than predicting the same class")
    assert warning.startswith("epoch 1: the accuracy on ")
    caplog.clear()
    warming = recipe_of(tmp_path, **content, epochs=3, schedule={"warmup": 2})
    train(warming, tmp_path / "warming")
    (warning,) = warnings_of(caplog, "no better than predicting the same class")
    assert warning.startswith("epoch 3: ")


def test_a_training_that_learns_has_no_warnings(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    card = train(recipe_of(digits), tmp_path)
    assert caplog.messages == []
    assert card.notes == ""


@pytest.mark.parametrize("validation", ["[:384]", "[:64]", "[300:400]"])
def test_validation_on_training_images_is_told_once(
    digits: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, validation: str
) -> None:
    recipe = recipe_of(digits, validation=f"{digits}{validation}")
    card = train(recipe, tmp_path)
    (warning,) = warnings_of(caplog, "samples are training samples too")
    assert card.notes == warning
    assert warning.startswith(f"validation: {recipe.validation}: ")
