"""Reading recipes: YAML files, shipped recipes, changes by settings, and clear error messages."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError

from minnorm import specs
from minnorm.errors import InputError, MissingFileError
from minnorm.training.recipe import Recipe
from minnorm.training.recipe_text import parse_yaml, read_text
from minnorm.training.recipe_words import Place, refuse_code

_ENDINGS = (".yaml", ".yml", ".json")

_EXPLANATIONS = {
    "model_type": "expected a group of settings, for example optimizer.learning_rate=0.05",
    "tuple_type": "expected a list",
    "string_pattern_mismatch": (
        "expected lower-case letters, digits, dots and dashes, a letter or digit first"
    ),
}
"""Messages for kinds of errors that pydantic describes in terms of Python."""


def shipped_recipes() -> dict[str, Path]:
    """Return the files of the recipes that the package ships, by name."""
    folder = Path(str(importlib.resources.files("minnorm.training") / "recipes"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_recipe(source: str | Path, settings: Sequence[str] = (), *, trust: bool = False) -> Recipe:
    """Read and check a recipe.

    A file may name code of its own, `package.module:function`, only with `trust`: reading the
    recipe already imports and calls it. Words in `settings` are the user's, and need no trust.

    Args:
        source: A YAML file, the `recipe.json` of a run, or the name of a shipped recipe.
        settings: Changes to it, each `key=value`, with dots in the key for a setting inside
            another, for example `optimizer.learning_rate=0.05`. Values are read as YAML.
        trust: Whether the file may name code.

    Raises:
        NotTrustedError: If a word in the file names code, and `trust` is not set.
        MissingFileError: If the file does not exist.
        InputError: If the file is too large, not YAML, or not a recipe; the message names each
            wrong setting.
    """
    path = _find(source)
    content, changed = _read(path, settings)
    if not trust:
        refuse_code(content, changed, path)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        with_settings = f" with {', '.join(settings)}" if settings else ""
        problems = [
            _explain(problem["loc"], problem["msg"], problem["type"]) for problem in error.errors()
        ]
        raise InputError(
            f"{path.name}{with_settings} is not a valid recipe.",
            *(f"  {problem}" for problem in problems),
        ) from error


def _find(source: str | Path) -> Path:
    path = Path(source)
    if path.suffix not in _ENDINGS:
        if path.is_file():
            raise InputError(
                f"{path}: expected the file of a recipe, whose name ends in {', '.join(_ENDINGS)}."
            )
        path = shipped_recipes()[specs.choose(str(source), shipped_recipes(), "recipe")]
    if not path.is_file():
        raise MissingFileError(f"there is no recipe {path}.")
    return path


def _read(path: Path, settings: Sequence[str]) -> tuple[dict[str, Any], set[Place]]:
    """Read a file, and apply the settings; return the places that they change too."""
    content = parse_yaml(read_text(path), str(path))
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a recipe: expected keys and values.")
    changed: set[Place] = set()
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or not key.strip():
            raise InputError(f"cannot read the setting {setting!r}: write key=value.")
        place = tuple(key.strip().split("."))
        _change(content, place, parse_yaml(text, f"the setting {setting!r}"))
        changed.add(place)
    return content, changed


def _change(content: dict[str, Any], place: Place, value: Any) -> None:
    *path, last = place
    for part in path:
        key = _key(content, part)
        if content.get(key) is None:
            content[key] = {}
        content = content[key]
        if not isinstance(content, dict):
            raise InputError(
                f"cannot set {'.'.join(place)!r}: {part!r} is a value, not a group of values."
            )
    content[_key(content, last)] = value


def _key(content: dict[Any, Any], text: str) -> Any:
    """Return the key that a setting names; the keys of objectives are whole numbers."""
    return next((key for key in content if str(key) == text), text)


def _explain(place: tuple[int | str, ...], message: str, kind: str) -> str:
    """Return a problem that pydantic found as a line for the user."""
    message = message.removeprefix("Value error, ")
    # Pydantic names the Python types that an objective may have; a recipe has none.
    parts = [str(part) for part in place if part not in ("str", "dict[int,str]", "[key]")]
    if not parts:  # about the recipe as a whole
        return message
    *path, last = parts
    if kind == "extra_forbidden":
        return _unknown_setting(path, last)
    return f"{'.'.join(parts)}: {_EXPLANATIONS.get(kind, message)}"


def _unknown_setting(path: Sequence[str], name: str) -> str:
    group: Any = Recipe
    for part in path:  # an optional group is a union with None
        declared = group.model_fields[part].annotation
        group = next((one for one in get_args(declared) if one is not NoneType), declared)
    try:
        specs.choose(name, group.model_fields, "setting", f"in {'.'.join(path)}" if path else "")
    except InputError as error:
        return str(error)
    raise AssertionError(f"the setting {name!r} exists")
