"""The language of specs: the words by which the CLI, YAML and Python name models, data, attacks.

A spec is a head, then optional arguments in parentheses, then an optional slice:

    ddn    ddn(steps=300, levels=256)    mnist[:1000]    folder:/photos(resize=256, crop=224)[::2]

Arguments are Python literals given by name. Nothing is evaluated.
"""

import ast
import difflib
import importlib
import inspect
import re
import sys
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

_TOO_DEEP = (MemoryError, RecursionError)
"""What Python raises of a text that is nested too deeply."""


@dataclass(frozen=True)
class Spec:
    """A spec, taken apart.

    Attributes:
        head: What comes before the arguments, for example `ddn` or `folder:/photos`.
        arguments: The arguments by name; empty when there are none.
        part: The slice, or `None` when there is none.
    """

    head: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    part: slice | None = None


def parse(text: str) -> Spec:
    """Takes a spec apart.

    Raises:
        ValueError: If the text is empty, or its arguments or slice cannot be read.
    """
    head, part = _split_slice(text.strip(), text)
    head, arguments = _split_arguments(head, text)
    if not head:
        raise ValueError(f"{text!r} names nothing: write a name, for example 'ddn' or 'mnist'.")
    return Spec(head, arguments, part)


def _split_slice(text: str, whole: str) -> tuple[str, slice | None]:
    if not text.endswith("]"):
        if re.search(r"\[[\d\s:-]*$", text):
            raise ValueError(f"the bracket in {whole!r} is not closed: write ']' at the end.")
        return text, None
    head, _, inside = text[:-1].rpartition("[")
    fields = inside.split(":")
    try:
        numbers = [int(number) if number.strip() else None for number in fields]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= 3 or (len(numbers) == 3 and numbers[2] == 0):
        raise ValueError(
            f"cannot read the slice '[{inside}]' in {whole!r}: write [start:stop] or "
            "[start:stop:step] with whole numbers, for example mnist[:1000]."
        )
    return head.rstrip(), slice(*numbers)


def _split_arguments(text: str, whole: str) -> tuple[str, dict[str, Any]]:
    if not text.endswith(")"):
        if re.search(r"\(\s*\w+\s*=[^()]*$", text):
            raise ValueError(f"the bracket in {whole!r} is not closed: write ')' at the end.")
        return text, {}
    opening, call = _find_call(text)
    try:
        if call is None or call.args:
            raise ValueError("no arguments by name")
        names = [word.arg for word in call.keywords]
        if None in names or len(set(names)) < len(names):
            raise ValueError("a name is missing or given twice")
        arguments = {str(word.arg): ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, TypeError, ValueError, *_TOO_DEEP) as error:
        words = call.keywords if call is not None else []
        bare = [word for word in words if ast.dump(_quoted(word.value)) != ast.dump(word.value)]
        hints = [f" Did you mean {w.arg}={ast.unparse(_quoted(w.value))}?" for w in bare[:1]]
        raise ValueError(
            f"cannot read the arguments '{text[opening:]}' in {whole!r}: write name=value pairs, "
            "each name once, with numbers, strings in quotes, True, False, None or lists, for "
            f"example ddn(steps=300, levels=256).{''.join(hints)}"
        ) from error
    return text[:opening].rstrip(), arguments


_CONSTANTS = {"None": None, "True": True, "False": False}


def _quoted(value: ast.expr) -> ast.expr:
    """Puts names and calls, also those in a list, in quotes."""
    if isinstance(value, ast.List | ast.Tuple):
        return type(value)([_quoted(element) for element in value.elts], ast.Load())
    if isinstance(value, ast.Name) and value.id.capitalize() in _CONSTANTS:
        return ast.Constant(_CONSTANTS[value.id.capitalize()])
    if isinstance(value, ast.Name | ast.Call):
        return ast.Constant(ast.unparse(value))
    return value


def _find_call(text: str) -> tuple[int, ast.Call | None]:
    """Finds the first parenthesis from which on the text reads as the arguments of one call."""
    openings = [position for position, letter in enumerate(text) if letter == "("]
    for opening in openings:
        try:
            call = ast.parse(f"_{text[opening:]}", mode="eval").body
        except (SyntaxError, ValueError, *_TOO_DEEP):
            continue
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            return opening, call
    return (openings[0] if openings else 0), None


