"""Random numbers of adversarial training: the same for a sample on any number of ranks."""

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from minnorm.runtime import ranks


def shared_generator(device: torch.device) -> Generator:
    """Return a generator, the same on all ranks, seeded from the global one of the first rank."""
    seed = ranks.gather(int(torch.randint(2**62, ())))[0]
    return Generator(device).manual_seed(seed)


def noise(inputs: Float[Tensor, "b *d"], generator: Generator) -> Float[Tensor, "b *d"]:
    """Return standard normal noise in the shape and dtype of this rank's part of a batch.

    The noise of a sample does not depend on the number of ranks: rank `r` of `n` holds the samples
    `r`, `r + n`, `r + 2n`, ... of a batch, and takes their part of the noise of the whole batch.

    Args:
        inputs: The part of the batch.
        generator: The generator that an objective is given; it is the same on all ranks.
    """
    count = ranks.world_size()
    shape = (count * len(inputs), *inputs.shape[1:])
    drawn = torch.randn(shape, generator=generator, device=generator.device)
    return drawn[ranks.rank() :: count].to(inputs)
