"""How an attack begins: what it refuses, and the search that its arguments become."""

import math
import re
from contextlib import AbstractContextManager
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attacks.engine.searches import threshold
from minnorm.acceleration import Accelerated
from minnorm.attacks.engine.coarse import AcceleratedSearch
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search
from minnorm.errors import InputError
from minnorm.logits import ACTIVE_DROPOUT


def opened(model: Any = threshold, **changed: Any) -> AbstractContextManager[Search]:
    """Open a search, by default on 2 samples."""
    arguments: dict[str, Any] = {
        "inputs": torch.tensor([[0.1, 0.5], [0.7, 1.0]]),
        "labels": torch.tensor([0, 1]),
        "targeted": False,
        "bounds": (0.0, 1.0),
        "generator": None,
        **changed,
    }
    return open_search(model, **arguments)


def filled(*values: float, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.tensor([[0.5, 0.5], list(values)], dtype=dtype)


PARTLY_TRAINING = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()
PARTLY_TRAINING[1].train()

SCALE = "scale them (normalization belongs in the model), or set the bounds that they have."
INTERVAL = (
    "expected (low, high), two numbers with low < high, or tensors with a bound for each feature."
)

BAD: list[tuple[str, dict[str, Any]]] = [
    (
        "inputs are a ndarray; expected a torch tensor, for example torch.as_tensor(inputs).",
        {"inputs": np.zeros((2, 2))},
    ),
    (
        "inputs are a list; expected a torch tensor, for example torch.as_tensor(inputs).",
        {"inputs": [[0.0], [1.0]]},
    ),
    (
        "labels are a ndarray; expected a torch tensor, for example torch.as_tensor(labels).",
        {"labels": np.zeros(2)},
    ),
    (
        "starts are a ndarray; expected a torch tensor, for example torch.as_tensor(starts).",
        {"starts": np.zeros((2, 2))},
    ),
    (
        "inputs are a NoneType; expected a torch tensor, for example torch.as_tensor(inputs).",
        {"inputs": None},
    ),
    (
        "inputs have shape [2, 2] and dtype torch.uint8; expected floating point values [b, ...].",
        {"inputs": torch.zeros(2, 2, dtype=torch.uint8)},
    ),
    (
        "inputs have shape [] and dtype torch.float32; expected floating point values [b, ...].",
        {"inputs": torch.tensor(0.5)},
    ),
    (
        "inputs have shape [2, 0]: the samples hold no values.",
        {"inputs": torch.zeros(2, 0)},
    ),
    (
        "labels have shape [2] and dtype torch.float32; expected int64 of shape [2], one for each "
        "input.",
        {"labels": torch.zeros(2)},
    ),
    (
        "labels have shape [2] and dtype torch.int32; expected int64 of shape [2], one for each "
        "input.",
        {"labels": torch.zeros(2, dtype=torch.int32)},
    ),
    (
        "labels have shape [3] and dtype torch.int64; expected int64 of shape [2], one for each "
        "input.",
        {"labels": torch.zeros(3, dtype=torch.int64)},
    ),
    (
        "labels have shape [2, 1] and dtype torch.int64; expected int64 of shape [2], one for each "
        "input.",
        {"labels": torch.zeros(2, 1, dtype=torch.int64)},
    ),
    (
        "inputs are on cpu, labels on meta; expected the same device.",
        {"labels": torch.zeros(2, dtype=torch.int64, device="meta")},
    ),
    ("inputs hold NaN: remove those samples or fix them.", {"inputs": filled(math.nan, 0.5)}),
    (
        f"inputs range from 0.5 to 1.5, outside the bounds (0.0, 1.0): {SCALE}",
        {"inputs": filled(0.7, 1.5)},
    ),
    (
        f"inputs range from -0.25 to 0.5, outside the bounds (0.0, 1.0): {SCALE}",
        {"inputs": filled(-0.25, 0.5)},
    ),
    (
        f"inputs range from 0.5 to inf, outside the bounds (-inf, inf): {SCALE}",
        {"inputs": filled(0.5, math.inf), "bounds": (-math.inf, math.inf)},
    ),
    (
        f"inputs range from -inf to 0.5, outside the bounds (-inf, inf): {SCALE}",
        {"inputs": filled(0.5, -math.inf), "bounds": (-math.inf, math.inf)},
    ),
    (
        "starts are torch.float32 of shape [2, 3]; expected the same as the inputs, torch.float32 "
        "of shape [2, 2].",
        {"starts": torch.zeros(2, 3)},
    ),
    (
        "starts are torch.float64 of shape [2, 2]; expected the same as the inputs, torch.float32 "
        "of shape [2, 2].",
        {"starts": torch.zeros(2, 2, dtype=torch.float64)},
    ),
    ("starts hold NaN: remove those samples or fix them.", {"starts": filled(math.nan, 0.5)}),
    (
        f"starts range from 0.5 to 2, outside the bounds (0.0, 1.0): {SCALE}",
        {"starts": filled(2.0, 0.5)},
    ),
    *(
        (f"bounds={bounds}: {INTERVAL}", {"bounds": bounds})
        for bounds in (
            *(None, 1.0, ("0", "1"), (0.0,), (0.0, 0.5, 1.0)),
            *((1.0, 0.0), (0.5, 0.5), (math.nan, 1.0), (0.0, math.nan), {0.0, 1.0}, (False, True)),
        )
    ),
    ("levels=1: expected a whole number of at least 2.", {"levels": 1}),
    ("targeted='no': expected True or False.", {"targeted": "no"}),
    (
        "levels=8 needs finite bounds, not (0.0, inf): use levels=None.",
        {"levels": 8, "bounds": (0.0, math.inf)},
    ),
    (
        "generator is a int; expected a torch.Generator, for example "
        "torch.Generator().manual_seed(0).",
        {"generator": 1},
    ),
    (
        "the model is in training mode (its part '1', a Dropout): call model.eval() first. "
        + ACTIVE_DROPOUT,
        {"model": PARTLY_TRAINING},
    ),
]


@pytest.mark.parametrize(("message", "change"), BAD, ids=[message[:50] for message, _ in BAD])
def test_arguments_that_are_not_as_the_contract_says_are_refused(
    message: str, change: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"), opened(**change):
        pass


@pytest.mark.parametrize(
    "change",
    [
        {"bounds": (0, 1)},
        {"bounds": (-math.inf, math.inf)},
        {"inputs": filled(0.1, 0.9), "bounds": (0.1, 0.9)},  # float32 cannot hold these bounds
        {"inputs": filled(0.1, 0.9, dtype=torch.bfloat16), "bounds": (0.1, 0.9)},
        {"inputs": torch.zeros(0, 3), "labels": torch.zeros(0, dtype=torch.int64)},
        {"inputs": torch.tensor([0.0, 1.0])},
        {"inputs": torch.zeros(2, 3, 4, 5, 6)},
        {"starts": filled(0.0, 1.0)},
        {"levels": 2},
    ],
    ids=str,
)
def test_arguments_as_the_contract_says_are_taken(change: dict[str, Any]) -> None:
    with opened(**change) as search:
        assert len(search.problem.origins) == len(change.get("inputs", (0, 1)))


def test_the_arguments_become_a_problem() -> None:
    inputs, labels = torch.tensor([[2.0], [5.0]]), torch.tensor([3, 0])
    with opened(
        inputs=inputs,
        labels=labels,
        targeted=True,
        bounds=(1.0, 5.0),
        norm="linf",
        confidence=0.25,
        radius_limit=0.75,
        levels=9,
    ) as search:
        problem = search.problem
    assert type(search) is Search
    assert search.model is threshold
    assert torch.equal(problem.origins, inputs)
    assert torch.equal(problem.goal.labels, labels)
    assert (problem.goal.targeted, problem.goal.confidence) == (True, 0.25)
    assert (problem.bounds, problem.norm, problem.radius_limit) == ((1.0, 5.0), "linf", 0.75)
    assert (problem.unit, problem.levels) == (4.0, 9)


def test_by_default_distances_are_l2_without_a_limit_and_without_levels() -> None:
    with opened(bounds=(0.0, math.inf)) as search:
        problem = search.problem
    assert (problem.norm, problem.radius_limit, problem.levels) == ("l2", math.inf, None)
    assert (problem.goal.targeted, problem.goal.confidence) == (False, 0.0)


def test_an_accelerated_model_gets_the_search_that_confirms() -> None:
    accelerated = Accelerated(threshold, threshold, None, "none", ())
    with opened(accelerated, generator=torch.Generator().manual_seed(3)) as search:
        assert isinstance(search, AcceleratedSearch)
        assert search.model is accelerated.exact
        assert search.generator.initial_seed() != 0


def test_the_seed_is_drawn_from_the_generator_and_fixed_without_one() -> None:
    generator = torch.Generator().manual_seed(3)
    twin = torch.Generator().manual_seed(3)
    expected = int(torch.randint(2**62, (), generator=twin))
    with opened(generator=generator) as search:
        assert search.generator.initial_seed() == expected
    with opened(generator=generator) as search:
        assert search.generator.initial_seed() != expected
    with opened() as search:
        assert search.generator.initial_seed() == 0


def test_inside_autograd_records_nothing_and_inference_mode_is_off() -> None:
    with torch.inference_mode():
        inputs = torch.tensor([[0.2, 0.5], [0.7, 1.0]])
        with opened(inputs=inputs) as search:
            assert not torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()
            assert not search.problem.origins.is_inference()
            visit = search.visit(search.problem.origins)
            assert visit.pull_back(torch.tensor([[0.0, 1.0]] * 2)).tolist() == [[2, 0]] * 2
        assert torch.is_inference_mode_enabled()
    inputs = torch.tensor([[0.2, 0.5], [0.7, 1.0]], requires_grad=True)
    with opened(inputs=inputs) as search:
        assert not search.problem.origins.requires_grad
    assert torch.is_grad_enabled()
    assert inputs.requires_grad


def test_an_error_inside_is_passed_on_and_the_autograd_mode_comes_back() -> None:
    with pytest.raises(KeyError), opened():
        raise KeyError
    assert torch.is_grad_enabled()