def choose(name: str, known: Iterable[str], kind: str) -> str:
    """Gives `name` back if it is one of `known`.

    Args:
        name: What was asked for.
        known: What there is.
        kind: What the names are, in one word for the message, for example `attack`.

    Raises:
        ValueError: If it is not known; the message lists what is, the likeliest first.
    """
    names = sorted(known)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" Did you mean {close[0]!r}?" if close else ""
    raise ValueError(f"there is no {kind} {name!r}.{hint} There is: {', '.join(names)}.")


def check_arguments(
    function: Callable[..., Any],
    arguments: Mapping[str, Any],
    owner: str,
    given: Collection[str] = (),
) -> None:
    """Checks that a function takes each of `arguments` by name.

    Args:
        function: The function.
        arguments: What it shall be called with.
        owner: What the function is called in the message.
        given: Parameters that a spec cannot set, since the caller gives them.

    Raises:
        ValueError: If it does not; the message lists the names that it takes.
    """
    parameters = inspect.signature(function).parameters.values()
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
        return
    kinds = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    known = [p.name for p in parameters if p.kind in kinds and p.name not in given]
    for name in arguments:
        choose(name, known, f"parameter of {owner}")


def check_complete(function: Callable[..., Any], spec: str, given: Collection[str] = ()) -> None:
    """Checks that a spec has all arguments that a function needs.

    Args:
        function: The function.
        spec: The spec.
        given: Parameters that the caller gives.

    Raises:
        ValueError: If one is missing.
    """
    parsed = parse(spec)
    missing = [
        parameter.name
        for parameter in inspect.signature(function).parameters.values()
        if parameter.default is parameter.empty
        and parameter.name not in (*given, *parsed.arguments)
    ]
    if missing:
        raise ValueError(
            f"{spec!r} lacks {', '.join(missing)}: write {parsed.head}({missing[0]}=...)."
        )


def describe(head: str, arguments: Mapping[str, Any]) -> str:
    """Writes a call as a spec: the inverse of `parse`, for manifests and tables."""
    inside = ", ".join(f"{name}={_literal(value)}" for name, value in arguments.items())
    return f"{head}({inside})" if inside else head


def same(one: str, other: str) -> bool:
    """Tells whether two texts are the same spec, written differently or not."""
    try:
        return parse(one) == parse(other)
    except ValueError:
        return one == other


def _literal(value: Any) -> str:
    # Python writes an infinite float as a name; a number too large for a float reads as one.
    return repr(value).replace("inf", "1e999") if isinstance(value, float) else repr(value)


def path_of(text: str) -> Path:
    """Gives the path that a spec names, with `~` for a home folder.

    Raises:
        ValueError: If there is no such home.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise ValueError(f"cannot read the path {text!r}: {error}") from error


def search_current_folder() -> None:
    """Lets modules of the current folder be imported, as Python itself does for `python -m`."""
    here = str(Path.cwd())
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)


def call_factory(spec: Spec, kind: str) -> Any:
    """Imports and calls the `package.module:factory` that a spec names.

    The current folder is searched too.

    Args:
        spec: The spec; its arguments are passed to the factory.
        kind: What the factory should give, in one word for the messages.

    Raises:
        ValueError: If the module or the function is not there, or one of them raises.
    """
    module_name, _, function_name = spec.head.partition(":")
    example = f"write package.module:factory, the name of a function that gives the {kind}"
    if not all(part.isidentifier() for part in [*module_name.split("."), function_name]):
        raise ValueError(f"cannot read {spec.head!r} as a {kind} spec: {example}.")
    search_current_folder()
    try:
        module = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:  # whatever it raises, it is their spec that failed
        raise ValueError(
            f"{spec.head!r}: importing {module_name} raised {type(error).__name__}: {error}"
        ) from error
    factory = getattr(module, function_name, None)
    if not callable(factory):
        raise ValueError(f"{module_name} has no function {function_name!r}: {example}.")
    check_arguments(factory, spec.arguments, spec.head)
    try:
        return factory(**spec.arguments)
    except (Exception, SystemExit) as error:  # the same
        raise ValueError(
            f"{spec.head!r}: calling it raised {type(error).__name__}: {error}"
        ) from error
