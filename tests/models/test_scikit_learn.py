"""Estimators of scikit-learn as models: their decisions, scores, classes and files."""

import gzip
import logging
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import joblib
import numpy as np
import pytest
import torch
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits
from sklearn.ensemble import RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

from minnorm.acceleration.accelerated import check_callable
from minnorm.access import access_of
from minnorm.errors import InputError, MissingLibraryError, NotTrustedError
from minnorm.logits import predictions
from minnorm.models import fingerprint, from_estimator, load_model
from minnorm.models.outputs import LEAST_PROBABILITY

IMAGES, DIGITS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype(np.float32)
NOISY = IMAGES[500:900] + np.random.default_rng(0).normal(0, 0.4, (400, 64)).astype(np.float32)
"""Inputs with classes that are close to each other."""

ESTIMATORS: dict[str, tuple[Callable[[], Any], str]] = {
    "SVC": (SVC, "decision_function"),
    "Pipeline(StandardScaler, LogisticRegression)": (
        lambda: make_pipeline(StandardScaler(), LogisticRegression()),
        "decision_function",
    ),
    "GridSearchCV": (lambda: GridSearchCV(SVC(C=2), {"gamma": [0.1]}, cv=2), "decision_function"),
    "RidgeClassifier": (RidgeClassifier, "decision_function"),
    "RandomForestClassifier": (
        lambda: RandomForestClassifier(10, random_state=0),
        "predict_proba",
    ),
    "MLPClassifier": (
        lambda: MLPClassifier((16,), solver="lbfgs", max_iter=20, random_state=0),
        "predict_proba",
    ),
    "KNeighborsClassifier": (KNeighborsClassifier, "predict_proba"),
    "DecisionTreeClassifier": (lambda: DecisionTreeClassifier(random_state=0), "predict_proba"),
    "VotingClassifier": (
        lambda: VotingClassifier([("ridge", RidgeClassifier()), ("bayes", GaussianNB())]),
        "",
    ),
}
"""Estimators by the name in reports, and what their scores are."""


@pytest.fixture(scope="module")
def forest() -> Any:
    return RandomForestClassifier(5, random_state=0).fit(IMAGES[:300], DIGITS[:300])


@pytest.mark.filterwarnings("ignore:.*lbfgs failed to converge")
@pytest.mark.parametrize("name", ESTIMATORS)
def test_decisions_are_those_of_predict_and_scores_those_of_the_estimator(name: str) -> None:
    build, method = ESTIMATORS[name]
    estimator = build().fit(IMAGES[:300], DIGITS[:300])
    model = from_estimator(estimator)
    logits = model(torch.from_numpy(NOISY).reshape(-1, 8, 8))
    predicted = estimator.predict(NOISY)
    assert (predictions(logits).numpy() == predicted).all()
    assert model.__name__ == name
    assert access_of(model) == ("scores" if method else "decisions")
    if not method:
        assert torch.equal(logits, torch.eye(10)[predicted])
        return
    scores = np.asarray(getattr(estimator, method)(NOISY))
    if method == "predict_proba":
        scores = np.log(np.maximum(scores, LEAST_PROBABILITY))
    same = scores.argmax(1) == predicted
    assert same.mean() > 0.9
    np.testing.assert_allclose(logits.numpy()[same], scores[same], rtol=1e-6)


def test_a_class_that_wins_by_votes_has_the_largest_score() -> None:
    """Between classes with as many votes, `predict` and `decision_function` choose differently."""
    machine = SVC().fit(IMAGES[:300], DIGITS[:300])
    scores, predicted = machine.decision_function(NOISY), machine.predict(NOISY)
    assert (scores.argmax(1) != predicted).any()
    logits = from_estimator(machine)(torch.from_numpy(NOISY))
    assert (predictions(logits).numpy() == predicted).all()


def test_a_decision_function_of_pairs_of_classes_is_not_used() -> None:
    few = DIGITS < 3
    machine = SVC(decision_function_shape="ovo").fit(IMAGES[few], DIGITS[few])
    assert machine.decision_function(IMAGES[:2]).shape == (2, 3)
    assert access_of(from_estimator(machine)) == "decisions"
    assert access_of(from_estimator(make_pipeline(StandardScaler(), machine))) == "decisions"
    two = DIGITS < 2
    machine = SVC(decision_function_shape="ovo").fit(IMAGES[two], DIGITS[two])
    assert access_of(from_estimator(machine)) == "scores"


