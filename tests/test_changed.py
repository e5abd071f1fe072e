"""`make quick` runs the tests of what changed."""

import subprocess
from pathlib import Path

import pytest

from changed import changed_files, select, select_all

FILES = [
    "tests/conftest.py",
    "tests/test_specs.py",
    "tests/attacks/cases.py",
    "tests/attacks/test_contract.py",
    "tests/attacks/gradient/test_ddn.py",
    "tests/attacks/test_registry.py",
    "tests/reference/ddn.py",
    "tests/report/test_tables.py",
]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a few empty files of tests."""
    for name in FILES:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("file", "tests"),
    [
        ("src/minnorm/specs.py", "tests/test_specs.py"),
        ("src/minnorm/geometry.py", None),
        ("src/minnorm/attacks/gradient/ddn.py", "tests/attacks/gradient/test_ddn.py"),
        ("src/minnorm/attacks/gradient/fmn.py", "tests/attacks/gradient"),
        ("src/minnorm/attacks/gradient/registry.py", "tests/attacks/test_registry.py"),
        ("src/minnorm/attacks/engine/search.py", "tests/attacks"),
        ("src/minnorm/paper/demo.py", None),
        ("tests/test_specs.py", "tests/test_specs.py"),
        ("tests/attacks/cases.py", "tests/attacks"),
        ("tests/reference/ddn.py", "tests/attacks"),
        ("tests/conftest.py", "tests"),
        ("benchmarks/speed.py", None),
    ],
)
def test_each_file_has_its_tests(file: str, tests: str | None, checkout: Path) -> None:
    assert select(file, checkout) == tests


def test_a_folder_stands_for_the_files_in_it(checkout: Path) -> None:
    changed = ["tests/attacks/cases.py", "tests/attacks/gradient/test_ddn.py", "Makefile"]
    assert select_all(changed, checkout) == ["tests/attacks"]


def test_documentation_has_tests_too(checkout: Path) -> None:
    assert select_all(["README.md", "tests/test_specs.py"], checkout) == [
        "tests/test_docs.py",
        "tests/test_language.py",
        "tests/test_specs.py",
    ]


def test_new_and_edited_files_count_as_changed_but_not_deleted_ones(checkout: Path) -> None:
    def git(*words: str) -> None:
        identity = ["-c", "user.name=name", "-c", "user.email=name@example.com"]
        subprocess.run(["git", *identity, *words], cwd=checkout, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "--message", "start")
    (checkout / "tests/test_specs.py").write_text("pass\n")
    (checkout / "tests/attacks/cases.py").unlink()
    (checkout / "tests/report/test_new.py").touch()
    assert changed_files(checkout) == ["tests/report/test_new.py", "tests/test_specs.py"]
