"""Runs that continue: some finished samples are compared, where no fingerprint covers all."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils.data import Dataset

from evaluation.record_tables import same
from evaluation.small_runs import ATTACK, SHARDS, files, run
from evaluation.tiny_models import Centered
from minnorm.data import load_data
from minnorm.errors import RunConflictError
from minnorm.models import predict_only

ADDED = [ATTACK, "fmn(steps=3)"]
IMAGES, LABELS = load_data("mnist-sample[:30]").batch(range(30))
UNSEEN = 23
"""A sample that neither the fingerprint of the data, of 16 samples, nor the probe of 8 covers."""


class Items(Dataset[Any]):
    """A data set that is read one item at a time."""

    def __init__(self, images: Tensor, labels: Tensor) -> None:
        self.images, self.labels_of_items = images, labels.tolist()

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.labels_of_items[index]


def changed(**values: Tensor) -> Items:
    """Return the items with another value at a sample that no fingerprint covers."""
    images, labels = IMAGES.clone(), LABELS.clone()
    for name, value in values.items():
        {"images": images, "labels": labels}[name][UNSEEN] = value
    return Items(images, labels)


@pytest.fixture
def started(tmp_path: Path) -> Path:
    run(tmp_path, data=Items(IMAGES, LABELS), attacks=ATTACK)
    return tmp_path


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            changed(labels=(LABELS[UNSEEN] + 1) % 10),
            r"1 of \d+ samples have another label, for example sample 23",
        ),
        (
            changed(images=IMAGES[UNSEEN] / 2),
            r"1 of \d+ samples have other inputs, for example sample 23",
        ),
    ],
)
@pytest.mark.parametrize("lost", [(), SHARDS[:1]], ids=["another attack", "killed"])
def test_a_run_does_not_continue_on_other_samples(
    started: Path, data: Items, message: str, lost: tuple[str, ...]
) -> None:
    for name in lost:
        (started / "records" / f"{name}.parquet").unlink()
    before = files(started)
    with pytest.raises(RunConflictError, match=message):
        run(started, data=data, attacks=ADDED)
    assert files(started) == before


def test_labels_that_are_known_are_all_compared(tmp_path: Path) -> None:
    class Known(Items):
        @property
        def targets(self) -> list[int]:
            return self.labels_of_items

    many = IMAGES[torch.arange(600) % 30], LABELS[torch.arange(600) % 30]
    run(tmp_path, data=Known(*many), attacks="fgsm(epsilon=0.1, norm=l2)", batch_size=600)
    labels = many[1].clone()
    labels[599] = (labels[599] + 1) % 10
    with pytest.raises(RunConflictError, match="1 of 600 samples have another label, for example"):
        run(tmp_path, data=Known(many[0], labels), attacks=["fgsm(epsilon=0.1, norm=l2)", ATTACK],
            batch_size=600)  # fmt: skip


def test_a_run_continues_with_equal_samples(started: Path) -> None:
    found = run(started, data=Items(IMAGES, LABELS), attacks=ADDED)
    assert found.warnings == run(None, data=Items(IMAGES, LABELS), attacks=ADDED).warnings
    assert same(found.records, run(None, data=Items(IMAGES, LABELS), attacks=ADDED).records)


STATE: list[Path] = []
"""The file with the state of a service; a variable that is changed in place is no code."""


def answers(inputs: Tensor) -> Tensor:
    """Return classes, as a service does whose state this process cannot see."""
    classes: Tensor = (Centered()(inputs) + torch.load(STATE[0])).argmax(1)
    return classes


def test_a_service_that_changed_is_noticed_by_its_answers(tmp_path: Path) -> None:
    STATE[:] = [tmp_path / "state.pt"]
    model = predict_only(answers, "classes", 10, arrays=False)
    out, attack = tmp_path / "run", "decision_pursuit(budget=60)"
    torch.save(torch.zeros(1, 10), STATE[0])
    run(out, model=model, data=Items(IMAGES, LABELS), attacks=attack)
    run(out, model=model, data=Items(IMAGES, LABELS), attacks=attack)
    # The eight samples of the probe have the same classes as before.
    shift = torch.zeros(1, 10)
    before = model(IMAGES).argmax(1)
    rare = next(c for c in before[8:].unique().tolist() if c not in before[:8])
    shift[0, rare] = -1e6
    torch.save(shift, STATE[0])
    with pytest.raises(RunConflictError, match=r"it classifies \d of 30 samples differently, for"):
        run(out, model=model, data=Items(IMAGES, LABELS), attacks=[attack, "hop_skip_jump"])
