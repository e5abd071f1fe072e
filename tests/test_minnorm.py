"""The top level of the package: its names and subpackages are there after `import minnorm`."""

import importlib.metadata
import subprocess
import sys

import minnorm

SUBPACKAGES = [
    *("errors", "specs", "access", "geometry", "logits", "schedules", "runtime"),
    *("data", "models", "acceleration", "attacks", "evaluation", "training", "report", "paper"),
]

PROGRAM = f"""
import pydoc, sys
import minnorm
assert "torch" not in sys.modules
assert not set({SUBPACKAGES!r}) & set(vars(minnorm))  # nothing has imported them yet
for name in {SUBPACKAGES!r}:
    assert getattr(minnorm, name).__name__ == f"minnorm.{{name}}"
    assert vars(minnorm)[name] is sys.modules[f"minnorm.{{name}}"]
print(pydoc.plain(pydoc.render_doc(minnorm.attacks.ddn)))
print(minnorm.models.Normalized)
"""


def test_the_subpackages_are_reachable_after_importing_the_package_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "ddn(model" in done.stdout
    assert "minnorm.models.normalized.Normalized" in done.stdout


def test_the_version_is_that_of_the_distribution() -> None:
    assert minnorm.__version__ == importlib.metadata.version("minnorm")


def test_the_names_are_those_of_their_modules() -> None:
    for name in minnorm.__all__:
        value = getattr(minnorm, name)
        if name in SUBPACKAGES:
            assert value is sys.modules[f"minnorm.{name}"]
        else:
            assert value.__name__ == name
            assert value.__module__.startswith("minnorm.")
    assert set(SUBPACKAGES) <= set(minnorm.__all__)
