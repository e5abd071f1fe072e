"""Calls of functions that specs name: check their arguments, import and call a factory."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from minnorm.errors import InputError, MissingFileError, MissingLibraryError, one_line
from minnorm.specs import Spec, choose, format_spec, most_similar


def call_factory(spec: Spec, kind: str) -> Any:
    """Import and call the `package.module:factory` that a spec names.

    Modules in the current folder are found too.

    Args:
        spec: The spec; its arguments are passed to the factory.
        kind: What the factory returns, in one word for the messages, for example `model`.

    Raises:
        InputError: If the module or the function does not exist, it is a module of PyTorch itself,
            or one of them raises an error.
        MissingFileError, MissingLibraryError: If the factory raises it.
    """
    example = f"write package.module:factory, the name of a function that returns the {kind}"
    factory = import_function(spec.head, kind, example)
    if hasattr(factory, "forward") and not isinstance(factory, type):  # it can be called, too
        raise InputError(_about_value(spec.head, factory, example))
    check_arguments(factory, spec.arguments, spec.head)
    try:
        return factory(**spec.arguments)
    except (MissingFileError, MissingLibraryError):  # these say what to do
        raise
    except (Exception, SystemExit) as error:  # foreign code raises errors of any kind
        raise InputError(f"{spec.head!r}: calling it raised {one_line(error)}") from error


def import_function(head: str, kind: str, example: str) -> Callable[..., Any]:
    """Import the function that `package.module:function` names.

    Modules in the current folder are found too.

    Args:
        head: The name.
        kind: What the function is or returns, in one word for the messages.
        example: What to write, for the messages.

    Raises:
        InputError: If the module or the function does not exist, or the module raises an error.
    """
    module_name, _, function_name = head.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        article = "an" if kind[0] in "aeiou" else "a"
        raise InputError(f"cannot read {head!r} as {article} {kind} spec: {example}.")
    search_current_folder()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # foreign code raises errors of any kind
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{module_name}.".startswith(f"{missing}."):
            raise InputError(_about_missing(head, missing, example)) from error
        raise InputError(f"{head!r}: importing {module_name} raised {one_line(error)}") from error
    function = getattr(module, function_name, None)
    if hasattr(function, "predict") and not callable(function):
        raise InputError(_about_value(head, function, example))
    if not callable(function):
        functions = [name for name, value in vars(module).items() if callable(value)]
        similar = most_similar(function_name, functions)
        hint = f". Did you mean {similar!r}?" if similar else f": {example}."
        raise InputError(f"{module_name} has no function {function_name!r}{hint}")
    found: Callable[..., Any] = function
    return found


def _about_value(head: str, value: object, example: str) -> str:
    """Return a message about the name of a model, where that of a function is expected."""
    return f"{head!r} is a {type(value).__name__} and not a function: {example}."


def _about_missing(head: str, missing: str, example: str) -> str:
    """Return a message about a name whose module, or a package around it, does not exist."""
    parent, dot, name = missing.rpartition(".")
    if parent:
        folders = [*getattr(sys.modules.get(parent), "__path__", ())]
        where = f"{parent} has no module {name!r}"
    else:
        folders = [str(Path.cwd())]
        where = f"there is no module {name!r}, neither in {folders[0]} nor installed"
    similar = most_similar(name, [module.name for module in pkgutil.iter_modules(folders)])
    if similar is None:
        return f"{head!r}: {where}: {example}."
    return f"{head!r}: {where}. Did you mean '{parent}{dot}{similar}{head[len(missing) :]}'?"


def search_current_folder() -> None:
    """Make modules in the current folder importable, as `python -m` does."""
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)


def check_arguments(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    owner: str,
    given: Collection[str] = (),
) -> None:
    """Check that a function takes each of `arguments` by name.

    Args:
        function: The function.
        arguments: The arguments of the call.
        owner: The name of the function in the message.
        given: Parameters that the caller sets, and that a spec cannot set.

    Raises:
        InputError: If the function does not take one of them; the message lists those it takes.
    """
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:  # some functions of compiled modules have no signature
        return
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [p.name for p in parameters if p.kind in kinds and p.name not in given]
    for name in arguments:
        choose(name, known, "parameter", f"of {owner}")


def check_complete(
    function: Callable[..., Any],
    owner: str,
    arguments: Mapping[str, Any],
    given: Collection[str] = (),
) -> None:
    """Check that a call has all arguments that a function requires.

    Args:
        function: The function.
        owner: The name of the function in the message.
        arguments: The arguments of the call; the message repeats them.
        given: Parameters that the caller sets.

    Raises:
        InputError: If one is missing.
    """
    missing = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
        and parameter.name not in (*given, *arguments)
    ]
    if missing:
        others = format_spec("", arguments)[1:] or ")"
        call = f"{owner}({missing[0]}=...{', ' if arguments else ''}{others}"
        raise InputError(f"{owner!r} requires {', '.join(missing)}: write {call}.")
