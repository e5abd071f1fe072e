"""Models outside of PyTorch, from the words of a shell to a report."""

from pathlib import Path
from typing import Any

import joblib
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier

import minnorm
from cli.command_line import Shell
from minnorm.evaluation import median_distance

MODULE = """
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.svm import SVC

images, labels = load_digits(return_X_y=True)
images = images.astype("float32") / 16


def forest():
    return RandomForestClassifier(10, random_state=0).fit(images[:1000], labels[:1000])


def machine():
    return SVC().fit(images[:1000], labels[:1000])


def network():
    return MLPClassifier([64], tol=1e-3, random_state=0).fit(images[:1000], labels[:1000])


def held_out():
    return images[1000:].reshape(-1, 1, 8, 8), labels[1000:]
"""


@pytest.mark.slow
def test_classifiers_of_scikit_learn_are_evaluated_and_reported(
    elsewhere: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    (elsewhere / "scikit_digits.py").write_text(MODULE)
    monkeypatch.syspath_prepend(elsewhere)
    runs = []
    for name in ("forest", "machine", "network"):
        attack = "decision_pursuit(budget=300)"
        words = ("evaluate", f"scikit_digits:{name}", "scikit_digits:held_out[:8]")
        done = shell(*words, "--attack", attack, "--out", f"runs/{name}")
        assert done.code == 0, done.errors
        assert "queries" in done.output
        runs.append(f"runs/{name}")
        run = minnorm.load_run(runs[-1])
        assert all(run.records["success"].to_pylist())
        assert 0.2 < median_distance(run.records).value < 1.5
        attacks = run.manifest["configuration"]["attacks"]
        assert [entry["access"] for entry in attacks] == ["decisions"]
    done = shell("report", *runs, "--out", "digits.html")
    assert done.code == 0, done.errors
    page = (elsewhere / "digits.html").read_text()
    assert all(f"scikit_digits:{name}" in page for name in ("forest", "machine", "network"))
    assert "decisions" in page


@pytest.mark.usefixtures("elsewhere")
def test_a_pickled_classifier_needs_trust(shell: Shell) -> None:
    images, labels = load_digits(return_X_y=True)
    forest: Any = RandomForestClassifier(2, random_state=0).fit(images, labels)
    joblib.dump(forest, "forest.joblib")
    words = ("evaluate", "forest.joblib", "mnist-sample[:2]")
    options = ("--attack", "decision_pursuit", "--out", "run")
    refused = shell(*words, *options)
    assert refused.code == 2
    assert "forest.joblib is refused: it is a pickle" in refused.message
    mismatch = shell(*words, *options, "--trust")
    assert mismatch.code == 2
    assert "takes 64 features for each sample; the inputs have 784" in mismatch.message


@pytest.mark.slow
def test_an_exported_network_has_the_distances_of_the_original(
    elsewhere: Path, shell: Shell
) -> None:
    exported = shell("model", "export", "zoo:mnist-cnn", "--format", "onnx")
    assert exported.code == 0, exported.errors
    medians = []
    for model, out in (("zoo:mnist-cnn", "runs/original"), ("mnist-cnn.onnx", "runs/onnx")):
        attack = ("--attack", "normal_pursuit(budget=30)", "--accelerate", "off")
        done = shell("evaluate", model, "mnist-sample[:20]", *attack, "--out", out)
        assert done.code == 0, done.errors
        medians.append(median_distance(minnorm.load_run(out).records).value)
    assert medians[1] == pytest.approx(medians[0], rel=0.01)
    assert shell("report", "runs/onnx", "--out", "onnx.html").code == 0
    assert "mnist-cnn.onnx" in (elsewhere / "onnx.html").read_text()
    found = minnorm.load_run("runs/onnx").adversarials("normal_pursuit")
    runtime = minnorm.load_model("mnist-cnn.onnx(access=scores)")
    predicted = runtime(found.adversarials).argmax(1)
    wrong = predicted != torch.tensor(found.records["label"].to_pylist())
    assert wrong.sum() >= 19  # but for one that rounding may undo
