"""The fixtures of the contract tests: an attack by the name of its variant, its case, its norm."""

import pytest

from attacks.cases import Attack, Case, attack_of, case_of
from minnorm.geometry import Norm


@pytest.fixture
def attack(name: str) -> Attack:
    """The attack, with a budget that suits a test."""
    return attack_of(name)


@pytest.fixture
def case(name: str) -> Case:
    """The facts about the attack."""
    return case_of(name)


@pytest.fixture
def norm(name: str) -> Norm:
    """The norm that the attack minimizes."""
    return "linf" if name.endswith("linf") else "l2"
