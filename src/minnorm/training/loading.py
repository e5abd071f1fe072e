"""What an epoch goes through: the batches of a rank, shuffled and augmented."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from minnorm.data import Data
from minnorm.errors import in_short
from minnorm.training.augmentation import Augmentation


@dataclass(frozen=True)
class TrainingBatch:
    """Some training samples, on the CPU.

    Attributes:
        positions: Where they are in the data.
        images: The samples as they are, where they were asked for.
        inputs: The samples augmented.
        labels: Their labels.
        seeds: What decides how each of them is augmented in this epoch.
    """

    positions: Int64[Tensor, "b"]
    images: Float[Tensor, "b *d"] | None
    inputs: Float[Tensor, "b *d"]
    labels: Int64[Tensor, "b"]
    seeds: Sequence[int]


@dataclass(frozen=True)
class _Epoch(Dataset[TrainingBatch | Exception]):
    data: Data
    augment: Augmentation
    order: Int64[Tensor, "n"]
    seeds: Int64[Tensor, "n"]
    keep_images: bool

    def __getitem__(self, places: slice) -> TrainingBatch | Exception:
        positions = self.order[places]
        seeds = self.seeds[positions].tolist()
        try:
            images, labels = self.data.batch(positions.tolist())
            inputs = self.augment(images, seeds)
        except (ValueError, OSError) as error:  # PyTorch would add a worker's trace to its message
            return error
        except Exception as error:  # whatever a user's data raises
            return ValueError(f"{self.data.name} cannot be read: {in_short(error)}")
        return TrainingBatch(positions, images if self.keep_images else None, inputs, labels, seeds)


def batches(
    data: Data,
    augment: Augmentation,
    *,
    batch_size: int,
    seed: int,
    rank: int = 0,
    world_size: int = 1,
    workers: int = 0,
    keep_images: bool = False,
) -> Iterator[TrainingBatch]:
    """Gives the part of a rank of each batch of an epoch; what does not fill one is left out.

    Args:
        data: The samples.
        augment: What becomes of them, see `load_augmentation`.
        batch_size: Samples at once, over all ranks together.
        seed: Decides the order, and how each sample is augmented.
        rank: Which of the ranks this is; it takes every sample of a batch whose place is its number
            modulo the number of ranks.
        world_size: The number of ranks.
        workers: Processes that read and augment ahead; 0 for none, where this one does.
        keep_images: Whether the samples are wanted as they are too.

    Raises:
        ValueError: If samples cannot be read, or augmented.
        OSError: If a file of theirs is gone.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)
    seeds = torch.randint(2**62, (len(data),), generator=generator)
    whole = range(0, len(data) - batch_size + 1, batch_size)
    loader = DataLoader(
        _Epoch(data, augment, order, seeds, keep_images),
        batch_size=None,
        sampler=[slice(start + rank, start + batch_size, world_size) for start in whole],
        num_workers=workers,
        generator=generator,  # or it would draw from the global one
    )
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch
