"""The names of models: that of the network inside of wrappers, of a function, or the spec."""

from functools import partial

import pytest
from torch import Tensor

from evaluation.tiny_models import Centered
from minnorm.models import Normalized, averaged, binary, predict_only
from minnorm.models.names import is_spec, model_name


def test_a_model_has_the_name_of_its_network() -> None:
    assert model_name("zoo:mnist-cnn") == "zoo:mnist-cnn"
    assert model_name(Centered()) == "Centered"
    assert model_name(Normalized(Centered(), 0.5, 0.5)) == "Normalized(Centered)"
    assert model_name(binary(Centered())) == "Binary(Centered)"
    assert model_name(averaged(Centered())) == "Averaged(Centered)"
    assert model_name(predict_only(inside)) == "predict_only(inside)"
    assert model_name(inside) == "inside"
    assert model_name(partial(inside)) == "partial"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("zoo:mnist-cnn", True),
        ("net.SAFETENSORS + package.net", True),
        ("Centered", False),
        ("predict_only(inside)", False),
    ],
)
def test_only_specs_can_be_loaded_again(name: str, expected: bool) -> None:
    assert is_spec(name) is expected


def inside(inputs: Tensor) -> Tensor:
    return inputs
