"""Classifiers with random outputs, averaged over fixed draws.

Expectation over transformation: A. Athalye, L. Engstrom, A. Ilyas, K. Kwok, "Synthesizing Robust
Adversarial Examples", ICML 2018, https://arxiv.org/abs/1707.07397
"""

import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.checks import check_count, check_number
from minnorm.errors import InputError, one_line
from minnorm.logits import Model, output_of

logger = logging.getLogger(__name__)

_MOST_DRAWS = 2**31
"""More draws than anybody waits for; their numbers fit into the seeds."""


def averaged(model: Model, draws: int = 32, seed: int = 0, threshold: float = 0.5) -> "Averaged":
    """Make a deterministic classifier of a random one: the average over fixed draws.

    Args:
        model: The classifier. It draws from the global generators of PyTorch, NumPy or Python.
        draws: The number of draws to average over. A pass of the result is that many passes of the
            model.
        seed: The seed of the draws.
        threshold: The share of the draws in which an adversarial must hold to count.

    Raises:
        InputError: If an argument is not as described.
    """
    return Averaged(model, draws, seed, threshold)


class Averaged(nn.Module):
    """A classifier that returns the average over fixed draws; see `averaged`."""

    def __init__(
        self, model: Model, draws: int = 32, seed: int = 0, threshold: float = 0.5
    ) -> None:
        super().__init__()
        if not callable(model):
            raise InputError(
                f"the model is a {type(model).__name__}; expected a function from inputs to "
                "logits, for example a torch.nn.Module."
            )
        check_count("draws", draws, most=_MOST_DRAWS)
        check_count("seed", seed, least=0, most=2**63 - 1)
        check_number("threshold", threshold, 0.0, 1.0)
        self.model = model
        self.draws = int(draws)
        self.seed = int(seed)
        self.threshold = float(threshold)
        self.train(getattr(model, "training", False))
        self._one_by_one = False

    def extra_repr(self) -> str:
        """Return the arguments, which the fingerprint of a model includes."""
        return f"draws={self.draws}, seed={self.seed}, threshold={self.threshold}"

    def forward(self, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b c"]:
        """Return the average logits."""
        each = self.each(inputs)
        return sum(each, next(each)) / self.draws

    def each(self, inputs: Float[Tensor, "b *d"]) -> Iterator[Float[Tensor, "b c"]]:
        """Return the logits of each draw, one after the other."""
        for draw in range(self.draws):
            seed = int(np.random.SeedSequence((self.seed, draw)).generate_state(1)[0])
            yield self._draw(inputs, seed)

    def _draw(self, inputs: Tensor, seed: int) -> Tensor:
        def classify(sample: Tensor) -> Tensor:
            logits: Tensor = output_of(self.model, sample.unsqueeze(0))
            return logits.squeeze(0)

        if not self._one_by_one:
            try:
                with _seeded(seed, inputs.device):
                    return _batched(classify)(inputs)
            except Exception as error:
                logger.info("one sample at a time: %s", one_line(error))
                self._one_by_one = True
        rows = []
        for sample in inputs:
            with _seeded(seed, inputs.device):
                rows.append(classify(sample))
        return torch.stack(rows)


def _batched(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    return torch.func.vmap(function, randomness="same")


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the global generators, and restore them afterwards."""
    numpy_state, python_state = np.random.get_state(), random.getstate()
    devices = [] if device.type == "cpu" else [device]
    with torch.random.fork_rng(devices, device_type=device.type if devices else "cuda"):
        try:
            torch.manual_seed(seed)
            np.random.seed(seed)
            random.seed(seed)
            yield
        finally:
            np.random.set_state(numpy_state)
            random.setstate(python_state)
