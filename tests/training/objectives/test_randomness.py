"""Random numbers that do not depend on the number of ranks."""

import pytest
import torch

from minnorm.runtime import ranks
from minnorm.training import noise
from minnorm.training.objectives.randomness import shared_generator

CPU = torch.device("cpu")


def test_a_generator_is_drawn_from_the_global_one() -> None:
    seeds = []
    for _ in range(2):
        torch.manual_seed(5)
        seeds.append([shared_generator(CPU).initial_seed() for _ in range(3)])
    assert seeds[0] == seeds[1]
    assert len(set(seeds[0])) == 3
    assert all(0 <= seed < 2**62 for seed in seeds[0])
    assert max(seeds[0]) > 2**40  # seeds of few bits would repeat
    torch.manual_seed(6)
    assert shared_generator(CPU).initial_seed() not in seeds[0]


def test_all_ranks_have_the_generator_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "gather", lambda seed: [7, seed])
    assert shared_generator(CPU).initial_seed() == 7


def test_noise_has_the_shape_and_the_dtype_of_the_inputs() -> None:
    inputs = torch.zeros(4, 2, 3, dtype=torch.float64)
    made = noise(inputs, torch.Generator().manual_seed(0))
    assert made.shape == inputs.shape
    assert made.dtype == torch.float64
    many = noise(torch.zeros(20000), torch.Generator().manual_seed(0))
    assert many.mean().abs() < 0.03
    assert many.std() == pytest.approx(1, abs=0.03)


def test_the_noise_of_a_sample_is_the_same_on_any_number_of_ranks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    inputs = torch.zeros(6, 5)
    whole = noise(inputs, torch.Generator().manual_seed(0))
    monkeypatch.setattr(ranks, "world_size", lambda: 3)
    for rank in range(3):
        monkeypatch.setattr(ranks, "rank", lambda rank=rank: rank)
        part = noise(inputs[rank::3], torch.Generator().manual_seed(0))
        assert part.equal(whole[rank::3])
