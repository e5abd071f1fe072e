"""Short names of models: what tells them apart, without folders and arguments that do not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from minnorm.errors import InputError
from minnorm.models.recognition import MODEL_FILES
from minnorm.specs import Spec, format_spec, parse


@dataclass(frozen=True)
class _Model:
    """A model spec in parts.

    Attributes:
        head: The file, the function or the name of the model.
        is_file: Whether it is a file.
        network: What builds the network of the weights, without arguments; empty if not stated.
        arguments: The arguments of the network, or of the function.
    """

    head: str
    is_file: bool
    network: str
    arguments: Mapping[str, Any]

    def name(self, depth: int) -> str:
        """Return the model without arguments, a file with so many parts of its path."""
        return "/".join(PurePath(self.head).parts[-depth:]) if self.is_file else self.head

    def call(self, name: str, shown: Sequence[str]) -> str:
        """Return a name of the model with some of the arguments."""
        given = {one: value for one, value in self.arguments.items() if one in shown}
        return format_spec(self.with_network(name), given) if given else name

    def with_network(self, name: str) -> str:
        """Return a name of the model with that of its network."""
        end = f" + {self.network}" if self.network else ""
        return name if name.endswith(end) else name + end


def short_names(models: Sequence[str]) -> list[str]:
    """Shorten the specs of models: two names are equal only if the models are.

    A name is that of the file, or that of the function. Where models share one, folders of the
    file, the network and the arguments follow as far as they differ.

    Args:
        models: The specs.
    """
    found = [_read(model) for model in models]
    names = [one.name(1) for one in found]
    deepest = max((len(PurePath(one.head).parts) for one in found if one.is_file), default=1)
    for depth in range(2, deepest + 1):
        names = longer(names, [one.name(depth) for one in found])
    pairs = list(zip(found, names, strict=True))
    names = longer(names, [one.with_network(name) for one, name in pairs])
    alike: dict[str, list[_Model]] = {}
    for one, name in zip(found, names, strict=True):
        alike.setdefault(name, []).append(one)
    shown = {name: _differing([one.arguments for one in same]) for name, same in alike.items()}
    return [one.call(name, shown[name]) for one, name in zip(found, names, strict=True)]


def longer(names: Sequence[str], more: Sequence[str]) -> list[str]:
    """Return longer names for those that are equal, as far as the longer ones differ."""
    found: dict[str, set[str]] = {}
    for name, form in zip(names, more, strict=True):
        found.setdefault(name, set()).add(form)
    return [form if len(found[name]) > 1 else name for name, form in zip(names, more, strict=True)]


def _read(model: str) -> _Model:
    file, plus, network = model.removeprefix("zoo:").partition(" + ")
    first, second = _parse(file), _parse(network)
    is_file = bool(plus) or first.head.lower().endswith(tuple(MODEL_FILES))
    return _Model(first.head, is_file, second.head, second.arguments if plus else first.arguments)


def _parse(text: str) -> Spec:
    """Return a spec; a text that is none as it is."""
    try:
        return parse(text)
    except InputError:
        return Spec(text)


def _differing(calls: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the arguments that not all of some calls have with the same value."""
    names = dict.fromkeys(name for call in calls for name in call)
    missing = object()
    return [
        name
        for name in names
        if any(call.get(name, missing) != calls[0].get(name, missing) for call in calls)
    ]
