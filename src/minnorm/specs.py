"""The language of specs: the words by which the CLI, YAML and Python name models, data, attacks.

A spec is a head, then optional arguments in parentheses, then an optional slice:

    ddn    ddn(steps=300, levels=256)    mnist[:1000]    folder:/photos(resize=256, crop=224)[::2]

Arguments are given by name: numbers, also as fractions such as `8/255`, texts with or without
quotes, `True`, `False`, `None`, and lists of these. Nothing is evaluated.
"""

import ast
import difflib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from minnorm.errors import InputError

_TOO_DEEP = (MemoryError, RecursionError)
"""The errors that Python raises for a text that is nested too deeply."""

_CONSTANTS = {"none": None, "true": True, "false": False}

_WORD = re.compile(r"[A-Za-z_][\w.:/-]*")
"""A text that needs no quotes."""

_FRACTION = re.compile(r"\s*(-?[\d.]+(?:e-?\d+)?)\s*/\s*([\d.]+(?:e-?\d+)?)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Spec:
    """A parsed spec.

    Attributes:
        head: The text before the arguments, for example `ddn` or `folder:/photos`.
        arguments: The arguments by name; empty if there are none.
        part: The slice, or `None` if there is none.
    """

    head: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    part: slice | None = None


def parse(text: str) -> Spec:
    """Parse a spec.

    Raises:
        InputError: If the text is empty, or its arguments or slice cannot be read.
    """
    head, part = _split_slice(text.strip(), text)
    head, arguments = _split_arguments(head, text)
    if not head:
        raise InputError(f"the spec {text!r} has no name: write one, for example 'ddn' or 'mnist'.")
    return Spec(head, arguments, part)


def format_spec(head: str, arguments: Mapping[str, Any]) -> str:
    """Write a call as a spec, for manifests and tables: the inverse of `parse`."""
    inside = ", ".join(f"{name}={_literal(value)}" for name, value in arguments.items())
    return f"{head}({inside})" if inside else head


def split_list(text: str) -> list[str]:
    """Return the specs in a text that separates them by commas: `ddn(steps=3, levels=2), fmn`."""
    parts, depth, quote = [""], 0, ""
    for letter in text:
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        else:
            depth += (letter in "([") - (letter in ")]")
        if letter == "," and depth == 0 and not quote:
            parts.append("")
        else:
            parts[-1] += letter
    return [part.strip() for part in parts]


def read_number(text: str) -> float:
    """Return the number that a text stands for; fractions such as `8/255` are numbers.

    Raises:
        InputError: If it is no number.
    """
    fraction = _FRACTION.fullmatch(text)
    try:
        return float(fraction[1]) / float(fraction[2]) if fraction else float(text)
    except (ValueError, ZeroDivisionError) as error:
        raise InputError(f"{text!r} is not a number: write it like 0.5, 1e-3 or 8/255.") from error


def is_fraction(value: object) -> bool:
    """Return whether a value is a text such as `8/255`."""
    return isinstance(value, str) and _FRACTION.fullmatch(value) is not None


def same(one: str, other: str) -> bool:
    """Return whether two texts are the same spec, even if written differently."""
    try:
        return parse(one) == parse(other)
    except InputError:
        return one == other


def name_of(text: str) -> str:
    """Return a spec without its arguments; a text that is no spec as it is."""
    try:
        return parse(text).head
    except InputError:
        return text


def choose(name: str, known: Iterable[str], kind: str, where: str = "") -> str:
    """Return `name` if it is one of `known`.

    Args:
        name: The name to look up.
        known: The names that exist.
        kind: What the names stand for, in one word for the message, for example `attack`.
        where: Where they belong, for the message, for example `of ddn`.

    Raises:
        InputError: If the name is unknown; the message lists the known ones and suggests the most
            similar.
    """
    names = sorted(known)
    if name in names:
        return name
    similar = most_similar(name, names)
    hint = f" Did you mean {similar!r}?" if similar else ""
    subject = " ".join(word for word in (kind, repr(name), where) if word)
    raise InputError(f"unknown {subject}.{hint} Available: {', '.join(names)}.")


def most_similar(name: str, known: Iterable[str]) -> str | None:
    """Return the name among those known that is most similar; `None` if none is similar."""
    by_letters = {letters(known): known for known in sorted(known, reverse=True)}
    close = difflib.get_close_matches(letters(name), by_letters, n=1)
    return by_letters[close[0]] if close else None


def letters(name: str) -> str:
    """Return the letters and digits of a name, in lower case, to find a name by a similar one."""
    return re.sub(r"[\W_]", "", name.lower())


def path_of(text: str) -> Path:
    """Return the path that a text names; `~` stands for the home folder.

    Raises:
        InputError: If there is no such home folder.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise InputError(f"cannot read the path {text!r}: {error}") from error


def _split_slice(text: str, whole: str) -> tuple[str, slice | None]:
    if not text.endswith("]"):
        if re.search(r"\[[\d\s:-]*$", text):
            raise InputError(f"the bracket in {whole!r} is not closed: write ']' at the end.")
        return text, None
    head, _, inside = text[:-1].rpartition("[")
    fields = inside.split(":")
    try:
        numbers = [int(number) if number.strip() else None for number in fields]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= 3 or (len(numbers) == 3 and numbers[2] == 0):
        raise InputError(
            f"cannot read the slice '[{inside}]' in {whole!r}: write [start:stop] or "
            "[start:stop:step] with whole numbers, for example mnist[:1000]."
        )
    return head.rstrip(), slice(*numbers)


def _split_arguments(text: str, whole: str) -> tuple[str, dict[str, Any]]:
    if not text.endswith(")"):
        if re.search(r"\(\s*\w+\s*=[^()]*$", text):
            raise InputError(f"the parenthesis in {whole!r} is not closed: write ')' at the end.")
        return text, {}
    opening, call = _find_call(text)
    try:
        arguments = _keyword_values(call, f"_{text[opening:]}".encode())
    except (ArithmeticError, SyntaxError, TypeError, ValueError, *_TOO_DEEP) as error:
        raise InputError(
            f"cannot read the arguments '{text[opening:]}' in {whole!r}: write name=value pairs, "
            "each name once, with numbers, texts, True, False, None or lists, for example "
            "ddn(steps=300, levels=256)."
        ) from error
    return text[:opening].rstrip(), arguments


def _find_call(text: str) -> tuple[int, ast.Call | None]:
    """Find the first parenthesis after which the text reads as the arguments of one call."""
    openings = [position for position, letter in enumerate(text) if letter == "("]
    for opening in openings:
        try:
            call = ast.parse(f"_{text[opening:]}", mode="eval").body
        except (SyntaxError, ValueError, *_TOO_DEEP):
            continue
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Name):
            return opening, call
    return (openings[0] if openings else 0), None


def _keyword_values(call: ast.Call | None, source: bytes) -> dict[str, Any]:
    """Return the values of a call's keyword arguments, or raise `ValueError`."""
    if call is None or call.args:
        raise ValueError("expected keyword arguments only")
    names = [word.arg for word in call.keywords]
    if None in names or len(set(names)) < len(names):
        raise ValueError("a name is missing or given twice")
    return {str(word.arg): _value(word.value, source) for word in call.keywords}


def _value(value: ast.expr, source: bytes) -> Any:
    """Return the value of an argument: a literal, a fraction, or a text without quotes."""
    if isinstance(value, ast.Constant):
        return value.value
    if isinstance(value, ast.List | ast.Tuple):
        elements = [_value(element, source) for element in value.elts]
        return elements if isinstance(value, ast.List) else tuple(elements)
    if value.end_lineno == 1:
        text = source[value.col_offset : value.end_col_offset].decode()
    else:
        text = ast.unparse(value)
    if text.lower() in _CONSTANTS:
        return _CONSTANTS[text.lower()]
    if _FRACTION.fullmatch(text):
        return read_number(text)
    is_spec = isinstance(value, ast.Call) and isinstance(value.func, ast.Name) and not value.args
    if is_spec or _WORD.fullmatch(text):
        return text
    return ast.literal_eval(value)


def _literal(value: Any) -> str:
    # Python writes an infinite float as a name; a number too large for a float reads as infinite.
    return repr(value).replace("inf", "1e999") if isinstance(value, float) else repr(value)
