"""Values that depend on the scale of an experiment: a mapping from scales to values."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, cast, get_args

from minnorm import specs
from minnorm.errors import InputError

Scale: TypeAlias = Literal["paper", "cpu", "smoke"]
"""How much of an experiment runs: all of it, for a GPU; what two cores do in a night; seconds."""

SCALES: tuple[Scale, ...] = get_args(Scale)

_CHOICE = "scales"
"""The key of the scales at which an item of a list is there."""

_AND = "+"
"""What is between scales that have the same value."""

_NEEDED = {"settings": {"model", "data"}, "attacks": {"attack"}}
"""The keys without whose values an item is left out, by the key of the list; else all keys."""


class _Absent:
    """A value that lacks the scale."""


_ABSENT = _Absent()


def read_scale(word: str) -> Scale:
    """Return the scale of a word.

    Raises:
        InputError: If there is no such scale.
    """
    return cast("Scale", specs.choose(word, SCALES, "scale"))


def at_scale(value: Any, scale: Scale) -> Any:
    """Return plain values of YAML as they are at a scale.

    A mapping whose keys are scales, or several as in `paper+cpu`, stands for the value of the
    scale. Without a value for it, the key that it belongs to is left out. An item of a list is left
    out if it says `scales: [...]` without the scale, or if it needs a key that is left out: `model`
    and `data` in `settings`, `attack` in `attacks`, any key in other lists.

    Args:
        value: The values.
        scale: The scale.

    Raises:
        InputError: If a scale has two values.
    """
    found, _ = _resolved(value, scale, "")
    return None if found is _ABSENT else found


def _resolved(value: Any, scale: Scale, key: str) -> tuple[Any, frozenset[str]]:
    """Return a value at a scale, and which keys of a mapping are left out."""
    if isinstance(value, Mapping):
        by_scale = {one: part for name, part in value.items() for one in str(name).split(_AND)}
        if value and set(by_scale) <= set(SCALES):
            if len(by_scale) < sum(len(str(name).split(_AND)) for name in value):
                raise InputError(f"a scale has two values in {dict(value)}.")
            chosen = _resolved(by_scale[scale], scale, key) if scale in by_scale else (_ABSENT,)
            return chosen[0], frozenset()
        parts = {
            name: _resolved(one, scale, str(name))[0]
            for name, one in value.items()
            if name != _CHOICE
        }
        kept = {name: part for name, part in parts.items() if part is not _ABSENT}
        return kept, frozenset(parts) - frozenset(kept)
    if isinstance(value, list):
        items = [(item, *_resolved(item, scale, "")) for item in value]
        needed = _NEEDED.get(key)
        return [
            found
            for item, found, absent in items
            if found is not _ABSENT
            and not (absent & needed if needed is not None else absent)
            and _is_chosen(item, scale)
        ], frozenset()
    return value, frozenset()


def _is_chosen(item: Any, scale: Scale) -> bool:
    return not isinstance(item, Mapping) or scale in item.get(_CHOICE, SCALES)
