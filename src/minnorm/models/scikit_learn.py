"""Estimators of scikit-learn, and of libraries with its interface, as models without gradients."""

import logging
import sys
from collections.abc import Callable, Hashable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import nn

from minnorm.errors import InputError, MissingLibraryError, NotTrustedError, one_line
from minnorm.factories import search_current_folder
from minnorm.files import file_sha256
from minnorm.models.outputs import (
    Scores,
    class_positions,
    log_probabilities_of,
    logits_of,
    one_hot_of,
    settled,
)
from minnorm.models.pickled import foreign_names
from minnorm.models.predict_only import PredictOnly

logger = logging.getLogger(__name__)

_SHOWN = 5
"""Classes in a message."""

_WRAP = "wrap the function that predicts a batch: minnorm.models.predict_only(function, ...)"


@runtime_checkable
class Estimator(Protocol):
    """A fitted classifier of scikit-learn, or of a library with its interface."""

    def predict(self, inputs: Any, /) -> Any:
        """Return the classes of rows."""
        ...


def is_estimator(value: object) -> bool:
    """Return whether a value is an estimator: it predicts, and cannot be called itself."""
    return hasattr(value, "predict") and not callable(value) and not isinstance(value, type)


def as_model(model: Any) -> Any:
    """Return what a user gave as a model: an estimator as a classifier, anything else unchanged."""
    return from_estimator(model) if is_estimator(model) else model


def from_estimator(estimator: Any, *, identity: str = "") -> PredictOnly:
    """Make a classifier of a fitted estimator of scikit-learn, for attacks without gradients.

    `minnorm.attack`, `minnorm.evaluate` and factories in specs do so themselves. Samples `[b *d]`
    become rows `[b n]`. The classes have the numbers 0, 1, ... in the order of `classes_`.

    The scores are the estimator's `decision_function`, if it is one number for each class, or one
    for two; else the logarithms of its `predict_proba`. An estimator that has neither only offers
    its decisions. The prediction is always that of `predict`, also where another class has a larger
    score, as with a threshold of its own: then the score of the predicted class is raised.

    Args:
        estimator: A fitted classifier with one label for each sample, or a pipeline that ends in
            one.
        identity: A text that distinguishes it from others of the same parameters, such as the hash
            of its file. An evaluation compares what the estimator has learned in any case.

    Raises:
        InputError: If it is a regressor, not fitted, or has several outputs.
    """
    name = _name(estimator)
    classes = _classes(estimator, name)
    if hasattr(estimator, "decision_function") and not _compares_pairs(estimator, len(classes)):
        score: Callable[[Any], Scores] | None = partial(_margins, estimator, len(classes))
    elif hasattr(estimator, "predict_proba"):
        score = partial(_log_probabilities, estimator, len(classes))
    else:
        score = None
    if classes != list(range(len(classes))):
        numbered = [f"{number} is {value!r}" for number, value in enumerate(classes[:_SHOWN])]
        more = f" and so on, {len(classes)} classes" if len(classes) > _SHOWN else ""
        # Where a class is the number of another one, labels of the data may be either.
        unclear = any(at in classes and classes[at] != at for at in range(len(classes)))
        logger.log(
            logging.WARNING if unclear else logging.INFO,
            "%s: labels are numbers of its classes: %s%s%s",
            name,
            ", ".join(numbered),
            more,
            ". If the labels of your data are the classes themselves, pass "
            "numpy.searchsorted(model.classes_, labels)" * unclear,
        )
    return PredictOnly(
        partial(_predict, estimator, name, {value: at for at, value in enumerate(classes)}, score),
        "decisions" if score is None else "scores",
        name=name,
        identity=" ".join(f"{estimator!r} {identity}".split()),
        libraries=[type(one).__module__ for one in (estimator, _last(estimator))],
    )


def load_estimator(path: Path, *, trust: bool) -> nn.Module:
    """Load an estimator from a file of joblib or pickle.

    Raises:
        NotTrustedError: If the file is not trusted: it is a pickle.
        MissingLibraryError: If a library that the file needs is not installed.
        InputError: If it cannot be read, or holds something else.
    """
    if not trust:
        names = ", ".join(foreign_names(path)[:_SHOWN])
        raise NotTrustedError(
            f"{path} is refused: it is a pickle{f' ({names})' if names else ''}, and a pickle can "
            "run any code. If you trust its source, allow it: --trust in the shell, "
            "trust=True in Python."
        )
    try:
        import joblib
    except ImportError as error:
        raise MissingLibraryError(
            f"{path} needs scikit-learn: pip install 'minnorm[sklearn]'"
        ) from error
    search_current_folder()  # a pickle may name classes of a module there
    try:
        content = joblib.load(path)
    except Exception as error:  # a pickle raises errors of any kind
        raise _unreadable(path, error) from error
    if isinstance(content, nn.Module):
        return content
    if not is_estimator(content):
        raise InputError(
            f"{path} holds a {type(content).__name__}; expected an estimator of scikit-learn. "
            "Write package.module:factory, a function of yours that returns the estimator in it."
        )
    return from_estimator(content, identity=f"sha256={file_sha256(path)}")


