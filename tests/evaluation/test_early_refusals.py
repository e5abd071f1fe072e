"""Simple mistakes are refused before the model is loaded, which may take long."""

from pathlib import Path
from typing import Any

import pytest

from minnorm.errors import InputError
from minnorm.evaluation import evaluate

ARGUMENTS: dict[str, Any] = {
    "model": "a_model_that_is_not_loaded:factory",
    "data": "mnist-sample[:4]",
    "attacks": "ddn(steps=2)",
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "mnits"}, "Did you mean 'mnist'"),
        ({"data": "/no/such.npz"}, "there is no file /no/such.npz"),
        ({"data": "folder:/no/such"}, "there is no folder /no/such"),
        ({"attacks": "dnn"}, "Did you mean 'ddn'"),
        ({"attacks": "ddn(steps=0)"}, "steps=0: expected"),
        ({"targets": "wrong"}, "targets='wrong': expected 'all'"),
        ({"bounds": (1, 0)}, r"bounds=\(1.0, 0.0\): expected \(low, high\) with low < high"),
        ({"bounds": 1.0}, r"bounds=1.0: expected two numbers \(low, high\)"),
        ({"bounds": 0}, r"bounds=0: expected two numbers \(low, high\)"),
        ({"bounds": (0,)}, r"bounds=\(0,\): expected two numbers \(low, high\)"),
        ({"bounds": "0,1"}, "bounds='0,1': expected two numbers"),
        ({"bounds": ("0", "1")}, r"expected two numbers \(low, high\)"),
        ({"batch_size": 0}, "batch_size=0: expected"),
        ({"seed": -1}, "seed=-1: expected"),
        ({"device": "gpu"}, "cannot use the device 'gpu'.* Available: cpu"),
        ({"out": __file__}, "is not a run directory"),
        ({"out": Path(__file__).parent}, "name a new or empty folder"),
    ],
    ids=str,
)
def test_a_simple_mistake_is_refused_before_the_model_is_loaded(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        evaluate(**{**ARGUMENTS, **changes})


def test_leftover_variables_of_torchrun_are_refused_before_the_model_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InputError, match=r"WORLD_SIZE=2 is set in the environment, but not RANK"):
        evaluate(**ARGUMENTS)


def test_without_a_mistake_the_model_is_loaded() -> None:
    with pytest.raises(InputError, match="there is no module 'a_model_that_is_not_loaded'"):
        evaluate(**ARGUMENTS)
