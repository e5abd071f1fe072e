"""The versions of the libraries that run a model."""

import importlib.metadata
from pathlib import Path
from typing import Any

import pytest
import sklearn
from sklearn.linear_model import LogisticRegression
from torch import nn

from minnorm.evaluation.preparation.model_versions import versions_of_model
from minnorm.models import averaged, from_estimator, load_model, predict_only
from models.onnx_files import linear


def _fitted() -> Any:
    return LogisticRegression().fit([[0.0], [1.0]], [0, 1])


def test_the_versions_are_those_of_the_libraries_that_predict() -> None:
    network = versions_of_model(nn.Linear(2, 2))
    assert network == {"torch": importlib.metadata.version("torch")}
    for model in (
        from_estimator(_fitted()),
        predict_only(_fitted().predict_proba, "probabilities"),
        averaged(from_estimator(_fitted())),
    ):
        assert versions_of_model(model)["scikit-learn"] == sklearn.__version__
    assert versions_of_model(lambda inputs: inputs) == {}
    assert set(versions_of_model(predict_only(lambda inputs: inputs))) <= {"torch"}


@pytest.mark.parametrize("access", ["scores", "gradients"])
def test_onnx_files_are_run_by_onnx_runtime(access: str, tmp_path: Path) -> None:
    model = load_model(f"{linear(tmp_path / 'linear.onnx')}(access={access})")
    found = versions_of_model(model)
    assert found["onnxruntime"] == importlib.metadata.version("onnxruntime")
    assert ("onnx2pytorch" in found) == (access == "gradients")
