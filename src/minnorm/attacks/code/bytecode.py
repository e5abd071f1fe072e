"""What a compiled function does, read from its bytecode: operations, names, and what it writes.

The description does not depend on line numbers, docstrings, the file, or the hash seed.
"""

import dis
import functools
from bisect import bisect_left
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from dis import Instruction
from itertools import pairwise
from types import CodeType
from typing import Any

_GLOBALS = ("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_CELLS = ("LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF")
_ATTRIBUTES = ("LOAD_ATTR", "LOAD_METHOD")
_STORED_NAMES = ("STORE_GLOBAL", "DELETE_GLOBAL", "STORE_DEREF", "DELETE_DEREF")
_STORED_ATTRIBUTES = ("STORE_ATTR", "DELETE_ATTR")
_STORED_ITEMS = ("STORE_SUBSCR", "DELETE_SUBSCR")
_SILENT = ("CACHE", "EXTENDED_ARG", "NOP", "RESUME")

_OF_A_CLASS = ("__doc__", "__firstlineno__", "__qualname__", "__static_attributes__")
"""Names that a class body sets; they say where the class is written."""

_MUTATORS = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem"}
    | {"popleft", "remove", "setdefault", "update", "write"}
)
"""Methods that change a container; so do the methods of tensors that end in `_`."""


@dataclass(frozen=True)
class Changes:
    """The names of what code changes while it runs.

    Attributes:
        assigned: Names to which it assigns.
        in_place: Names whose values it changes in place, such as `found` in `found.append(x)`.
    """

    assigned: frozenset[str] = frozenset()
    in_place: frozenset[str] = frozenset()

    def __or__(self, other: "Changes") -> "Changes":
        return Changes(self.assigned | other.assigned, self.in_place | other.in_place)

    def without(self, names: Collection[str]) -> "Changes":
        """Return these changes without those of some names."""
        return Changes(self.assigned.difference(names), self.in_place.difference(names))


@dataclass(frozen=True)
class Code:
    """A compiled function, with the functions inside it.

    Attributes:
        operations: What it computes: nested tuples of text, the same in every process.
        names: The global names that it reads.
        attributes: The attributes that it reads, and its constant texts, which may name some.
        imports: The modules that it imports: their names, and the levels of relative imports.
        written: The global names and variables of enclosing functions that it changes, such as
            counters.
        written_attributes: The attributes that it changes.
    """

    operations: tuple[Any, ...]
    names: frozenset[str]
    attributes: frozenset[str]
    imports: frozenset[tuple[str, int]]
    written: Changes
    written_attributes: Changes


def read_code(code: CodeType) -> Code:
    """Read a compiled function, and those inside it."""
    steps = list(_instructions(code))
    inner = [read_code(one) for one in code.co_consts if isinstance(one, CodeType)]
    written, written_attributes = _written(steps)
    texts = (one for one in code.co_consts if isinstance(one, str))
    attributes = (s.argval for s in steps if s.opname in (*_ATTRIBUTES, "IMPORT_FROM"))
    return Code(
        operations=(_signature(code), *_operations(steps)),
        names=_joined((s.argval for s in steps if s.opname in _GLOBALS), inner, "names"),
        attributes=_joined((*attributes, *texts), inner, "attributes"),
        imports=_joined(_imports(steps), inner, "imports"),
        # A variable of this function that inner ones change is no global name of the same spelling.
        written=_all_of([written, *(one.written for one in inner)]).without(code.co_cellvars),
        written_attributes=_all_of(
            [written_attributes, *(one.written_attributes for one in inner)]
        ),
    )


def _joined(own: Any, inner: Sequence[Code], field: str) -> frozenset[Any]:
    return frozenset(own).union(*(getattr(one, field) for one in inner))


def _all_of(changes: Sequence[Changes]) -> Changes:
    return functools.reduce(Changes.__or__, changes)


def _instructions(code: CodeType) -> Iterator[Instruction]:
    """Return the instructions of a function, without those that say where a class is written."""
    steps = [step for step in dis.get_instructions(code) if step.opname not in _SILENT]
    hidden = {
        number
        for number, (_, after) in enumerate(pairwise(steps))
        if after.opname == "STORE_NAME" and after.argval in _OF_A_CLASS
    }
    for number, step in enumerate(steps):
        if number not in hidden and number - 1 not in hidden:
            yield step


