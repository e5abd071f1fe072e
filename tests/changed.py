"""Print the tests of the files that git says changed: `make quick`."""

import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parents[1]
DOCUMENTATION = ["tests/test_docs.py", "tests/test_language.py"]

HELPERS = {"tests/conftest.py": "tests", "tests/reference": "tests/attacks"}
"""Helpers whose tests are elsewhere, files or folders, and where."""


def changed_files(root: Path = ROOT) -> list[str]:
    """Return the files that differ from the last commit, new ones included, deleted ones not."""
    commands = (
        ["git", "diff", "--name-only", "--diff-filter=d", "--relative", "HEAD"],
        ["git", "ls-files", "--others", "--exclude-standard"],
    )
    outputs = (
        subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
        for command in commands
    )
    return sorted({line for output in outputs for line in output.splitlines()})


def select(file: str, root: Path = ROOT) -> str | None:
    """Return the tests of a file: a test file, a folder of tests, or `None` if there are none.

    A module has the test file of its name, or else the tests of the folder that mirrors its own. A
    helper of the tests stands for the tests of its folder.

    Args:
        file: The file, as a path from the root.
        root: The root of the checkout.
    """
    path = Path(file)
    if path.parts[0] == "tests":
        folder = path.parent
        for helper, tests in HELPERS.items():
            if path.is_relative_to(helper):
                return tests
        if path.name.startswith("test_"):
            return file
    elif path.is_relative_to("src/minnorm"):
        folder = "tests" / path.parent.relative_to("src/minnorm")
    else:
        return None
    folders = [folder, *folder.parents][:-1]
    named = [place / f"test_{path.stem}.py" for place in folders]
    found = [place for place in (*named, *folders[:-1]) if (root / place).exists()]
    return str(found[0]) if found else None


def select_all(files: Iterable[str], root: Path = ROOT) -> list[str]:
    """Return the tests of several files, each once, and the tests of the documentation."""
    found = {tests for file in files if (tests := select(file, root))}
    if any(file.endswith(".md") or file.startswith("docs/") for file in files):
        found |= set(DOCUMENTATION)
    return sorted(t for t in found if not {str(parent) for parent in Path(t).parents} & found)


if __name__ == "__main__":
    sys.stdout.write(" ".join(select_all(changed_files())) + "\n")
