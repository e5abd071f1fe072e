"""Adam, for a batch of independent problems that may shrink.

PyTorch's optimizers keep their state with parameters; here samples leave the batch, and only the
updates are needed. Adam works entry by entry, so samples do not affect each other.
"""

import torch
from torch import Tensor

_BETA_1, _BETA_2, _EPSILON = 0.9, 0.999, 1e-8


class Adam:
    """Turn gradients into steps of about unit size in each entry (Kingma & Ba 2015, algorithm 1).

    Args:
        like: A tensor of the shape of the gradients.
    """

    def __init__(self, like: Tensor) -> None:
        # In half precision the squares would underflow, and so would the numbers added to them.
        wide = torch.promote_types(like.dtype, torch.float32)
        self._mean = torch.zeros_like(like, dtype=wide)
        self._square = torch.zeros_like(self._mean)
        self._steps = 0

    def step(self, gradients: Tensor) -> Tensor:
        """Return the step for these gradients, to be multiplied by the rate and subtracted."""
        self._steps += 1
        wide = gradients.to(self._mean.dtype)
        self._mean.lerp_(wide, 1 - _BETA_1)
        self._square.mul_(_BETA_2).addcmul_(wide, wide, value=1 - _BETA_2)
        scale = self._square.div(1 - _BETA_2**self._steps).sqrt_().add_(_EPSILON)
        return self._mean.div(1 - _BETA_1**self._steps).div_(scale).to(gradients.dtype)

    def keep(self, rows: Tensor) -> None:
        """Discard the state of all samples but these."""
        self._mean, self._square = self._mean[rows], self._square[rows]
