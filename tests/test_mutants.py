"""`make mutants` mutates code that exists, with tests that exist, and counts right."""

from configparser import ConfigParser
from pathlib import Path

import pytest

from mutants import (
    AREAS,
    ROOT,
    configuration,
    score,
    without_decorators,
    without_type_checks,
)


@pytest.mark.parametrize("name", AREAS)
def test_each_area_names_code_and_tests_that_exist(name: str) -> None:
    area = AREAS[name]
    assert all(list(ROOT.glob(pattern)) for pattern in area.code)
    assert all((ROOT / tests).exists() for tests in area.tests)


def test_the_configuration_names_the_code_and_the_tests() -> None:
    parser = ConfigParser()
    parser.read_string(configuration(AREAS["evaluation"]))
    settings = parser["mutmut"]
    assert tuple(settings["only_mutate"].split()) == AREAS["evaluation"].code
    assert settings["pytest_add_cli_args_test_selection"].split() == ["tests/evaluation"]
    assert all(Path(ROOT / name).exists() for name in settings["also_copy"].split())


def test_the_score_is_the_share_that_tests_find() -> None:
    counts = {
        "killed": 5,
        "timeout": 1,
        "segfault": 0,
        "suspicious": 0,
        "survived": 1,
        "no_tests": 1,
        "skipped": 100,
    }
    assert score(counts) == 75
    assert score(dict.fromkeys(counts, 0)) == 0


def test_attacks_are_marked_without_a_decorator() -> None:
    text = "import a\n\n\n@accepts_accelerated\ndef ddn() -> None:\n    pass\n"
    changed = without_decorators(text)
    assert "@" not in changed
    assert changed.endswith("\n\naccepts_accelerated(ddn)\n")
    assert without_decorators("def f() -> None: ...\n") == "def f() -> None: ...\n"
    for file in (ROOT / "src/minnorm/attacks/gradient").glob("*.py"):
        compile(without_decorators(file.read_text()), str(file), "exec")


def test_annotations_are_not_checked_and_functions_not_unwrapped() -> None:
    file = ROOT / "tests/conftest.py"
    text = file.read_text()
    assert "\njaxtyping.install_import_hook(" in text
    changed = without_type_checks(text)
    assert "install_import_hook(" not in changed
    assert "def _same_log_level_afterwards()" in changed
    compile(changed, str(file), "exec")
    assert without_type_checks("inspect.unwrap(ddn)(model)") == "(ddn)(model)"
