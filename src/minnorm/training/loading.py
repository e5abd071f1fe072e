"""The batches of an epoch, shuffled and augmented: the part of one rank."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from minnorm.data import Data
from minnorm.errors import InputError, one_line
from minnorm.training.augmentation import Augmentation


@dataclass(frozen=True)
class TrainingBatch:
    """A batch of training samples, on the CPU.

    Attributes:
        positions: The positions of the samples in the data.
        images: The samples without augmentation; `None` unless they were requested.
        inputs: The augmented samples.
        labels: Their labels.
        seeds: The seeds of their augmentation in this epoch.
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
        # Errors are returned: PyTorch would add the traceback of a worker to the message.
        positions = self.order[places]
        seeds = self.seeds[positions].tolist()
        try:
            images, labels = self.data.batch(positions.tolist())
            inputs = self.augment(images, seeds)
        except (InputError, OSError) as error:
            return error
        except Exception as error:  # a user's data raises errors of any kind
            return InputError(f"{self.data.name} cannot be read: {one_line(error)}")
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
    """Yield this rank's part of each batch of an epoch; an incomplete last batch is left out.

    Args:
        data: The samples.
        augment: Their augmentation, see `load_augmentation`.
        batch_size: Samples in a batch, over all ranks together.
        seed: Decides the order, and the augmentation of each sample.
        rank: The number of this rank, `r` of `n`: it takes the samples `r`, `r + n`, `r + 2n`, ...
            of each batch.
        world_size: The number of ranks.
        workers: Processes that read and augment ahead; with 0, this process does it.
        keep_images: Whether batches hold the samples without augmentation too.

    Raises:
        InputError: If samples cannot be read or augmented.
        OSError: If one of their files cannot be read.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(data), generator=generator)
    seeds = torch.randint(2**62, (len(data),), generator=generator)
    starts = range(0, len(data) - batch_size + 1, batch_size)
    loader = DataLoader(
        _Epoch(data, augment, order, seeds, keep_images),
        batch_size=None,
        sampler=[slice(start + rank, start + batch_size, world_size) for start in starts],
        num_workers=workers,
        generator=generator,  # by default it would draw from the global one
    )
    for batch in loader:
        if isinstance(batch, Exception):
            raise batch
        yield batch
