"""Fingerprints of attacks: whether two attacks of the same name have the same code.

A fingerprint covers a user's functions with their constants, defaults, closures and presets, and
what they use: functions, classes and constants of the user's own files. Code of libraries is known
by the version of its distribution. What an attack counts or collects in a variable while it runs
is not part of its code.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from minnorm.attacks.code.origins import package_of
from minnorm.attacks.code.reader import Reader
from minnorm.attacks.composition import Part, tree


@dataclass(frozen=True)
class Fingerprint:
    """What is known of the code of an attack.

    Attributes:
        code: The hash; empty for attacks of this package, whose specs say everything.
        libraries: The versions of the distributions that the code uses, by name.
        unseen: What cannot be compared, in words, for example an object of a compiled class.
    """

    code: str
    libraries: Mapping[str, str]
    unseen: tuple[str, ...]


def fingerprint_attack(attack: Callable[..., Any]) -> Fingerprint:
    """Return what is known of the code of an attack."""
    reader = Reader(packages={package_of(function) for function in _outermost(tree(attack))})
    try:
        digest = reader.digest(attack)
    except RecursionError:
        digest = "nested too deeply"
        reader.unseen.add("values that are nested too deeply")
    return Fingerprint(
        code=digest[:16] if reader.foreign else "",
        libraries=dict(sorted(reader.libraries.items())),
        unseen=tuple(sorted(reader.unseen)),
    )


def attack_fingerprint(attack: Callable[..., Any]) -> str:
    """Return a hash of the code of an attack, which distinguishes attacks of the same name.

    It is empty for attacks of this package. It is the same in every process, and does not depend
    on line numbers, docstrings or the place of the files.
    """
    return fingerprint_attack(attack).code


def _outermost(part: Part) -> Iterator[Callable[..., Any]]:
    """Yield the functions of an attack that a user gave: those outside of this package."""
    function = inspect.unwrap(part.function)  # without decorators, for example of PyTorch
    if package_of(function) not in ("minnorm", "torch"):
        yield function
        return
    for inner in part.parts:
        yield from _outermost(inner)
