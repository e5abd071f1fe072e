"""The contract of arguments: every attack refuses what `open_search` refuses.

The messages are tested once, in tests/attacks/engine/test_opening.py.
"""

from typing import Any

import pytest
import torch

from attacks.cases import VARIANTS, Attack, bare, takes
from attacks.networks import problem

pytestmark = pytest.mark.parametrize("name", VARIANTS)

BAD: list[dict[str, Any]] = [
    {"inputs": torch.full((8, 20), 1.5)},
    {"inputs": torch.full((8, 20), torch.nan)},
    {"inputs": torch.zeros(8, 20, dtype=torch.int64)},
    {"inputs": torch.zeros(8, 20).numpy()},
    {"labels": torch.zeros(8)},
    {"labels": torch.zeros(3, dtype=torch.int64)},
    {"labels": torch.full((8,), 9)},
    {"labels": torch.zeros(8, dtype=torch.int64).numpy()},
    {"bounds": (1.0, 0.0)},
    {"levels": 1},
    {"levels": 8, "bounds": (0.0, float("inf"))},
    {"generator": 1},
]


def test_refuses_bad_arguments(attack: Attack) -> None:
    model, inputs, labels = problem((20,))
    good: dict[str, Any] = {"inputs": inputs, "labels": labels}
    starts = [{"starts": torch.zeros(3, 3)}] if takes(attack, "starts") else []
    for change in [*BAD, *starts]:
        with pytest.raises(ValueError, match=r"expected|outside|NaN|needs|labels range"):
            bare(attack)(model, **{**good, **change})
    assert bare(attack)(model, **good).success.any()


def test_refuses_a_model_without_logits(attack: Attack) -> None:
    model, inputs, labels = problem((20,))
    with pytest.raises(ValueError, match="expected logits"):
        bare(attack)(lambda given: model(given)[:, :1], inputs, labels * 0)
