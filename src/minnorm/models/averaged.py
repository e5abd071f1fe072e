"""Classifiers with random outputs, averaged over fixed draws.

Expectation over transformation: A. Athalye, L. Engstrom, A. Ilyas, K. Kwok, "Synthesizing Robust
Adversarial Examples", ICML 2018, https://arxiv.org/abs/1707.07397
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from numbers import Real
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from minnorm.access import access_of
from minnorm.checks import check_count
from minnorm.errors import InputError, one_line
from minnorm.logits import Model, beyond_rounding
from minnorm.models.seeding import generator_states, preserved_generators
from minnorm.models.straight_through import qualified_name

logger = logging.getLogger(__name__)

_MOST_DRAWS = 1_000_000
"""More draws than anybody waits for."""

_single: ContextVar[int | None] = ContextVar("single draw", default=None)
"""The seed of the only draw that averages consist of at the moment; `None` for their own draws."""

_ROUNDING = 1e-3
"""How far logits of one draw may differ by rounding if samples share a batch, relative to the
largest; in half precision it is more."""

_OWN_DRAWS = (
    "it draws other random numbers for each sample of a batch. If you can, let it draw numbers "
    "that all samples of a call share"
)
"""Why a model without gradients gets one sample at a time."""


def averaged(model: Model, draws: int = 32, seed: int = 0, threshold: float = 0.5) -> "Averaged":
    """Make a deterministic classifier of a random one: the average of its logits over fixed draws.

    Attacks need a model that returns the same logits each time. They attack this average, whose
    gradient is the average of the gradients. The logits are averaged and not the probabilities:
    those of a few extreme draws would decide. Their results also hold for other draws: at the end
    an attack of this package moves its adversarials outwards until they hold in the share
    `threshold` of draws that it has not used before, and `minnorm.evaluate` counts them with draws
    that no attack has seen.

    A pass of the average is `draws` passes of the model, and keeps the graphs of all of them in
    memory. All samples of a batch share the random numbers of a draw, so the logits of a sample do
    not depend on the others. This is done with `torch.func.vmap`. A model for which that fails is
    called with one sample at a time, which takes much longer; a warning in the log says so. A model
    without gradients must share them itself, such as one random size for all images of a call; else
    it is called with one sample at a time, too.

    Args:
        model: The classifier, in evaluation mode: inputs `[b *d]` to logits `[b c]`. Dropout that
            stays on is `torch.nn.functional.dropout(..., training=True)`. It draws from the global
            generators of PyTorch, NumPy or Python, or from generators that are attributes of its
            parts. Their states are restored after each call.
        draws: The number of draws to average over.
        seed: The seed of the draws.
        threshold: The share of draws, above 0 and at most 1, in which a sample must be
            misclassified to count as such, before an attack or after it. Below 0.5 the distances
            are those at which the average changes its class, so they are upper bounds.

    Raises:
        InputError: If an argument is not as described.
    """
    return Averaged(model, draws, seed, threshold)


class Averaged(nn.Module):
    """A classifier that returns the average logits over fixed draws; see `averaged`.

    Args:
        model: The random classifier.
        draws: The number of draws.
        seed: Their seed.
        threshold: The share of draws in which an adversarial must hold.

    Raises:
        InputError: If an argument is not as described there.
    """

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
        _check_threshold(threshold)
        self.model = model
        self.draws = int(draws)
        self.seed = int(seed)
        self.threshold = float(threshold)
        self._can_vmap = access_of(model) == "gradients"  # other models leave PyTorch
        self._one_by_one: bool | None = None  # how to share random numbers; found at the first call
        self.training = getattr(model, "training", False)  # its parts keep their modes

    def forward(self, inputs: Float[Tensor, "b *d"]) -> Float[Tensor, "b c"]:
        """Return the average logits."""
        alone = _single.get()
        own = (seed_of(self.seed, 0, number) for number in range(self.draws))
        seeds = own if alone is None else iter((alone,))
        with preserved_generators(self.model, inputs.device) as reseed:
            logits = self._draw(inputs, next(seeds), reseed)
            for seed in seeds:
                logits = logits + self._draw(inputs, seed, reseed)
        return logits / self.draws if alone is None else logits

    def extra_repr(self) -> str:
        """Return the arguments, and the name of a model that is no module."""
        name = "" if isinstance(self.model, nn.Module) else f"{qualified_name(self.model)}, "
        return f"{name}draws={self.draws}, seed={self.seed}, threshold={self.threshold}"

    def _draw(self, inputs: Tensor, seed: int, reseed: Callable[[int], None]) -> Tensor:
        """Return the logits of one draw."""
        if len(inputs) == 0:
            return self._alone(inputs, seed, reseed)
        if self._one_by_one is None:
            self._one_by_one = self._must_be_alone(inputs, seed, reseed)
        draw = self._each_alone if self._one_by_one else self._together
        return draw(inputs, seed, reseed)

    def _alone(self, inputs: Tensor, seed: int, reseed: Callable[[int], None]) -> Tensor:
        reseed(seed)
        logits: Tensor = self.model(_laid_out(inputs))
        return logits

    def _each_alone(self, inputs: Tensor, seed: int, reseed: Callable[[int], None]) -> Tensor:
        samples = [inputs[row : row + 1] for row in range(len(inputs))]
        return torch.cat([self._alone(sample, seed, reseed) for sample in samples])

    def _together(self, inputs: Tensor, seed: int, reseed: Callable[[int], None]) -> Tensor:
        if not self._can_vmap:
            return self._alone(inputs, seed, reseed)

        def classify(sample: Tensor) -> Tensor:
            logits: Tensor = self.model(sample.unsqueeze(0))
            return logits.squeeze(0)

        each: Callable[[Tensor], Tensor] = torch.func.vmap(classify, randomness="same")
        reseed(seed)
        return each(_laid_out(inputs))

    def _must_be_alone(self, inputs: Tensor, seed: int, reseed: Callable[[int], None]) -> bool:
        """Return whether samples get the same random numbers only if they are alone in a batch."""
        caller = "torch.func.vmap cannot call it" if self._can_vmap else "it cannot be called"
        with torch.no_grad():
            pair = inputs.detach()[[0, -1]]
            expected = self._each_alone(pair, seed, reseed)
            drawn = generator_states(self.model, inputs.device)
            if not expected.is_floating_point():  # no logits: callers say what is wrong
                return False
            try:
                found = self._together(pair, seed, reseed)
            except Exception as error:  # a user's model may raise anything
                reason = f"{caller} with several ({one_line(error)})"
            else:
                share = max(_ROUNDING, 8 * torch.finfo(expected.dtype).eps)
                same = found.shape == expected.shape and not bool(
                    beyond_rounding(
                        found.reshape(len(pair), -1), expected.reshape(len(pair), -1), share
                    ).any()
                )
                # Decisions may be the same by chance, but not how many numbers were drawn.
                if same and (
                    self._can_vmap or generator_states(self.model, inputs.device) == drawn
                ):
                    return False
                differ = f"{caller} with several (its logits differ then)"
                reason = differ if self._can_vmap else _OWN_DRAWS
        logger.warning(
            "the random model is called with one sample at a time, which takes long: %s.", reason
        )
        return True


def _laid_out(inputs: Tensor) -> Tensor:
    """Return a copy in the usual layout: random numbers like a tensor follow its layout."""
    return inputs.clone(memory_format=torch.contiguous_format)


@contextmanager
def single_draw(seed: int) -> Iterator[None]:
    """Let all averages consist of a single draw, with this seed below 2**32."""
    token = _single.set(seed)
    try:
        yield
    finally:
        _single.reset(token)


def passes_of_average(model: object) -> float:
    """Return how many passes a call of a model is: 1, or a part of one in `single_draw`."""
    if _single.get() is None:  # looking for the part takes time at each pass of any model
        return 1.0
    part = averaged_part(model)
    return 1.0 if part is None else 1.0 / part.draws


def averaged_part(model: object) -> Averaged | None:
    """Return the part of a model that averages over draws; `None` if it has none.

    Of a callable that is no module, it is the attribute `averaged`.
    """
    if isinstance(model, nn.Module):
        return next((part for part in model.modules() if isinstance(part, Averaged)), None)
    part = getattr(model, "averaged", None)
    return part if isinstance(part, Averaged) else None


def seed_of(*numbers: int) -> int:
    """Return a seed below 2**32 that depends on all of the numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])


def _check_threshold(threshold: Any) -> None:
    number = isinstance(threshold, Real) and not isinstance(threshold, bool)
    if not number or not 0 < threshold <= 1:
        raise InputError(
            f"threshold={threshold!r}: expected a share of draws above 0 and at most 1."
        )
