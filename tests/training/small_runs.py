"""Short training runs, and the values of them that tests compare."""

import json
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from minnorm.data import load_data
from minnorm.models import Card
from minnorm.training import Recipe, train

NETWORK = "training.small_runs:network"
"""The spec of `network`."""


def digits_file(folder: Path, samples: int) -> Path:
    """Write a file of images of digits, and return its path."""
    inputs, labels = load_data(f"mnist-sample[:{samples}]").batch(range(samples))
    path = folder / "digits.npz"
    np.savez(path, images=(inputs.numpy() * 255).round().astype(np.uint8), labels=labels.numpy())
    return path


def on_full_disk(
    write: Callable[..., Any], fails: Container[int], error: type[Exception] = OSError
) -> Callable[..., Any]:
    """Return a function that calls `write`, but fails at these calls, counted from 1."""
    written = 0

    def save(*given: Any, **named: Any) -> Any:
        nonlocal written
        written += 1
        if written in fails:
            raise error("No space left on device")
        return write(*given, **named)

    return save


def network(dropout: float = 0.2) -> nn.Module:
    """Return a network that learns in seconds and has every state that a resumed run restores."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 64),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(64, 10),
    )


def recipe_of(digits: Path, **changes: Any) -> Recipe:
    """Return the recipe of a short run, with changes."""
    content = {
        "name": "tiny",
        "architecture": NETWORK,
        "data": f"{digits}[:384]",
        "validation": f"{digits}[384:448]",
        "test": f"{digits}[448:]",
        "epochs": 3,
        "batch_size": 32,
        "optimizer": {"learning_rate": 0.05},
        "schedule": {"name": "milestones", "milestones": [2]},
    }
    return Recipe.model_validate({**content, **changes})


def log_of(folder: Path) -> list[dict[str, float]]:
    """Read the log of a run."""
    return [json.loads(line) for line in (folder / "log.jsonl").read_text().splitlines()]


def stopped(recipe: Recipe, folder: Path, epochs: float = 2, *, resume: bool = False) -> Path:
    """Train until so many epochs are done, and return the folder."""

    def on_progress(done: float, *_: object) -> None:
        if done >= epochs:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(recipe, folder, resume=resume, on_progress=on_progress)
    return folder


def files_in(folder: Path) -> dict[Path, bytes]:
    """Read all files of a folder."""
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def assert_same_run(folder: Path, card: Card, undisturbed: tuple[Path, Card]) -> None:
    """Check that two runs have the same results; times and sessions may differ."""
    other, other_card = undisturbed
    assert card.model_copy(update={"sessions": other_card.sessions}) == other_card
    assert (folder / "tiny.safetensors").read_bytes() == (other / "tiny.safetensors").read_bytes()
    states = [torch.load(f / "last.ckpt", weights_only=True)["network"] for f in (folder, other)]
    for name in states[0]:
        assert states[0][name].equal(states[1][name])
    measured = [
        [{key: line[key] for key in line if key != "seconds"} for line in log_of(f)]
        for f in (folder, other)
    ]
    assert measured[0] == measured[1]
