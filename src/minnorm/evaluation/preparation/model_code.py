"""The code of a model: what distinguishes it from others of the same weights and structure."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from minnorm.attacks import Model
from minnorm.attacks.code import kinds
from minnorm.attacks.code.bytecode import Changes
from minnorm.attacks.code.methods import changing_attributes
from minnorm.attacks.code.origins import library_of
from minnorm.attacks.code.reader import Reader
from minnorm.models import fingerprint
from minnorm.models.learned import learned_fingerprint
from minnorm.models.scikit_learn import is_estimator

_SHOWN = 16
"""Characters of the hash."""

_MOST_OBJECTS = 5000
"""The objects that are read, which takes a few seconds."""

_NOTHING = Changes()


def fingerprint_of_code(model: Model) -> str:
    """Return a hash of what a run cannot see in the weights and the printed structure of a model.

    It covers functions and classes of the user with their constants, defaults, closures and what
    they use, as `minnorm.attacks.attack_fingerprint` does; the attributes of modules of the user
    that are no weights, such as the strength of a filter; and what estimators have learned. What
    the code itself changes when it is called is left out, such as a counter, and so is the code of
    libraries, whose versions a run notes. Of code that would take long to read, such as that of a
    large library in a folder of the user, only this is known.

    Args:
        model: The classifier.
    """
    reader = _ModelReader(packages=())
    try:
        found = reader.parts_of(model) if isinstance(model, nn.Module) else reader.digest(model)
    except (RecursionError, _TooMuchError):
        found = "too much to read"
    return Reader(packages=()).digest(repr(found))[:_SHOWN]


class _TooMuchError(Exception):
    """The code of a model would take long to read."""


class _ModelReader(Reader):
    """A reader that knows networks by their fingerprints, and estimators by what they learned."""

    def digest(self, value: object, hidden: Changes = _NOTHING) -> str:
        """Return a hash of a value, as a reader of attacks does, up to a number of objects."""
        if self.objects > _MOST_OBJECTS:
            raise _TooMuchError
        return super().digest(value, hidden)

    def parts_of(self, network: nn.Module) -> list[Any]:
        """Return hashes of the classes of the user in a network, and of their attributes."""
        found = []
        for name, part in network.named_modules():
            origin = library_of(type(part).__module__)
            if origin is None:
                changes = changing_attributes(type(part))
                attributes = self._attributes(_settings(part), changes)
                found.append((name, self.digest(type(part)), attributes))
            elif origin == "minnorm":  # its printed form says all but what functions do
                functions = {key: one for key, one in _settings(part).items() if callable(one)}
                if functions:
                    found.append((name, "", self._attributes(functions, Changes())))
        return found

    def _object(self, value: object, hidden: Changes) -> tuple[Any, ...]:
        if isinstance(value, nn.Module):  # one that is not registered as a part
            return "network", fingerprint(value), self.parts_of(value)
        if is_estimator(value):
            return "estimator", learned_fingerprint(value)
        return super()._object(value, hidden)


def _settings(part: nn.Module) -> Mapping[str, Any]:
    """Return the attributes of a module that are no weights, and do not say where it runs."""
    common = vars(nn.Module())
    return {
        name: value
        for name, value in kinds.attributes_of(part).items()
        if name not in common
        and "hook" not in name
        and name != "device"
        and not isinstance(value, torch.device)
    }
