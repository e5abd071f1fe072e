"""The methods of a class, and the attributes that they change."""

import types

from minnorm.attacks.code.bytecode import Changes, Code, read_code
from minnorm.attacks.code.origins import library_of

_SETUP = frozenset({"__init__", "__new__", "__post_init__", "__setstate__"})


def changing_attributes(kind: type, *, all_methods: bool = False) -> Changes:
    """Return the attributes that the methods of a class change when its objects are called.

    Args:
        kind: The class.
        all_methods: Whether all methods count, except those that set up an object. They do for a
            class whose objects cannot be called.
    """
    methods: dict[str, Code] = {}
    for base in reversed(kind.__mro__):
        for name, value in vars(base).items():
            function = getattr(value, "__func__", value)
            if isinstance(function, types.FunctionType) and library_of(base.__module__) is None:
                methods[name] = read_code(function.__code__)
    called = {"__call__", "forward"} & methods.keys()
    if all_methods or not called:
        called = methods.keys() - _SETUP
    while further := _named_in(called, methods) - called:
        called = called | further
    changes = Changes()
    for one in called:
        changes |= methods[one].written_attributes
    return changes


def _named_in(called: set[str], methods: dict[str, Code]) -> set[str]:
    return {name for one in called for name in methods[one].attributes & methods.keys()}
