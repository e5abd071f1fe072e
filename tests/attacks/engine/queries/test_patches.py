"""Cosines on patches: orthonormal, and powers that say where other coefficients are large."""

import pytest
import torch

from minnorm.attacks.engine.queries.patches import patches_of


@pytest.mark.parametrize("shape", [(3, 9, 16), (8, 8), (2, 4, 7), (2, 3, 8, 8), (3,), (), (2, 3)])
def test_lengths_and_inner_products_stay(shape: tuple[int, ...]) -> None:
    values, others = torch.randn(2, 4, *shape, dtype=torch.float64)
    basis = patches_of(values)
    there, too = basis.coefficients(values), basis.coefficients(others)
    assert torch.allclose(basis.values(there), values)
    assert torch.allclose((there * too).sum(), (values * others).sum())


def test_what_a_patch_has_stays_in_its_coefficients() -> None:
    images = torch.zeros(1, 1, 16, 16, dtype=torch.float64)
    images[..., 4:8, 8:12] = torch.rand(4, 4, dtype=torch.float64)
    basis = patches_of(images)
    used = basis.coefficients(images)[0].abs() > 1e-12
    assert len(set(basis.places[used].tolist())) == 1


def test_measured_coefficients_say_where_others_are_large() -> None:
    basis = patches_of(torch.zeros(1, 1, 16, 16))
    first = basis.first_powers(torch.ones(1, 256, dtype=torch.bool))
    assert torch.allclose(first.sum(1), torch.ones(1))
    known = (torch.rand(1, 256, generator=torch.Generator().manual_seed(0)) < 0.4).float()
    energies = first * torch.where(basis.places == 5, 20.0, 1.0)
    powers = basis.powers(first, energies, known)
    ratios = powers / first
    unknown = known[0] == 0
    inside, outside = unknown & (basis.places == 5), unknown & (basis.places != 5)
    assert ratios[0, inside].median() > 4 * ratios[0, outside].median()
    assert torch.allclose(powers.sum(1), torch.ones(1))
    same = basis.powers(first, first, known)
    assert torch.allclose(same, first, rtol=1e-4)


def test_features_that_cannot_change_have_no_power() -> None:
    basis = patches_of(torch.zeros(1, 1, 16, 16))
    free = torch.ones(1, 16, 16, dtype=torch.bool)
    free[:, :4, :4] = False
    powers = basis.first_powers(free.flatten(1))
    assert powers[0, basis.places == 0].max() == 0
    assert powers[0, basis.places == 1].min() > 0
