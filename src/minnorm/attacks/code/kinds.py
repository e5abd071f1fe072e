"""Kinds of values in the code of attacks: plain ones, constants, state, and compiled code."""

import argparse
import collections
import dataclasses
import datetime as dt
import decimal
import fractions
import functools
import hashlib
import io
import logging
import operator
import pathlib
import random
import re
import threading
import types
import uuid
import weakref
from collections.abc import Collection, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

PLAIN = (type(None), bool, int, float, complex, str, bytes, type(...), type(NotImplemented))
"""The classes of values that their text describes in a spec."""

_CODE = (
    *(types.ModuleType, types.FunctionType, types.MethodType, type),
    *(staticmethod, classmethod, property),
)

_FILLED = (bool, int, float, complex, str, bytes, list, tuple, dict, set, collections.deque)

_CONSTANTS = (
    *(
        range,
        slice,
        bytearray,
        re.Pattern,
        pathlib.PurePath,
        uuid.UUID,
        types.GenericAlias,
        types.UnionType,
    ),
    *(decimal.Decimal, fractions.Fraction, dt.date, dt.time, dt.timedelta),
    *(operator.attrgetter, operator.itemgetter, operator.methodcaller),
    *(torch.dtype, torch.device, torch.Size, torch.memory_format, torch.layout, np.dtype),
)
"""Classes whose objects are described by their text."""

_STATE = (
    *(logging.Logger, io.IOBase, weakref.ReferenceType, threading.local, threading.Event),
    *(type(threading.Lock()), type(threading.RLock()), types.GeneratorType),
    *(random.Random, np.random.Generator, np.random.RandomState, torch.Generator),
)
"""Classes whose objects change while a program runs, and are no part of its code."""

_COMPILED = (
    *(types.BuiltinFunctionType, types.WrapperDescriptorType, types.MethodDescriptorType),
    *(types.MethodWrapperType, types.ClassMethodDescriptorType, types.GetSetDescriptorType),
    *(types.MemberDescriptorType, np.ufunc),
)

_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")

_PLACES = frozenset({"__dict__", "__weakref__", "__doc__", "__module__", "_abc_impl"})
_MARKS = frozenset({"accepts_accelerated", "spec_name"})


@runtime_checkable
class Fingerprinted(Protocol):
    """A value that has a fingerprint of its own, such as a surrogate."""

    def fingerprinted(self) -> tuple[str, tuple[type, ...]]:
        """Return the fingerprint, and the classes whose code belongs to the value."""
        ...


def constant(value: object) -> tuple[Any, ...] | None:
    """Describe a value that does not refer to others; return `None` for any other value.

    Objects that change while a program runs, such as random generators, are known by their class.
    """
    if isinstance(value, Tensor | np.ndarray | np.generic):
        return _numbers(value)
    if isinstance(value, torch.jit.ScriptFunction | torch.jit.ScriptModule):
        state = value.state_dict() if isinstance(value, nn.Module) else {}
        return "script", str(value.code), *((name, _numbers(one)) for name, one in state.items())
    if isinstance(value, _CONSTANTS):
        return type(value).__qualname__, repr(value)
    return ("state", type(value).__qualname__) if isinstance(value, _STATE) else None


def _numbers(value: Any) -> tuple[Any, ...] | None:
    """Return kind, shape and a hash of the numbers; `None` for tensors that hide them."""
    try:
        if isinstance(value, Tensor):
            flat = value.detach().cpu().contiguous().flatten()
            numbers = flat.view(torch.uint8).numpy().tobytes()
        elif value.dtype.hasobject:
            return None
        else:
            numbers = value.tobytes()
    except (RuntimeError, TypeError, NotImplementedError):  # sparse, quantized or without data
        return None
    digest = hashlib.sha256(numbers).hexdigest()
    return type(value).__name__, str(value.dtype), tuple(value.shape), digest


def is_compiled(value: object) -> bool:
    """Return whether a function is not written in Python, or wraps one, as `functools.cache`."""
    in_python = any(
        isinstance(vars(kind).get("__call__"), types.FunctionType) for kind in type(value).__mro__
    )
    without_attributes = callable(value) and not hasattr(value, "__dict__") and not in_python
    return isinstance(value, _COMPILED) or without_attributes or hasattr(value, "cache_parameters")


def is_readable(value: object) -> bool:
    """Return whether the attributes of an object of a library's class describe it."""
    hidden = isinstance(value, Tensor | np.ndarray)
    known = isinstance(value, nn.Module | types.SimpleNamespace | argparse.Namespace)
    return not hidden and (known or callable(value) or dataclasses.is_dataclass(value))


def attributes_of(value: object) -> dict[str, Any]:
    """Return the attributes that an object itself has; of modules, their hooks without numbers."""
    names = [
        name
        for kind in type(value).__mro__
        for name in _texts(vars(kind).get("__slots__", ()))
        if name not in _PLACES and hasattr(value, name)
    ]
    found = {name: getattr(value, name) for name in names} | getattr(value, "__dict__", {})
    found = {  # what `functools.cached_property` remembers appears at its first use
        name: one
        for name, one in found.items()
        if not isinstance(getattr(type(value), name, None), functools.cached_property)
    }
    if isinstance(value, nn.Module):
        hooks = {name: list(found[name].values()) for name in _HOOKS if found.get(name)}
        return {name: one for name, one in found.items() if "hook" not in name} | hooks
    if isinstance(value, collections.defaultdict):
        return found | {"default_factory": value.default_factory}
    return found


def is_code(value: object) -> bool:
    """Return whether a value is code itself: a module, a function or a class."""
    return isinstance(value, _CODE)


def is_container(value: object) -> bool:
    """Return whether a value holds others, even if its class is one of the user."""
    return isinstance(value, list | dict | set | collections.deque | Tensor | np.ndarray)


def is_empty(value: object) -> bool:
    """Return whether a value is none, zero or empty, as counters and lists of results begin."""
    if isinstance(value, Tensor | np.ndarray):
        return not np.prod(value.shape)
    return value is None or (isinstance(value, _FILLED) and not value)


def _texts(slots: str | Collection[str]) -> Collection[str]:
    return (slots,) if isinstance(slots, str) else slots


def is_special(name: str) -> bool:
    """Return whether a name has two underscores on both sides."""
    return name.startswith("__") and name.endswith("__")


def belongs_to_code(name: str, value: object) -> bool:
    """Return whether an attribute of a class is part of its code, not of the place of the code."""
    methods = (types.FunctionType, staticmethod, classmethod, property)
    return name not in _PLACES and (not is_special(name) or isinstance(value, methods))


def without_marks(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Return the attributes of a function, except this package's marks."""
    return {name: one for name, one in attributes.items() if name not in _MARKS}
