"""What a model offers to an attack, and whether that is enough."""

import pytest
import torch
from torch import Tensor, nn

import minnorm
from minnorm.acceleration import accelerate
from minnorm.access import ACCESSES, access_of, allows, check_access
from minnorm.attacks.engine.inset import InsetGradients
from minnorm.errors import InputError
from minnorm.evaluation.running.judge import CountingModel


class Offering(nn.Module):
    """A linear model that says what it offers."""

    def __init__(self, access: object) -> None:
        super().__init__()
        self.access = access
        self.linear = nn.Linear(4, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        logits: Tensor = self.linear(inputs)
        return logits


def test_a_model_offers_its_gradients_unless_it_says_otherwise() -> None:
    assert access_of(nn.Linear(2, 2)) == "gradients"
    assert access_of(lambda points: points) == "gradients"
    assert access_of(Offering(None)) == "gradients"
    assert access_of(Offering(7)) == "gradients"  # it means something else
    assert [access_of(Offering(access)) for access in ACCESSES] == [*ACCESSES]


def test_of_the_parts_of_a_module_the_least_counts() -> None:
    parts = [nn.Flatten(), Offering("scores"), nn.Sequential(Offering("decisions")), nn.ReLU()]
    assert access_of(nn.Sequential(*parts)) == "decisions"
    assert access_of(nn.Sequential(*parts[:2])) == "scores"


def test_a_callable_says_it_itself() -> None:
    def model(points: Tensor) -> Tensor:
        return points

    model.access = "scores"  # type: ignore[attr-defined]
    assert access_of(model) == "scores"


def test_what_wraps_a_model_offers_what_the_model_offers() -> None:
    model = Offering("scores").eval()
    example = torch.rand(2, 4)
    for wrapped in (
        CountingModel(model),
        InsetGradients(model, (0.0, 1.0)),
        accelerate(model, example, "off"),
        CountingModel(accelerate(model, example, "off")),
    ):
        assert access_of(wrapped) == "scores"


def test_another_word_is_refused() -> None:
    with pytest.raises(InputError, match=r"unknown access 'score' of a Offering.*'scores'"):
        access_of(Offering("score"))
    check_access("decisions")
    with pytest.raises(InputError, match="access='labels'"):
        check_access("labels")


def test_each_access_includes_those_after_it() -> None:
    assert [[allows(offered, needed) for needed in ACCESSES] for offered in ACCESSES] == [
        [True, True, True],
        [False, True, True],
        [False, False, True],
    ]


def test_the_module_is_found_from_the_package() -> None:
    assert minnorm.access.access_of is access_of
