"""Attacks that are written as text, so that a test can change their code."""

import types
from typing import Any


def written_attack(source: str) -> Any:
    """Run the source of a module, and return what it names `attack`."""
    names = vars(types.ModuleType("written"))
    exec(compile(source, "written.py", "exec"), names)  # noqa: S102 - code of a test
    return names["attack"]