def _signature(code: CodeType) -> tuple[Any, ...]:
    arguments = code.co_argcount + code.co_kwonlyargcount
    stars = code.co_flags & 0x0C  # *args and **kwargs
    names = code.co_varnames[: arguments + bool(stars & 4) + bool(stars & 8)]
    return (code.co_posonlyargcount, code.co_kwonlyargcount, stars, names)


def _operations(steps: Sequence[Instruction]) -> Iterator[tuple[Any, ...]]:
    """Return the operations; jumps by the number of their target, not by its place in memory."""
    offsets = [step.offset for step in steps]
    jumps = (*dis.hasjrel, *dis.hasjabs)
    for step in steps:
        if step.opcode in jumps:
            # A jump to an instruction that is left out goes to the next one.
            yield step.opname, bisect_left(offsets, step.argval)
        else:
            yield step.opname, _constant(step.argval)


def _constant(value: Any) -> Any:
    if isinstance(value, CodeType):
        return read_code(value).operations
    if isinstance(value, tuple):
        return ("tuple", *map(_constant, value))
    if isinstance(value, frozenset):  # its order differs from process to process
        return ("frozenset", *sorted(repr(_constant(one)) for one in value))
    return (type(value).__name__, repr(value))


def _imports(steps: Sequence[Instruction]) -> Iterator[tuple[str, int]]:
    """Return the modules that are imported: before each stand its level and the names."""
    for number, step in enumerate(steps):
        if step.opname == "IMPORT_NAME":
            yield str(step.argval), int(steps[number - 2].argval)


def _written(steps: Sequence[Instruction]) -> tuple[Changes, Changes]:
    """Return the changes of names, and those of attributes.

    The values on the stack are followed from one instruction to the next: for each, whether it was
    just read from a name or an attribute. Branches are not followed, so some changes are missed.
    """
    names: set[str] = set()
    attributes: set[str] = set()
    in_place: dict[str, set[str]] = {"name": set(), "attribute": set()}
    stack: list[tuple[str, str] | None] = []

    def note(depth: int) -> None:
        """Note that the value at a depth of the stack is changed in place."""
        if len(stack) >= depth and (source := stack[-depth]) is not None:
            in_place[source[0]].add(source[1])

    for step in steps:
        kind, value = step.opname, step.argval
        if kind in _STORED_NAMES:
            names.add(value)
        elif kind in _STORED_ATTRIBUTES:
            attributes.add(value)
        elif kind in _STORED_ITEMS:
            note(2)
        elif kind in _ATTRIBUTES and _changes_in_place(value):
            note(1)
        if kind == "COPY":
            stack.append(stack[-step.arg] if step.arg and len(stack) >= step.arg else None)
        elif kind == "SWAP":
            if step.arg and len(stack) >= step.arg:
                stack[-1], stack[-step.arg] = stack[-step.arg], stack[-1]
        else:
            _apply(stack, step)
    return (
        Changes(frozenset(names), frozenset(in_place["name"])),
        Changes(frozenset(attributes), frozenset(in_place["attribute"])),
    )


def _changes_in_place(method: str) -> bool:
    return method in _MUTATORS or (method.endswith("_") and not method.endswith("__"))


def _apply(stack: list[tuple[str, str] | None], step: Instruction) -> None:
    """Apply an instruction to the sources of the values on the stack."""
    effect = dis.stack_effect(step.opcode, step.arg, jump=False)
    if step.opname in _GLOBALS or step.opname in _CELLS:
        stack += [("name", step.argval)] + [None] * (effect - 1)
    elif step.opname in _ATTRIBUTES:
        if stack:
            stack.pop()
        stack += [("attribute", step.argval)] + [None] * effect
    elif effect > 0:
        stack += [None] * effect
    elif effect < 0:
        del stack[effect:]
        if stack and step.opname != "POP_TOP":
            stack[-1] = None
    elif stack and not step.opname.startswith(("JUMP", "MAKE_CELL", "COPY_FREE", "KW_", "PRECALL")):
        stack[-1] = None
