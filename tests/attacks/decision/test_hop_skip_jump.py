"""HopSkipJump: its transcription, and its hyper-parameters."""

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor

from attacks.gradient.stepwise import SAMPLES, check_closest, check_same, one_sample, visited
from minnorm.attacks import hop_skip_jump
from minnorm.attacks.engine.queries.searches import CONFIRMATION_QUERIES
from minnorm.geometry import Norm
from reference.common import is_adversarial
from reference.hop_skip_jump import hop_skip_jump_of_one_sample


def noise(shape: torch.Size, seed: int) -> Iterator[Tensor]:
    """Yield the normal noise that the attack draws, in its order."""
    generator = torch.Generator().manual_seed(seed)
    while True:
        yield torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize("norm", ["l2", "linf"])
@pytest.mark.parametrize("targeted", [False, True])
def test_transcription(norm: Norm, targeted: bool) -> None:
    bounds = (-1.0, 3.0) if targeted else (0.0, 1.0)
    for index in SAMPLES:
        model, x, y = one_sample(index, targeted=targeted)

        def directions(shape: torch.Size = x.shape) -> Iterator[Tensor]:
            for values in noise(shape, seed=0):
                one = 2 * torch.special.ndtr(values) - 1 if norm == "linf" else values
                yield one / one.norm()

        expected = hop_skip_jump_of_one_sample(
            model, x, y, targeted=targeted, norm=norm, queries=200 - CONFIRMATION_QUERIES,
            initial_probes=10, directions=directions(),
            draws=map(torch.special.ndtr, noise(x.shape, seed=1)),
        )  # fmt: skip
        found, result = visited(
            hop_skip_jump, model, x, y, targeted=targeted, bounds=bounds, norm=norm, budget=200,
            initial_probes=10,
        )  # fmt: skip
        confirmed = found[len(expected) :]
        check_same(found[: len(expected)], expected)
        assert len(confirmed) >= 1
        check_closest(result, model, [*expected, *confirmed], x, y, targeted=targeted, norm=norm)


def test_a_start_replaces_the_random_draws() -> None:
    model, x, y = one_sample(0, targeted=False)
    start = next(
        point for point in torch.rand(50, *x.shape, dtype=x.dtype)
        if is_adversarial(model, point, y, targeted=False)
    )  # fmt: skip
    found, _ = visited(hop_skip_jump, model, x, y, starts=start, budget=60)
    assert torch.equal(found[1], start)
    assert torch.allclose(found[2], (x + start) / 2)
