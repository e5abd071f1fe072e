"""Where code comes from: a library that is installed, or the user's own files."""

import functools
import importlib.metadata
import importlib.util
import site
import sys
import sysconfig
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

PYTHON = "python"
"""The origin of Python itself and its standard library."""

_INSTALLED = ("site-packages", "dist-packages")
"""The names of folders of installed packages, in any environment."""

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}
"""The distributions of usual packages that have another name."""


def package_of(function: Callable[..., Any]) -> str:
    """Return the package in which a function, or the class of another object, is written."""
    # `functools.wraps` copies `__module__` from another function, but not the global names.
    names = getattr(function, "__globals__", {})
    return str(names.get("__name__") or type(function).__module__).partition(".")[0]


def library_of(module: str) -> str | None:
    """Return the library that a module belongs to; `None` for a file of the user.

    Args:
        module: The full name of a module, which need not be imported.

    Returns:
        `python` for the standard library, and otherwise the name of the package to import.
    """
    package = module.partition(".")[0]
    if package == "minnorm":
        return package
    if package == "__main__":  # of a notebook, its file may be one of a library
        return None
    loaded = sys.modules.get(module) or sys.modules.get(package)
    file = _place_of(package) if loaded is None else getattr(loaded, "__file__", None)
    if file is None:
        return PYTHON if package in sys.stdlib_module_names else None
    if _is_in(file, "purelib", "platlib"):
        return package
    return PYTHON if _is_in(file, "stdlib", "platstdlib") else None


def _place_of(package: str) -> str | None:
    """Return the file of a package that is not imported."""
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):
        return None
    return None if spec is None or not spec.has_location else spec.origin


@functools.cache
def versions_of(package: str) -> Mapping[str, str]:
    """Return the versions of the distributions that contain a package, by their names."""
    named = _DISTRIBUTIONS.get(package, package)
    try:  # most are named as their package, and the search takes a second
        return {named: importlib.metadata.version(named)}
    except importlib.metadata.PackageNotFoundError:
        names = importlib.metadata.packages_distributions().get(package, ())
    return {name: importlib.metadata.version(name) for name in names}


@functools.cache
def _is_in(file: str, *places: str) -> bool:
    """Return whether a file is in one of the installation's folders, which `sysconfig` names.

    An installed package may be a link to a folder elsewhere, or be in that of another environment.
    """
    folders = {sysconfig.get_path(place) for place in places}
    parents = {*Path(file).parents, *Path(file).resolve().parents}
    if "purelib" in places:
        folders |= {*site.getsitepackages(), site.getusersitepackages()}
        if any(parent.name in _INSTALLED for parent in parents):
            return True
    return any({Path(folder), Path(folder).resolve()} & parents for folder in folders)
