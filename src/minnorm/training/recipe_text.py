"""The text of recipes: files and YAML within limits, so that no text takes long to read."""

from pathlib import Path
from typing import Any

import yaml

from minnorm.errors import InputError

_LARGEST_FILE = 200_000
"""Bytes of a recipe; those of the package have less than 2,000."""

_MOST_VALUES = 2_000
_DEEPEST = 20


def read_text(path: Path) -> str:
    """Return the text of a recipe.

    Raises:
        InputError: If the file is too large, or no text.
        OSError: If it cannot be read.
    """
    size = path.stat().st_size
    if size > _LARGEST_FILE:
        raise InputError(
            f"{path} is not a recipe: it has {size:,} bytes; expected at most {_LARGEST_FILE:,}."
        )
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a recipe: it is not a text file ({error}).") from error


def parse_yaml(text: str, source: str) -> Any:
    """Return the plain values in a YAML text.

    Args:
        text: The text.
        source: Where it is from, for the messages.

    Raises:
        InputError: If the text is not YAML, has a key twice, refers to a part of itself, or has
            too many values.
    """
    try:
        _check_size(text, source)
        _check_keys(yaml.compose(text, yaml.SafeLoader), source)
        return yaml.safe_load(text)
    except InputError:
        raise
    # ValueError: PyYAML raises it for dates that do not exist.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{source} cannot be read as YAML: {error}") from error


def _check_size(text: str, source: str) -> None:
    """Check the text piece by piece, before PyYAML builds all of it."""
    values, depth = 0, 0
    for event in yaml.parse(text, yaml.SafeLoader):
        # An alias refers to an anchor: the text that both make of a few lines may be huge.
        anchor, tag = getattr(event, "anchor", None), getattr(event, "tag", None)
        if anchor is not None:
            raise InputError(
                f"{source} has the YAML anchor or alias {anchor!r}, which a recipe may not have: "
                "write the value again."
            )
        if tag is not None:
            raise InputError(f"{source} cannot be read as YAML: the tag {tag!r} is not allowed.")
        values += isinstance(event, yaml.NodeEvent)
        depth += isinstance(event, yaml.CollectionStartEvent)
        depth -= isinstance(event, yaml.CollectionEndEvent)
        if values > _MOST_VALUES:
            raise InputError(
                f"{source} has more than {_MOST_VALUES:,} keys and values: it is not a recipe."
            )
        if depth > _DEEPEST:
            raise InputError(
                f"{source} has values nested more than {_DEEPEST} deep: it is not a recipe."
            )


def _check_keys(node: Any, source: str) -> None:
    """Check that no key is given twice: PyYAML would silently take the last one."""
    if node is None or not isinstance(node.value, list):
        return
    parts = node.value
    if node.id == "mapping":
        keys = [str(key.value) for key, _ in node.value]
        parts = [part for _, part in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(
                    f"{source}: the key {key!r} is given {keys.count(key)} times: keep one."
                )
    for part in parts:
        _check_keys(part, source)
