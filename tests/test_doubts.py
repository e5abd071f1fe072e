"""Doubts: the kinds are documented, and the package uses no others."""

import ast
from pathlib import Path

import minnorm
from minnorm.doubts import KINDS, Doubt


def kinds_in(source: str) -> set[str]:
    """Return the kinds of the doubts that a source file makes."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id == "Doubt"]
    return {ast.literal_eval(call.args[0]) for call in made}


def test_the_package_makes_doubts_of_all_documented_kinds_and_no_others() -> None:
    files = Path(minnorm.__file__).parent.rglob("*.py")
    assert set().union(*(kinds_in(file.read_text()) for file in files)) == set(KINDS)


def test_equal_doubts_count_once() -> None:
    assert len({Doubt("nan", "text"), Doubt("nan", "text"), Doubt("scale", "text")}) == 2
