"""What an attack returns, as a value: its text, equality and copies."""

import copy
import pickle

import torch

from minnorm.attacks import AttackResult


def result(*distances: float) -> AttackResult:
    """Return a result with these distances."""
    closest = torch.tensor(distances)
    return AttackResult(torch.zeros(len(closest), 3, 8, 8), closest, closest.isfinite())


def test_the_text_of_a_result_is_a_summary() -> None:
    assert repr(result(0.0, 1.23456, torch.inf)) == (
        "AttackResult(2 of 3 found, median distance 1.235)"
    )
    assert repr(result(2.0, torch.inf, torch.inf)) == (
        "AttackResult(1 of 3 found, median distance inf)"
    )
    assert repr(result()) == "AttackResult(0 of 0 found)"


def test_copies_have_the_same_fields() -> None:
    first = result(1.0, torch.inf)
    for other in (pickle.loads(pickle.dumps(first)), copy.deepcopy(first)):  # noqa: S301 - ours
        assert torch.equal(other.distances, first.distances)
        assert torch.equal(other.success, first.success)
        assert torch.equal(other.adversarials, first.adversarials)
    same = AttackResult(first.adversarials, first.distances, first.success)
    assert same == first