@pytest.mark.parametrize("build", [SVC, GaussianNB, RidgeClassifier])
def test_two_classes_have_two_scores(build: Callable[[], Any]) -> None:
    estimator = build().fit(IMAGES[:100], DIGITS[:100] > 4)
    logits = from_estimator(estimator)(torch.from_numpy(NOISY))
    assert logits.shape == (len(NOISY), 2)
    assert (predictions(logits).numpy() == estimator.predict(NOISY)).all()


class Careful(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # it has no types
    """A classifier that predicts class 1 where its probability is above a threshold."""

    def __init__(self, threshold: float) -> None:
        self.threshold = threshold

    def fit(self, inputs: Any, labels: Any) -> "Careful":
        self.inner_ = LogisticRegression().fit(inputs, labels)
        self.classes_ = self.inner_.classes_
        return self

    def predict_proba(self, inputs: Any) -> Any:
        return self.inner_.predict_proba(inputs)

    def predict(self, inputs: Any) -> Any:
        return (self.predict_proba(inputs)[:, 1] > self.threshold).astype(int)


def test_a_threshold_of_its_own_decides() -> None:
    careful = Careful(0.1).fit(IMAGES[:300], DIGITS[:300] > 4)
    logits = from_estimator(careful)(torch.from_numpy(NOISY))
    assert (predictions(logits).numpy() == careful.predict(NOISY)).all()
    assert (careful.predict(NOISY) != careful.inner_.predict(NOISY)).any()


@pytest.mark.parametrize(
    ("classes", "is_unclear"),
    [([0, 2, 3], True), ([1, 2], True), ([-1, 1], False), ([10, 20], False), ([0, 1], None)],
)
def test_labels_that_may_be_classes_or_their_numbers_are_a_warning(
    classes: list[int], is_unclear: bool | None, caplog: pytest.LogCaptureFixture
) -> None:
    few = len(classes) > DIGITS
    estimator = GaussianNB().fit(IMAGES[few], np.array(classes)[DIGITS[few]])
    with caplog.at_level(logging.INFO, logger="minnorm"):
        from_estimator(estimator)
    levels = [record.levelno for record in caplog.records]
    expected = {True: [logging.WARNING], False: [logging.INFO], None: []}
    assert levels == expected[is_unclear]
    assert ("numpy.searchsorted(model.classes_, labels)" in caplog.text) == bool(is_unclear)


def test_classes_have_numbers_in_their_order(caplog: pytest.LogCaptureFixture) -> None:
    names = np.array(["zero", "one", "two", "three", "four", "five", "six", "seven"])
    few = DIGITS < 8
    estimator = GaussianNB().fit(IMAGES[few], names[DIGITS[few]])
    with caplog.at_level(logging.INFO):
        model = from_estimator(estimator)
    assert "GaussianNB: labels are numbers of its classes: 0 is 'five', 1 is 'four'" in caplog.text
    assert "8 classes" in caplog.text
    order = [sorted(names).index(name) for name in names]
    found = predictions(model(torch.from_numpy(IMAGES[few])))
    assert (found.numpy() == np.array(order)[DIGITS[few]]).mean() > 0.8
    caplog.clear()
    from_estimator(GaussianNB().fit(IMAGES, DIGITS))
    assert not caplog.text


def test_a_wrong_number_of_features_is_refused(forest: Any) -> None:
    with pytest.raises(InputError, match="takes 64 features for each sample; the inputs have 192"):
        from_estimator(forest)(torch.rand(2, 3, 8, 8))


def test_names_of_features_are_given_to_an_estimator_that_was_fitted_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def predict(table: Any) -> Any:
        return [0 if table["age"][row] > table["size"][row] else 1 for row in range(2)]

    class Table(dict[str, Any]):
        def __init__(self, rows: Any, columns: Any) -> None:
            super().__init__(zip(columns, rows.T, strict=True))
            self.rows = rows

        def __len__(self) -> int:
            return len(self.rows)

    fitted = SimpleNamespace(
        predict=predict, classes_=[0, 1], feature_names_in_=np.array(["size", "age"])
    )
    monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(DataFrame=Table))
    model = from_estimator(fitted)
    assert model(torch.tensor([[1.0, 2.0], [2.0, 1.0]])).tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (LinearRegression().fit(IMAGES[:9], DIGITS[:9]), "is a regressor; attacks need a classif"),
        (KMeans(2, n_init=1).fit(IMAGES[:9]), "is a clusterer; attacks need a classifier"),
        (SVC(), "SVC has no classes_: fit it"),
        (make_pipeline(StandardScaler(), SVC()), r"has no classes_: fit it"),
        (
            MultiOutputClassifier(GaussianNB()).fit(IMAGES, np.stack([DIGITS, DIGITS], 1)),
            "has several outputs",
        ),
        (
            GaussianNB().fit(IMAGES[:1], DIGITS[:1]),
            "was fitted on a single class; attacks need at least 2",
        ),
        (SimpleNamespace(predict=len), r"no estimator of scikit-learn, wrap .*predict_only"),
    ],
)
def test_what_is_no_classifier_with_one_label_is_refused(estimator: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        from_estimator(estimator)


@pytest.mark.filterwarnings("ignore:.*lbfgs failed to converge")
def test_several_labels_for_a_sample_are_refused() -> None:
    labels = np.stack([DIGITS[:99] > 3, DIGITS[:99] > 6], 1).astype(int)
    several = MLPClassifier((4,), solver="lbfgs", max_iter=3).fit(IMAGES[:99], labels)
    with pytest.raises(InputError, match="MLPClassifier predicts 2 labels for each sample"):
        from_estimator(several)(torch.from_numpy(IMAGES[:2]))


@pytest.mark.parametrize("ending", ["joblib", "gz.joblib", "pkl", "model"])
def test_a_file_is_loaded_if_it_is_trusted(ending: str, forest: Any, tmp_path: Path) -> None:
    path = tmp_path / f"forest.{ending}"
    if ending.endswith("joblib"):
        joblib.dump(forest, path, compress=("gzip", 3) if ending.startswith("gz") else 0)
    else:
        path.write_bytes(pickle.dumps(forest))
    with pytest.raises(NotTrustedError, match=r"is a pickle.* --trust in the shell"):
        load_model(str(path))
    model = load_model(str(path), trust=True)
    assert torch.equal(
        model(torch.from_numpy(NOISY)), from_estimator(forest)(torch.from_numpy(NOISY))
    )
    assert fingerprint(model) == fingerprint(load_model(str(path), trust=True))


def test_files_with_other_weights_have_other_fingerprints(tmp_path: Path) -> None:
    found = set()
    for number in (100, 200):
        path = tmp_path / "bayes.joblib"
        joblib.dump(GaussianNB().fit(IMAGES[:number], DIGITS[:number]), path)
        found.add(fingerprint(load_model(str(path), trust=True)))
    assert len(found) == 2


def test_other_content_is_refused(forest: Any, tmp_path: Path) -> None:
    path = tmp_path / "content.joblib"
    joblib.dump({"model": forest}, path)
    with pytest.raises(InputError, match="holds a dict; expected an estimator"):
        load_model(str(path), trust=True)
    joblib.dump(torch.nn.Identity(), path)
    assert isinstance(load_model(str(path), trust=True), torch.nn.Identity)
    path.write_bytes(pickle.dumps(forest)[:-50])
    with pytest.raises(InputError, match=r"content.joblib cannot be read \(.*it is damaged"):
        load_model(str(path), trust=True)
    path.write_bytes(gzip.compress(b"\x80\x04cno_such_module\nThing\n.", mtime=0))
    with pytest.raises(MissingLibraryError, match="needs no_such_module, which is not installed"):
        load_model(str(path), trust=True)
    joblib.dump(forest, path)
    with pytest.raises(InputError, match="holds a whole model, not only weights"):
        load_model(f"{path} + mnist_cnn", trust=True)


def test_a_file_needs_the_library(
    forest: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    joblib.dump(forest, tmp_path / "forest.joblib")
    monkeypatch.setitem(sys.modules, "joblib", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[sklearn\]'"):
        load_model(str(tmp_path / "forest.joblib"), trust=True)


def test_a_factory_may_return_an_estimator(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "factory_of_trees.py").write_text(
        "from sklearn.datasets import load_digits\n"
        "from sklearn.tree import DecisionTreeClassifier\n"
        "def tree(depth):\n"
        "    images, labels = load_digits(return_X_y=True)\n"
        "    return DecisionTreeClassifier(max_depth=depth).fit(images / 16, labels)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    model = load_model("factory_of_trees:tree(depth=12)")
    found = predictions(model(torch.from_numpy(IMAGES)))
    assert (found.numpy() == DIGITS).mean() > 0.9


def test_an_attack_that_does_not_wrap_names_what_does(forest: Any) -> None:
    with pytest.raises(InputError, match=r"minnorm\.models\.from_estimator\(model\)"):
        check_callable(forest)
