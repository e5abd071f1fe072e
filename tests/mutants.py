"""Measure which small faults in the code the tests find: `make mutants`.

    python tests/mutants.py [AREA ...]

mutmut changes one expression at a time and runs the fast tests that reach it. A mutant that no
test notices survives: either a test is missing, or the change makes no difference. The checkout is
copied to `.mutants/AREA`, so work can go on meanwhile; the survivors are in `survivors.diff` there.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
WORK = ROOT / ".mutants"

TARGET = 95
"""The score to reach, in percent."""


@dataclass(frozen=True)
class Area:
    """Code, and the tests that should find every fault in it.

    Attributes:
        code: Patterns of files, from the root of the checkout.
        tests: Folders and files of tests, from the root of the checkout.
    """

    code: tuple[str, ...]
    tests: tuple[str, ...]


AREAS = {
    "schedules": Area(("src/minnorm/schedules.py",), ("tests/test_schedules.py",)),
    "logits": Area(("src/minnorm/logits.py",), ("tests/test_logits.py",)),
    "geometry": Area(
        ("src/minnorm/geometry.py", "src/minnorm/boxes.py"),
        ("tests/test_geometry.py", "tests/test_geometry_balls.py", "tests/test_boxes.py"),
    ),
    "evaluation": Area(
        ("src/minnorm/evaluation/*.py", "src/minnorm/evaluation/*/*.py"), ("tests/evaluation",)
    ),
    "gradient": Area(("src/minnorm/attacks/gradient/*.py",), ("tests/attacks/gradient",)),
    "engine": Area(("src/minnorm/attacks/engine/*.py",), ("tests/attacks/engine",)),
    "objectives": Area(
        ("src/minnorm/training/objectives/*.py",),
        ("tests/training/objectives", "tests/training/test_adversarial_batch.py"),
    ),
}

# The wording of errors and warnings is left alone, and so is a docstring.
_UNTOUCHED = (r"^\s*raise \w+", r"^\s*warnings\.warn\(", r"^\s*logger\.\w+\(")

_LISTED = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")


def configuration(area: Area) -> str:
    """Return the configuration of mutmut for an area, as the text of a `setup.cfg`."""
    lists = {
        "source_paths": ("src",),
        "only_mutate": area.code,
        "do_not_mutate_patterns": _UNTOUCHED,
        "pytest_add_cli_args": ("-m", "not slow and not fetch", "-p", "no:xdist", "-p", "no:cov"),
        "pytest_add_cli_args_test_selection": area.tests,
        "also_copy": ("src", "docs", "README.md"),
    }
    lines = [f"{name} =\n" + "\n".join(f"    {value}" for value in lists[name]) for name in lists]
    return "\n".join(["[mutmut]", *lines, "process_isolation = forkserver", ""])


def copy_checkout(folder: Path) -> None:
    """Copy the files of the checkout that git does not ignore, new ones included.

    What a former run left in the folder is deleted.
    """
    shutil.rmtree(folder, ignore_errors=True)
    listed = subprocess.run(_LISTED, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in listed.split("\0"):
        if name and (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)
    for file in (folder / "src").rglob("*.py"):
        file.write_text(without_decorators(file.read_text()))
    for file in (folder / "tests").rglob("*.py"):
        file.write_text(without_type_checks(file.read_text()))


_TYPE_CHECKS = re.compile(r"^jaxtyping\.install_import_hook\(.*?^\)\n", re.MULTILINE | re.DOTALL)


def without_type_checks(text: str) -> str:
    """Leave annotations unchecked at run time: to check those of all mutants takes long.

    Tests unwrap a function to call it unchecked. Here that would be the original instead of the
    mutant, so they call the function as it is.

    Args:
        text: The text of a module of tests.
    """
    return _TYPE_CHECKS.sub("", text).replace("inspect.unwrap(", "(")


_MARKED_FUNCTION = re.compile(r"^@accepts_accelerated\ndef (\w+)", re.MULTILINE)


def without_decorators(text: str) -> str:
    """Mark attacks by a call instead of a decorator: mutmut leaves decorated functions alone.

    Args:
        text: The text of a module.
    """
    marks = [f"accepts_accelerated({name})\n" for name in _MARKED_FUNCTION.findall(text)]
    if "@known_as" in text or not marks:  # a name in specs needs its decorator
        return text
    return text.replace("@accepts_accelerated\n", "") + "\n\n" + "".join(marks)


def score(counts: dict[str, int]) -> float:
    """Return the share of the mutants that the tests find, in percent.

    Args:
        counts: The number of mutants by what became of them, as mutmut exports it.
    """
    found = counts["killed"] + counts["timeout"] + counts["segfault"] + counts["suspicious"]
    missed = counts["survived"] + counts["no_tests"]
    return 100 * found / max(found + missed, 1)


def measure(name: str, processes: int) -> float:
    """Run the mutants of an area, print the result, and return the score in percent."""
    folder = WORK / name
    copy_checkout(folder)
    (folder / "setup.cfg").write_text(configuration(AREAS[name]))
    _mutmut(folder, "run", "--max-children", str(processes))
    _mutmut(folder, "export-cicd-stats")
    counts = json.loads((folder / "mutants" / "mutmut-cicd-stats.json").read_text())
    left = [line.strip().partition(":")[0] for line in _mutmut(folder, "results").splitlines()]
    differences = [_mutmut(folder, "show", mutant) for mutant in left if mutant]
    (folder / "survivors.diff").write_text("\n".join(differences))
    found = score(counts)
    sys.stdout.write(
        f"{name}: the tests find {found:.1f} % of {counts['total']} mutants "
        f"(target: {TARGET} %); the others: {folder / 'survivors.diff'}\n"
    )
    return found


def _mutmut(folder: Path, *words: str) -> str:
    """Run mutmut in a folder, and return what it prints; `run` prints to the terminal instead."""
    # A mutant that ends its process leaves its temporary files: they go with this folder.
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        done = subprocess.run(
            [sys.executable, "-m", "mutmut", *words],
            cwd=folder,
            check=True,
            stdout=None if words[0] == "run" else subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": temporary},
        )
    return done.stdout or ""


def main() -> int:
    """Measure the areas that are named, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("areas", nargs="*", metavar="AREA", help=", ".join(AREAS))
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    unknown = sorted(set(options.areas) - set(AREAS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}. Available: {', '.join(AREAS)}")
    scores = [measure(name, options.processes) for name in options.areas or AREAS]
    return int(min(scores) < TARGET)


if __name__ == "__main__":
    sys.exit(main())
