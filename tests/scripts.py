"""The scripts in `benchmarks`, `docs` and `experiments`, which belong to no package, as modules."""

import importlib
from pathlib import Path
from types import ModuleType

import pytest

_ROOT = Path(__file__).parents[1]


def script(path: str) -> ModuleType:
    """Return the module of a script, which may import the files beside it.

    Args:
        path: Its file in the checkout, for example `benchmarks/gate_rates.py`.
    """
    file = _ROOT / path
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(file.parent)
        return importlib.import_module(file.stem)
