"""What estimators have learned: the same after predictions, other after another fit."""

import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from minnorm.models.learned import learned_fingerprint

pytest.importorskip("sklearn")

from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

ROWS = np.random.default_rng(0).random((60, 4))
CLASSES = (ROWS[:, 0] + ROWS[:, 1] > 1).astype(int)
TEXTS = np.array(["no", "yes"], dtype=object)[CLASSES]

MAKERS: list[Callable[[], Any]] = [
    lambda: KNeighborsClassifier(3, algorithm="kd_tree"),
    lambda: KNeighborsClassifier(3, algorithm="brute"),
    lambda: RandomForestClassifier(3, random_state=0),
    lambda: GradientBoostingClassifier(n_estimators=2, random_state=np.random.RandomState(0)),
    lambda: MLPClassifier([3], max_iter=3, random_state=0),
    SVC,
    lambda: make_pipeline(StandardScaler(), LogisticRegression()),
    lambda: GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}, cv=2),
    lambda: VotingClassifier([("a", LogisticRegression()), ("b", SVC())]),
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", MAKERS)
def test_a_fit_is_known_by_what_it_learned(make: Callable[[], Any]) -> None:
    fitted = make().fit(ROWS, TEXTS)
    found = learned_fingerprint(fitted)
    assert learned_fingerprint(make().fit(ROWS, TEXTS)) == found
    fitted.predict(ROWS)
    fitted.score(ROWS, TEXTS)
    assert learned_fingerprint(fitted) == found
    assert learned_fingerprint(pickle.loads(pickle.dumps(fitted))) == found  # noqa: S301
    assert learned_fingerprint(make().fit(ROWS[:40], TEXTS[:40])) != found


def test_classes_and_the_order_of_attributes() -> None:
    class Own:
        def __init__(self, **values: object) -> None:
            vars(self).update(values)

    one = learned_fingerprint(Own(a=1, b={"x": [1.5], "y": {2, 3}}))
    assert learned_fingerprint(Own(b={"y": {3, 2}, "x": [1.5]}, a=1)) == one
    assert learned_fingerprint(Own(a=1, b={"x": [1.5], "y": {2, 4}})) != one
    assert learned_fingerprint(Own(a=True, b={"x": [1.5], "y": {2, 3}})) != one
    itself = Own(a=1)
    vars(itself)["itself"] = itself
    assert learned_fingerprint(itself) != one


def test_the_padding_of_records_does_not_count() -> None:
    kind = np.dtype([("small", "u1"), ("large", "f8")], align=True)
    arrays = [np.frombuffer(bytearray([fill] * 16), kind) for fill in (0, 255)]
    for array in arrays:
        array["small"], array["large"] = 1, 2.0
    assert bytes(arrays[0].data) != bytes(arrays[1].data)
    assert learned_fingerprint(arrays[0]) == learned_fingerprint(arrays[1])
