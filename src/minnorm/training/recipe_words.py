"""The words of a recipe that name code: a file must not choose which code runs."""

from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from minnorm import specs
from minnorm.errors import InputError, NotTrustedError
from minnorm.models.recognition import MODEL_FILES

Place = tuple[str, ...]
"""The keys that lead to a value, for example `("robust_validation", "attack")`."""

_MODELS = ("zoo", "torchvision", "timm", "hf", "robustbench")
_ARCHITECTURES = ("torchvision", "timm")
_DATA = ("folder", "imagenet")

_DATA_FILES = (".npz", ".safetensors")

_SCHEMES = {
    "architecture": _ARCHITECTURES,
    "initial": _MODELS,
    "models": _MODELS,
    "data": _DATA,
    "validation": _DATA,
    "test": _DATA,
}
"""The schemes that a setting, or an argument inside its spec, gives to names of no code."""

_FILES = {
    "initial": MODEL_FILES,
    "models": MODEL_FILES,
    "data": _DATA_FILES,
    "validation": _DATA_FILES,
    "test": _DATA_FILES,
}
"""The endings of the files that a setting, or an argument inside its spec, may name."""


def refuse_code(content: Mapping[str, Any], own: Collection[Place], file: Path) -> None:
    """Refuse a recipe from a file whose words name code, `package.module:function`.

    Nothing is imported. Files that a recipe names, such as a pickle, are checked by those who load
    them.

    Args:
        content: The settings, as they were read.
        own: The places that the user has set himself: their words may name code.
        file: The file, for the message.

    Raises:
        NotTrustedError: If a word from the file names code.
    """
    for place, word in _words(content, ()):
        if any(place[: len(one)] == one for one in own):
            continue
        if _names_code(word, place[0]):
            raise NotTrustedError(
                f"{file}: {'.'.join(place)}: {word!r} names code, which the training would run. If "
                "you trust the file, allow it: --trust in the shell, trust=True in Python."
            )


def _words(value: Any, place: Place) -> Iterator[tuple[Place, str]]:
    """Yield the texts among settings, each with its place."""
    if isinstance(value, str):
        yield place, value
    elif isinstance(value, Mapping):
        for key, part in value.items():
            yield from _words(part, (*place, str(key)))
    elif isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _words(part, (*place, str(number)))


def _names_code(word: str, setting: str) -> bool:
    """Return whether loading a spec would import a module that it, or a part of it, names."""
    if setting in ("initial", "models"):  # in `FILE + ARCHITECTURE`, the text after the plus
        after = [word[at + 1 :] for at, letter in enumerate(word) if letter == "+"]
        if any(_names_code(architecture, "architecture") for architecture in after):
            return True
    try:
        parsed = specs.parse(word)
    except InputError:  # whatever loads it cannot read it either
        return False
    scheme, colon, function = parsed.head.partition(":")
    is_import = colon and all(part.isidentifier() for part in f"{scheme}.{function}".split("."))
    is_file = Path(parsed.head).suffix in _FILES.get(setting, ())
    if is_import and not is_file and scheme not in _SCHEMES.get(setting, ()):
        return True
    return any(_names_code(text, place[0]) for place, text in _words(parsed.arguments, ()))
