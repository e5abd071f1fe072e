"""Reading recipes: YAML files, shipped recipes, changes by settings, and clear error messages."""

import importlib.resources
from collections.abc import Sequence
from pathlib import Path
from types import NoneType
from typing import Any, get_args

from pydantic import ValidationError

from minnorm import specs
from minnorm.errors import InputError, MissingFileError, MissingLibraryError
from minnorm.training.recipe import Recipe

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


def load_recipe(source: str | Path, settings: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        source: A YAML file, the `recipe.json` of a run, or the name of a shipped recipe.
        settings: Changes to it, each `key=value`, with dots in the key for a setting inside
            another, for example `optimizer.learning_rate=0.05`. Values are read as YAML.

    Raises:
        MissingFileError: If the file does not exist.
        MissingLibraryError: If PyYAML is not installed.
        InputError: If the file is not YAML or not a recipe; the message names each wrong setting.
    """
    path = _find(source)
    content = _read(path, settings)
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        changed = f" with {', '.join(settings)}" if settings else ""
        problems = [
            _explain(problem["loc"], problem["msg"], problem["type"]) for problem in error.errors()
        ]
        raise InputError(
            f"{path.name}{changed} is not a valid recipe.\n  " + "\n  ".join(problems)
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


def _read(path: Path, settings: Sequence[str]) -> dict[str, Any]:
    """Read a file, and apply the settings."""
    try:
        import yaml
    except ImportError as error:
        raise MissingLibraryError(
            "training needs PyYAML: pip install 'minnorm[training]'"
        ) from error
    try:
        text = path.read_text()
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not a recipe: it is not a text file ({error}).") from error
    try:
        content = _parse_yaml(text)
        changes = [(setting, *setting.partition("=")[::2]) for setting in settings]
        values = [(setting, key.strip(), _parse_yaml(value)) for setting, key, value in changes]
    # ValueError: PyYAML raises it for dates that do not exist.
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InputError(f"{path} or a setting cannot be read as YAML: {error}") from error
    if not isinstance(content, dict):
        raise InputError(f"{path} is not a recipe: expected keys and values.")
    for setting, key, value in values:
        _change(content, setting, key, value)
    return content


def _parse_yaml(text: str) -> Any:
    import yaml

    _check_keys(yaml.compose(text, yaml.SafeLoader))
    return yaml.safe_load(text)


def _check_keys(node: Any) -> None:
    """Check that no key is given twice: PyYAML would silently take the last one."""
    if node is None or not isinstance(node.value, list):
        return
    parts = node.value
    if node.id == "mapping":
        keys, parts = [key.value for key, _ in node.value], [part for _, part in node.value]
        for key in keys:
            if keys.count(key) > 1:
                raise InputError(f"the key {key!r} is given {keys.count(key)} times: keep one.")
    for part in parts:
        _check_keys(part)


def _change(content: dict[str, Any], setting: str, key: str, value: Any) -> None:
    if "=" not in setting or not key:
        raise InputError(f"cannot read the setting {setting!r}: write key=value.")
    *path, last = key.split(".")
    for part in path:
        if content.setdefault(part, {}) is None:
            content[part] = {}
        content = content[part]
        if not isinstance(content, dict):
            raise InputError(f"cannot set {key!r}: {part!r} is a value, not a group of values.")
    content[last] = value


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
