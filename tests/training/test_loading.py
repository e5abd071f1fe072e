"""Batches: every sample once, the same however many processes load them."""

import pickle
from pathlib import Path

import pytest
import torch

from minnorm.data import Data, load_data
from minnorm.errors import InputError
from minnorm.models import Card
from minnorm.training import train
from minnorm.training.augmentation import load_augmentation
from minnorm.training.loading import TrainingBatch, batches
from training.small_runs import assert_same_run, recipe_of

SHIFTED = ("RandomCrop(size=28, padding=2)",)


@pytest.fixture
def data() -> Data:
    return load_data("mnist-sample[:50]")


def epoch(
    data: Data, *, names: tuple[str, ...] = SHIFTED, seed: int = 0, workers: int = 0
) -> list[TrainingBatch]:
    """Return the batches of an epoch."""
    augment = load_augmentation(names)
    return list(batches(data, augment, batch_size=16, seed=seed, workers=workers, keep_images=True))


def test_an_epoch_has_each_sample_at_most_once(data: Data) -> None:
    found = epoch(data)
    positions = torch.cat([batch.positions for batch in found])
    assert [len(batch.labels) for batch in found] == [16, 16, 16]
    assert len(set(positions.tolist())) == 48
    for batch in found:
        images, labels = data.batch(batch.positions.tolist())
        assert batch.images is not None
        assert batch.images.equal(images)
        assert batch.labels.equal(labels)
        assert not batch.inputs.equal(images)
        assert batch.inputs.equal(load_augmentation(SHIFTED)(images, batch.seeds))


def test_another_seed_gives_another_order(data: Data) -> None:
    first, same, other = epoch(data), epoch(data), epoch(data, seed=1)
    assert first[0].inputs.equal(same[0].inputs)
    assert not first[0].positions.equal(other[0].positions)


def test_the_ranks_together_have_the_batches_of_one(data: Data) -> None:
    augment = load_augmentation(SHIFTED)
    parts = [
        list(batches(data, augment, batch_size=16, seed=0, rank=rank, world_size=3))
        for rank in range(3)
    ]
    for number, whole in enumerate(epoch(data)):
        for rank in range(3):
            assert parts[rank][number].inputs.equal(whole.inputs[rank::3])


def test_the_global_generator_is_left_alone(data: Data) -> None:
    before = torch.get_rng_state()
    epoch(data)
    assert torch.get_rng_state().equal(before)


def test_workers_give_the_same_batches(data: Data) -> None:
    for alone, ahead in zip(epoch(data), epoch(data, workers=2), strict=True):
        assert ahead.positions.equal(alone.positions)
        assert ahead.inputs.equal(alone.inputs)


@pytest.mark.parametrize("workers", [0, 1])
def test_errors_in_a_worker_have_the_same_message(data: Data, workers: int) -> None:
    with pytest.raises(InputError, match=r"^augmentation: Normalize.* returns images from [^\n]*$"):
        epoch(data, names=("Normalize(mean=[0.5], std=[0.1])",), workers=workers)


@pytest.mark.parametrize("names", [(), SHIFTED])
def test_an_augmentation_can_be_sent_to_workers_that_are_not_forked(names: tuple[str, ...]) -> None:
    images = torch.rand(2, 1, 28, 28)
    augment = load_augmentation(names)
    sent = pickle.loads(pickle.dumps(augment))  # noqa: S301 - pickled here
    assert sent(images, [1, 2]).equal(augment(images, [1, 2]))


def test_a_run_with_workers_is_the_run_without(
    undisturbed: tuple[Path, Card], digits: Path, tmp_path: Path
) -> None:
    assert_same_run(tmp_path, train(recipe_of(digits), tmp_path, workers=2), undisturbed)