def _unreadable(path: Path, error: Exception) -> InputError:
    """Return the error of a pickle that cannot be read."""
    if isinstance(error, ModuleNotFoundError):
        return MissingLibraryError(
            f"{path} needs {error.name}, which is not installed. Install it, or run in the folder "
            "of the module."
        )
    return InputError(
        f"{path} cannot be read ({one_line(error)}): it is damaged, or another version of "
        "scikit-learn or Python wrote it."
    )


def _predict(
    estimator: Any,
    name: str,
    classes: Mapping[Hashable, int],
    score: Callable[[Any], Scores] | None,
    inputs: NDArray[Any],
) -> Scores:
    """Return scores whose largest one is that of the predicted class, or one-hot rows."""
    rows = _table(estimator, name, inputs.reshape(len(inputs), -1))
    predicted = estimator.predict(rows)
    if np.ndim(predicted) == 2 and np.shape(predicted)[1] != 1:
        raise InputError(
            f"{name} predicts {np.shape(predicted)[1]} labels for each sample; attacks need a "
            "classifier with one."
        )
    if score is None:
        return one_hot_of(predicted, len(rows), classes)
    scores = score(rows)
    return settled(scores, scores.dtype, class_positions(predicted, len(rows), classes))


def _table(estimator: Any, name: str, rows: NDArray[Any]) -> Any:
    """Return rows as the estimator takes them: with the names of features that it was fitted on."""
    expected = getattr(estimator, "n_features_in_", None)
    if expected is not None and rows.shape[1] != expected:
        raise InputError(
            f"{name} takes {expected} features for each sample; the inputs have {rows.shape[1]}."
        )
    names = getattr(estimator, "feature_names_in_", None)
    pandas: Any = sys.modules.get("pandas")  # loaded if the estimator was fitted on its tables
    return rows if names is None or pandas is None else pandas.DataFrame(rows, columns=names)


def _margins(estimator: Any, classes: int, rows: Any) -> Scores:
    scores = np.asarray(estimator.decision_function(rows))
    column = scores[:, None] if scores.ndim == 1 and classes == 2 else scores
    return logits_of(column, len(rows), classes)


def _log_probabilities(estimator: Any, classes: int, rows: Any) -> Scores:
    return log_probabilities_of(estimator.predict_proba(rows), len(rows), classes)


def _compares_pairs(estimator: Any, classes: int) -> bool:
    """Return whether the decision function has a number for each pair of classes instead."""
    shape = getattr(_last(estimator), "decision_function_shape", None)
    return shape == "ovo" and classes > 2


def _last(estimator: Any) -> Any:
    """Return the estimator that predicts, inside a pipeline or a search."""
    steps = getattr(estimator, "steps", None)
    inside = (
        steps[-1][1] if isinstance(steps, list) else getattr(estimator, "best_estimator_", None)
    )
    return estimator if inside is None else _last(inside)


def _name(estimator: Any) -> str:
    """Return the name of the class, with those of the steps of a pipeline."""
    name = type(estimator).__name__
    steps = getattr(estimator, "steps", None)
    return (
        f"{name}({', '.join(_name(step) for _, step in steps)})"
        if isinstance(steps, list)
        else name
    )


def _classes(estimator: Any, name: str) -> list[Hashable]:
    """Return the classes of a fitted classifier in order, or raise `InputError`."""
    kind = _kind(estimator)
    classes = getattr(estimator, "classes_", None)
    if kind not in (None, "classifier"):
        raise InputError(f"{name} is a {kind}; attacks need a classifier.")
    if classes is None:
        raise InputError(
            f"{name} has no classes_: fit it before it is attacked. If it is no estimator of "
            f"scikit-learn, {_WRAP}."
        )
    if any(np.ndim(one) for one in classes):
        raise InputError(f"{name} has several outputs; attacks need a classifier with one.")
    if len(classes) < 2:
        raise InputError(f"{name} was fitted on a single class; attacks need at least 2.")
    found: list[Hashable] = np.asarray(classes).tolist()
    return found


def _kind(estimator: Any) -> str | None:
    """Return the kind of an estimator, such as `regressor`; `None` if it does not say."""
    try:  # since scikit-learn 1.6
        kind = estimator.__sklearn_tags__().estimator_type
    except Exception:  # other libraries, and estimators with parts of them
        kind = getattr(estimator, "_estimator_type", None)
    return kind if isinstance(kind, str) else None
