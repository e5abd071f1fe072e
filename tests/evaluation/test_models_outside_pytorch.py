"""Evaluations of models outside of PyTorch: by their own decisions, with their own identity."""

from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import sklearn
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier
from torch import nn

import minnorm
from minnorm.attacks import AttackResult, needs
from minnorm.errors import RunConflictError
from minnorm.models import predict_only

IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype(np.float32).reshape(-1, 1, 8, 8)
DATA = IMAGES[1000:1020], DIGITS[1000:1020]


@needs("decisions")
def towards_others(
    model: Any,
    inputs: torch.Tensor,
    labels: torch.Tensor,
    *,
    targeted: bool = False,  # noqa: ARG001
    bounds: Any = (0.0, 1.0),  # noqa: ARG001
    generator: Any = None,  # noqa: ARG001
) -> AttackResult:
    """Try the points on the line to an image of another class, from near to far."""
    starts = torch.from_numpy(IMAGES[:10])[(labels + 1) % 10].to(inputs).reshape(inputs.shape)
    found, distances = inputs.clone(), torch.full((len(inputs),), torch.inf)
    for share in torch.linspace(1, 0, 50):
        points = inputs + share * (starts - inputs)
        wrong = model(points).argmax(1) != labels
        found[wrong] = points[wrong]
        distances[wrong] = (points - inputs).flatten(1).norm(dim=1)[wrong]
    return AttackResult(found, distances, distances.isfinite())


def _tree(depth: int = 10) -> Any:
    rows = IMAGES[:1000].reshape(1000, -1)
    return DecisionTreeClassifier(max_depth=depth, random_state=0).fit(rows, DIGITS[:1000])


def test_the_judge_decides_as_predict_does() -> None:
    machine = SVC().fit(IMAGES[:1000].reshape(1000, -1), DIGITS[:1000])
    for estimator in (_tree(), machine):
        run = minnorm.evaluate(estimator, DATA, towards_others)
        predicted = estimator.predict(DATA[0].reshape(20, -1))
        assert run.records["clean_prediction"].to_pylist() == predicted.tolist()
        assert all(run.records["success"].to_pylist())


def test_a_run_names_the_model_and_its_access(tmp_path: Path) -> None:
    joblib.dump(_tree(), tmp_path / "tree.joblib")
    file = str(tmp_path / "tree.joblib")
    wrapped = predict_only(_tree().predict_proba, outputs="probabilities")
    for model, data, name in (
        (_tree(), DATA, "DecisionTreeClassifier"),
        (file, DATA, file),
        (wrapped, (DATA[0].reshape(20, -1), DATA[1]), "predict_only(DecisionTreeClassifier.predic"),
    ):
        run = minnorm.evaluate(model, data, towards_others, trust=True)
        configuration = run.manifest["configuration"]
        assert configuration["model"].startswith(name)
        assert [entry["access"] for entry in configuration["attacks"]] == ["decisions"]
        assert configuration["acceleration"] == "off"
        [session] = run.manifest["sessions"]
        assert session["versions"]["scikit-learn"] == sklearn.__version__
        assert session["trust"]


@pytest.mark.parametrize("kind", ["estimator", "file"])
def test_a_run_continues_with_the_same_model_only(kind: str, tmp_path: Path) -> None:
    def given(depth: int) -> Any:
        if kind == "estimator":
            return _tree(depth)
        joblib.dump(_tree(depth), tmp_path / "tree.joblib")
        return str(tmp_path / "tree.joblib")

    out = tmp_path / "run"
    first = minnorm.evaluate(given(10), DATA, towards_others, out=out, trust=True)
    again = minnorm.evaluate(given(10), DATA, towards_others, out=out, trust=True)
    assert again.records.equals(first.records)
    with pytest.raises(RunConflictError, match="the weights or the code of the model differ"):
        minnorm.evaluate(given(2), DATA, towards_others, out=out, trust=True)


@pytest.mark.slow
def test_decisions_of_a_network_lead_to_the_distances_of_its_gradients() -> None:
    rows = IMAGES.reshape(len(IMAGES), -1)
    perceptron = MLPClassifier([64], tol=1e-3, random_state=0).fit(rows[:1000], DIGITS[:1000])
    layers: list[nn.Module] = []
    for weights, biases in zip(perceptron.coefs_, perceptron.intercepts_, strict=True):
        layer = nn.Linear(*weights.shape)
        layer.load_state_dict({"weight": torch.tensor(weights.T), "bias": torch.tensor(biases)})
        layers += [layer, nn.ReLU()]
    rebuilt = nn.Sequential(*layers[:-1]).eval()
    batch = rows[1000:1020], DIGITS[1000:1020]
    by_gradients = minnorm.attack(rebuilt, *batch).distances
    by_decisions = minnorm.attack(perceptron, *batch, access="decisions", budget=1000).distances
    assert (by_decisions / by_gradients).nanmedian() < 1.05
    assert by_decisions.median() < 1.2 * by_gradients.median()
