"""A small run with two attacks on three batches, and what it is made of."""

from pathlib import Path
from typing import Any

import torch

from minnorm.evaluation import Evaluation, evaluate
from minnorm.evaluation.store.configuration import AttackEntry, Configuration
from minnorm.evaluation.store.unit_files import Kept

MODEL = "evaluation.tiny_models:linear"
DATA = "mnist-sample[:12]"
ATTACK = "ddn(steps=5)"
ATTACKS = [ATTACK, "ddn(steps=3, levels=256)"]
BATCH_SIZE = 5
BATCHES = [f"{batch:06d}" for batch in range(3)]
SHARDS = [f"{batch:06d}-{attack:02d}" for batch in range(3) for attack in range(2)]

TWO_ATTACKS = tuple(
    AttackEntry(name=name, spec=name, norm="l2", code="") for name in ("ddn", "fmn")
)
"""Two attacks of a configuration that is made by hand."""


KEPT = Kept({"adversarials": torch.ones(1, 2)}, {"inputs": torch.zeros(1, 2)})
"""The tensors of a unit, made by hand."""


def run(out: Path | None, **changes: Any) -> Evaluation:
    """Run two attacks on three batches."""
    arguments: dict[str, Any] = {
        "model": MODEL,
        "data": DATA,
        "attacks": ATTACKS,
        "batch_size": BATCH_SIZE,
        "accelerate": "off",
    }
    return evaluate(out=out, **{**arguments, **changes})


def files(folder: Path) -> dict[str, bytes]:
    """Return the content of all files in a folder."""
    found = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def configuration(**changes: Any) -> Configuration:
    """Return the configuration of a run, made by hand."""
    values: dict[str, Any] = {
        "model": "zoo:it",
        "model_fingerprint": "f" * 64,
        "model_answers": (1.0, -2.0, 0.5),
        "data": "mnist",
        "data_fingerprint": "a" * 64,
        "indices": (0, 12, 1),
        "attacks": (AttackEntry(name="ddn", spec="ddn", norm="l2", code=""),),
        "targets": None,
        "seed": 0,
        "bounds": (0.0, 1.0),
        "dtype": "torch.float32",
        "device": "cpu",
        "save_adversarials": True,
        "batch_size": 5,
        "acceleration": "off",
    }
    return Configuration(**{**values, **changes})
