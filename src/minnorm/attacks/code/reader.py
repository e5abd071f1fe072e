"""The reader: hashes what a function is made of, with all values that its code uses."""

import enum
import functools
import hashlib
import importlib
import importlib.util
import inspect
import types
from collections.abc import Callable, Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import singledispatchmethod
from typing import Any

import numpy as np

from minnorm.attacks.code import kinds
from minnorm.attacks.code.bytecode import Changes, Code, read_code
from minnorm.attacks.code.methods import changing_attributes
from minnorm.attacks.code.origins import PYTHON, library_of, versions_of

_DYNAMIC = frozenset({"eval", "exec", "globals", "__import__"})
_DYNAMIC_ANYWHERE = {
    "import_module": "code that it finds with import_module()",
    "open": "files that it reads with open()",
    "read_text": "files that it reads with read_text()",
    "read_bytes": "files that it reads with read_bytes()",
    "environ": "environment variables",
    "getenv": "environment variables",
}
"""Names of functions and attributes, and what a reader of the code cannot see because of them."""

_NOTHING = Changes()


@dataclass
class Reader:
    """Reads what an attack is made of, each object once.

    Attributes:
        packages: Packages whose code is read even if they are installed.
        foreign: Whether anything was read that is neither a plain value nor of this package.
        libraries: The versions of the distributions that the code uses, by name.
        unseen: What cannot be compared, in words.
    """

    packages: Collection[str]
    foreign: bool = False
    libraries: dict[str, str] = field(default_factory=dict)
    unseen: set[str] = field(default_factory=set)
    _known: dict[tuple[int, Hashable], str] = field(default_factory=dict)
    _kept: list[object] = field(default_factory=list)  # so that no `id` is used again

    @property
    def objects(self) -> int:
        """The number of objects that were read."""
        return len(self._known)

    def digest(self, value: object, hidden: Changes = _NOTHING) -> str:
        """Return a hash of a value.

        Args:
            value: Any object.
            hidden: Attributes of it that change while an attack runs, so that they are left out.
        """
        if type(value) in kinds.PLAIN:
            return _hash(type(value).__name__, repr(value))
        hidden = _NOTHING if isinstance(value, types.FunctionType) else hidden
        return self._once(value, hidden, lambda: self._read(value, hidden))

    def _once(self, value: object, about: Hashable, describe: Callable[[], tuple[Any, ...]]) -> str:
        """Return the hash of a description, which is made once for each object."""
        key = (id(value), about)
        if key not in self._known:
            self._kept.append(value)
            self._known[key] = "itself"  # while it is described: an object may contain itself
            self._known[key] = _hash(*describe())
        return self._known[key]

    @singledispatchmethod
    def _read(self, value: object, hidden: Changes) -> tuple[Any, ...]:
        """Return a description of a value, whose parts are hashed."""
        self.foreign = True
        if isinstance(value, kinds.Fingerprinted):
            digest, classes = value.fingerprinted()
            return "fingerprinted", digest, *map(self.digest, classes)
        if (found := kinds.constant(value)) is not None:
            return found
        if kinds.is_compiled(value):
            return self._compiled(value)
        return self._object(value, hidden)

    @_read.register(list)
    @_read.register(tuple)
    def _list(self, value: Sequence[object], hidden: Changes) -> tuple[Any, ...]:
        if type(value) in (list, tuple):
            return type(value).__name__, *map(self.digest, value)
        return self._object(value, hidden)

    @_read.register(set)
    @_read.register(frozenset)
    def _set(self, value: Collection[object], _: Changes) -> tuple[Any, ...]:
        return "set", *sorted(map(self.digest, value))

    @_read.register(dict)
    def _dict(self, value: dict[Any, Any], hidden: Changes) -> tuple[Any, ...]:
        return (
            ("dict", self._mapping(value)) if type(value) is dict else self._object(value, hidden)
        )

    @_read.register(functools.partial)
    @_read.register(functools.partialmethod)
    def _partial(self, value: Any, _: Changes) -> tuple[Any, ...]:
        return "partial", self.digest(value.func), self._items(value.args, value.keywords)

    @_read.register(types.ModuleType)
    def _whole_module(self, value: types.ModuleType, hidden: Changes) -> tuple[Any, ...]:
        return "module", self._module(value, (), hidden)

    @_read.register(types.MethodType)
    def _method(self, value: types.MethodType, _: Changes) -> tuple[Any, ...]:
        self.foreign = True
        return "method", self.digest(value.__func__), self.digest(value.__self__)

    @_read.register(staticmethod)
    @_read.register(classmethod)
    @_read.register(property)
    @_read.register(functools.cached_property)
    def _of_a_class(self, value: object, _: Changes) -> tuple[Any, ...]:
        names = ("__func__", "func", "fget", "fset", "fdel")
        parts = (self.digest(getattr(value, name, None)) for name in names)
        return type(value).__name__, *parts

    @_read.register(types.FunctionType)
    def _function(self, function: types.FunctionType, _: Changes) -> tuple[Any, ...]:
        inside = getattr(function, "_torchdynamo_orig_callable", None)
        if inside is not None:  # of torch.compile
            return "compiled", self.digest(inside)
        names = function.__globals__
        name = str(names.get("__name__"))
        undecorated = inspect.unwrap(function)
        inner = str(getattr(undecorated, "__globals__", {}).get("__name__"))
        decorated = function is not undecorated and library_of(name) and library_of(inner)
        library = self._library(inner if decorated else name, function.__qualname__)
        if library and (decorated or not function.__closure__):
            return library
        self.foreign = True
        code = read_code(function.__code__)
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        closure = sorted(
            (name, self._digest_variable(_content(cell), name, code))
            for name, cell in cells
            if not self._is_hidden(name, _content(cell), code.written)
        )
        if library:  # for example a decorator, with the user's function inside
            return *library, closure
        attributes = self._attributes(kinds.without_marks(vars(function)), code.written_attributes)
        return (
            "function",
            code.operations,
            closure,
            self._globals(code, names),
            self._items(function.__defaults__ or (), function.__kwdefaults__ or {}),
            attributes,
        )

    def _globals(self, code: Code, names: Mapping[str, Any]) -> list[tuple[str, str]]:
        """Return hashes of the global values that a function uses, and of what it imports."""
        found = []
        for name in sorted(code.names):
            if name in names and not kinds.is_special(name):
                if not self._is_hidden(name, names[name], code.written):
                    found.append((name, self._digest_variable(names[name], name, code)))
            elif name in _DYNAMIC:
                self._unseen(f"code that it finds with {name}()")
        for name, words in _DYNAMIC_ANYWHERE.items():
            if name in code.names | code.attributes and not _is_own(names.get(name)):
                self._unseen(words)
        for name, level in sorted(code.imports):
            found.append((name, self._imported("." * level + name, names.get("__package__"), code)))
        return found

    def _imported(self, name: str, package: str | None, code: Code) -> str:
        """Return a hash of what is used of a module that a function imports."""
        try:
            full = importlib.util.resolve_name(name, package)
            # A module of a library may take long to import, and the attack may never do it.
            if library := self._library(full):
                return _hash(*library)
            return self._used(importlib.import_module(full), code)
        except (Exception, SystemExit) as error:  # the attack itself may handle it
            return _hash("import", type(error).__name__)

    def _is_hidden(self, name: str, value: object, changes: Changes) -> bool:
        """Return whether a value is left out, since it changes; say so unless it is empty."""
        hidden = name in changes.assigned or (name in changes.in_place and self._is_state(value))
        if hidden and not kinds.is_empty(value):
            self._unseen(f"{name!r}, which its code changes")
        return hidden

    def _is_state(self, value: object) -> bool:
        """Return whether a value that is changed in place has no code of the user."""
        if kinds.is_code(value):
            return False
        return kinds.is_container(value) or library_of(type(value).__module__) is not None

    def _digest_variable(self, value: object, name: str, code: Code) -> str:
        """Return a hash of a variable, without what its methods change if some of them do."""
        if name in code.written.in_place and not kinds.is_code(value):
            return self.digest(value, _changed_by_methods(value) | code.written_attributes)
        return self._used(value, code)

    def _attributes(self, attributes: Mapping[str, Any], changes: Changes) -> list[tuple[str, str]]:
        """Return hashes of the attributes that stay the same."""
        found = []
        for name, value in attributes.items():
            if not self._is_hidden(name, value, changes):
                changed = name in changes.in_place and not kinds.is_code(value)
                hidden = _changed_by_methods(value) if changed else _NOTHING
                found.append((name, self.digest(value, hidden)))
        return sorted(found)

    def _used(self, value: object, code: Code) -> str:
        if isinstance(value, types.ModuleType):
            return self._module(value, code.attributes, code.written_attributes)
        return self.digest(value, code.written_attributes)

    def _module(self, module: types.ModuleType, used: Collection[str], hidden: Changes) -> str:
        """Return a hash of what is used of a module; of all of it if that cannot be seen."""
        if library := self._library(module.__name__):
            return _hash(*library)
        self.foreign = True
        public = frozenset(
            name
            for name, value in vars(module).items()
            if name == "__getattr__"
            or not (kinds.is_special(name) or self._is_hidden(name, value, hidden))
        )
        names = public.intersection({*used, "__getattr__"}) or public

        def describe() -> tuple[Any, ...]:
            values = {name: vars(module)[name] for name in sorted(names)}
            return "module", [
                (name, self._module(one, used, hidden))
                if isinstance(one, types.ModuleType)
                else (name, self.digest(one))
                for name, one in values.items()
            ]

        return self._once(module, names, describe)

    @_read.register(type)
    def _class(self, kind: type, hidden: Changes) -> tuple[Any, ...]:
        if library := self._library(kind.__module__, kind.__qualname__):
            return library
        self.foreign = True
        hidden |= changing_attributes(kind)
        parts = {
            name: self.digest(value)
            for name, value in vars(kind).items()
            if kinds.belongs_to_code(name, value)
            and (kinds.is_code(value) or not self._is_hidden(name, value, hidden))
        }
        bases = [self.digest(base) for base in (*kind.__bases__, type(kind))]
        return "class", bases, sorted(parts.items())

    @_read.register(enum.Enum)
    def _member(self, value: enum.Enum, _: Changes) -> tuple[Any, ...]:
        return "member", repr(value), self.digest(type(value))

    def _object(self, value: object, hidden: Changes) -> tuple[Any, ...]:
        """Describe an instance: its class, its elements, and the attributes that stay the same."""
        self.foreign = True
        kind = type(value)
        own = self._library(kind.__module__) is None
        elements: tuple[Any, ...] = ()
        if isinstance(value, Mapping):
            elements = ("mapping", self._mapping(value))
        elif isinstance(value, Sequence):
            elements = ("sequence", *map(self.digest, value))
        elif isinstance(value, int | float | complex):
            elements = ("number", repr(complex(value)), str(value))
        if not (own or elements or kinds.is_readable(value)):
            return self._unseen(f"an object of the class {kind.__module__}.{kind.__qualname__}")
        hidden = hidden | changing_attributes(kind) if own else hidden
        attributes = kinds.attributes_of(value)
        return "object", self.digest(kind), elements, self._attributes(attributes, hidden)

    def _compiled(self, value: object) -> tuple[Any, ...]:
        """Describe a function that is not written in Python."""
        inside = getattr(value, "__wrapped__", None)
        if inside is not None:  # for example of functools.cache
            return "wrapper", type(value).__qualname__, self.digest(inside)
        module = str(getattr(value, "__module__", None) or type(value).__module__)
        name = str(getattr(value, "__qualname__", type(value).__qualname__))
        if isinstance(value, np.ufunc) and not hasattr(np, value.__name__):
            return self._unseen(f"the compiled code of the ufunc {value.__name__}")
        return self._library(module, name) or self._unseen(f"the compiled code of {module}.{name}")

    def _library(self, module: str, name: str = "") -> tuple[Any, ...] | None:
        """Describe code of a library by its name, and note the version of the library."""
        library = library_of(module)
        if library is None or library in self.packages:
            return None
        if library not in (PYTHON, "minnorm"):
            self.foreign = True
            versions = versions_of(library)
            self.libraries.update(versions)
            if not versions:
                self._unseen(f"the library {library}, whose version is unknown")
        return "library", module, name

    def _unseen(self, words: str) -> tuple[str, str]:
        self.foreign = True
        self.unseen.add(words)
        return "unseen", words

    def _items(self, values: Iterable[object], named: Mapping[str, object]) -> tuple[Any, ...]:
        return (*map(self.digest, values), self._mapping(named))

    def _mapping(self, values: Mapping[Any, object]) -> list[tuple[str, str]]:
        return sorted((self.digest(name), self.digest(value)) for name, value in values.items())


def _is_own(value: object) -> bool:
    """Return whether a value is a function or class of the user."""
    return kinds.is_code(value) and library_of(str(getattr(value, "__module__", ""))) is None


def _changed_by_methods(value: object) -> Changes:
    return changing_attributes(type(value), all_methods=True)


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # the variable has no value yet
        return None


def _hash(*parts: Any) -> str:
    return hashlib.sha256(repr(parts).encode("utf-8", "surrogatepass")).hexdigest()
