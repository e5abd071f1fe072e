"""Modules of users, beside which they run their commands."""

import sys
from pathlib import Path

import pytest


def write_module(name: str, code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a module into a folder, make it the current one, and import the module from there."""
    (folder / f"{name}.py").write_text(code)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, name, raising=False)
