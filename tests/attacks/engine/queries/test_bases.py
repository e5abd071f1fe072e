"""Cosine bases: orthonormal, the transform of scipy's definition, and the bands of a spectrum."""

import math

import pytest
import torch

from minnorm.attacks.engine.queries.bases import basis_of


@pytest.mark.parametrize("shape", [(3, 6, 9), (5, 5), (2, 4, 7), (3,), (), (2, 3)])
def test_lengths_and_inner_products_stay(shape: tuple[int, ...]) -> None:
    values, others = torch.randn(2, 4, *shape, dtype=torch.float64)
    basis = basis_of(values)
    there, too = basis.coefficients(values), basis.coefficients(others)
    assert torch.allclose(basis.values(there), values)
    assert torch.allclose((there * too).sum(), (values * others).sum())


def test_coefficients_of_cosines() -> None:
    places = torch.arange(8, dtype=torch.float64)
    waves = torch.cos(math.pi / 8 * 3 * (places + 0.5))[:, None].expand(8, 6)
    basis = basis_of(waves[None])
    coefficients = basis.coefficients(waves[None])[0]
    expected = torch.zeros(8, 6, dtype=torch.float64)
    expected[3, 0] = waves.norm()
    assert torch.allclose(coefficients, expected, atol=1e-12)


def band(channel: int, down: int, across: int) -> tuple[int, int]:
    """Return the color and the half octave of a coefficient."""
    return channel, round(2 * math.log2(max(math.hypot(down, across), 0.5) / 0.5))


def test_the_sums_of_bands_and_numbers_of_bands() -> None:
    values = torch.rand(2, 3, 4, 4, dtype=torch.float64)
    basis = basis_of(values)
    sums = basis.spread(basis.sums(values))
    for place in ((0, 0, 0), (2, 1, 1), (1, 3, 3)):
        same = [
            values[:, c, i, j]
            for c in range(3) for i in range(4) for j in range(4)
            if band(c, i, j) == band(*place)
        ]  # fmt: skip
        assert torch.allclose(sums[:, place[0], place[1], place[2]], torch.stack(same).sum(0))


def test_gray_is_the_first_of_three_colors() -> None:
    gray = torch.rand(1, 1, 4, 4, dtype=torch.float64).expand(1, 3, 4, 4)
    coefficients = basis_of(gray).coefficients(gray)
    assert torch.allclose(coefficients[:, 1:], torch.zeros(1, 2, 4, 4, dtype=torch.float64))
    assert torch.allclose(coefficients[0, 0].norm(), gray.norm())


def test_the_spectrum_of_a_normal_is_flat_below_its_knee_and_counts_brightness() -> None:
    basis = basis_of(torch.zeros(1, 3, 32, 32))
    waves = torch.zeros(2, 3, 32, 32)
    waves[0, :, 0, 1], waves[1, :, 31, 31] = 1.0, 1.0
    for power in (0.5, 1.0):
        columns, lines = basis.transforms or (torch.eye(32), torch.eye(32))
        values = columns.T @ waves @ lines
        shaped = basis.shaped(values, 0.25, power)
        factors = (shaped / values).flatten(2).median(2).values
        low, high = 1 / (1 + (1 / 8) ** 2), 1 / (1 + 2 * (31 / 8) ** 2)
        brightness = torch.tensor([0.299, 0.587, 0.114])
        expected = (torch.tensor([[low], [high]]) * brightness) ** power
        assert torch.allclose(factors, expected, rtol=1e-3)


def test_values_that_are_no_images_have_a_white_spectrum() -> None:
    values = torch.randn(2, 7)
    assert torch.equal(basis_of(values).shaped(values, 0.25, 0.5), values)
