"""What an estimator has learned, as a fingerprint that predictions do not change."""

import hashlib
import logging
import types
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor

from minnorm.errors import one_line

logger = logging.getLogger(__name__)

_PLAIN = (type(None), bool, int, float, complex, str, bytes, bytearray, np.generic)

_CODE = (type, types.FunctionType, types.BuiltinFunctionType, types.MethodType, types.ModuleType)
"""What is known by its name."""

_CHANGING = (np.random.Generator, np.random.RandomState)
"""Classes whose objects change while an estimator is fitted."""

_OPTIONS = ("n_jobs", "verbose")
"""Parameters that change no prediction."""


def learned_fingerprint(estimator: object) -> str:
    """Return the SHA-256 of what an estimator has learned: its arrays and numbers, bit by bit.

    Of objects of compiled classes, such as trees, only arrays and texts count: their numbers may
    be counters of queries. What an object hides is left out.

    Args:
        estimator: A fitted estimator of scikit-learn, or of a library with its interface.
    """
    digest = hashlib.sha256()
    for part in _parts(estimator, {}, numbers=True):
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.hexdigest()


def _parts(value: Any, seen: dict[int, object], *, numbers: bool) -> Iterator[bytes]:
    """Yield what a value consists of, each object once.

    Args:
        value: Any object.
        seen: The objects that were read before, by their identity; it grows.
        numbers: Whether single numbers count.
    """
    if isinstance(value, Tensor):
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        yield from _of_array(value, seen)
    elif isinstance(value, _PLAIN):
        if numbers or isinstance(value, str | bytes | bytearray):
            yield f"{type(value).__name__} {value!r}".encode("utf-8", "surrogatepass")
    elif isinstance(value, _CODE):
        yield f"code {getattr(value, '__qualname__', getattr(value, '__name__', ''))}".encode()
    elif id(value) not in seen and not isinstance(value, _CHANGING):
        seen[id(value)] = value  # kept, so that no identity is used again
        yield type(value).__qualname__.encode()
        yield from _of_object(value, seen, numbers=numbers)


def _of_array(array: np.ndarray[Any, Any], seen: dict[int, object]) -> Iterator[bytes]:
    """Yield the elements of an array, without the padding between the fields of a record."""
    if array.dtype.names:
        for name in array.dtype.names:
            yield from _of_array(array[name], seen)
    elif array.dtype.hasobject:
        yield f"objects {array.shape}".encode()
        for one in array.ravel().tolist():
            yield from _parts(one, seen, numbers=True)
    else:
        yield f"{array.dtype} {array.shape}".encode()
        yield np.ascontiguousarray(array).tobytes()


def _of_object(value: Any, seen: dict[int, object], *, numbers: bool) -> Iterator[bytes]:
    """Yield what a container, or the attributes of an object, hold."""
    if isinstance(value, Mapping):
        for name, one in sorted(value.items(), key=lambda item: repr(item[0])):
            if not _is_measured(name):
                yield repr(name).encode("utf-8", "surrogatepass")
                yield from _parts(one, seen, numbers=numbers)
    elif isinstance(value, set | frozenset):
        yield repr(sorted(map(repr, value))).encode("utf-8", "surrogatepass")
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _parts(one, seen, numbers=numbers)
    elif _has_state_of_its_own(value):
        yield from _parts(_state(value), seen, numbers=False)
    else:
        attributes = getattr(value, "__dict__", {})
        kept = {name: one for name, one in attributes.items() if name not in _OPTIONS}
        yield from _parts(kept, seen, numbers=numbers)


def _is_measured(name: object) -> bool:
    """Return whether a name is that of a time, in which two equal fits differ."""
    return isinstance(name, str) and "time" in name.split("_")


def _has_state_of_its_own(value: object) -> bool:
    """Return whether a class says what to pickle; an estimator of scikit-learn adds a version."""
    own = getattr(type(value), "__getstate__", None)
    default = getattr(object, "__getstate__", None)
    return own is not None and own is not default and not hasattr(value, "get_params")


def _state(value: Any) -> Any:
    try:
        return value.__getstate__()
    except Exception as error:  # of a foreign class, which may not support it
        name = type(value).__qualname__
        logger.info("what a %s has learned cannot be compared: %s", name, one_line(error))
        return None
