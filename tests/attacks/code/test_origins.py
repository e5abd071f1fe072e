"""Where code comes from."""

import sys
from pathlib import Path

import pytest
import torch

from minnorm.attacks import ddn
from minnorm.attacks.code.origins import PYTHON, library_of, package_of, versions_of


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("minnorm.attacks.ddn", "minnorm"),
        ("torch.nn.functional", "torch"),
        ("numpy", "numpy"),
        ("collections.abc", PYTHON),
        ("builtins", PYTHON),
        ("_thread", PYTHON),
        ("antigravity", PYTHON),  # not imported
        ("attacks.networks", None),
        ("__main__", None),
        ("no_such_module", None),
        ("no_such_package.module", None),
    ],
)
def test_modules_belong_to_a_library_or_to_the_user(module: str, expected: str | None) -> None:
    assert "antigravity" not in sys.modules
    assert library_of(module) == expected
    assert "antigravity" not in sys.modules


def test_a_file_in_the_folder_of_the_user_hides_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library_of("antigravity") == PYTHON
    (tmp_path / "antigravity.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert library_of("antigravity") is None


@pytest.mark.parametrize("folder", ["site-packages", "dist-packages"])
def test_a_package_that_is_linked_or_of_another_environment_is_a_library(
    folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "env" / "lib" / folder / "linked_library"
    there.mkdir(parents=True)
    (there / "__init__.py").touch()
    monkeypatch.syspath_prepend(there.parent)
    assert library_of("linked_library") == "linked_library"
    here = tmp_path / "here"
    here.mkdir()
    (here / "linked_library").symlink_to(there)
    (here / "own").mkdir()
    (here / "own" / "__init__.py").touch()
    monkeypatch.syspath_prepend(here)
    assert library_of("linked_library") == "linked_library"
    assert library_of("own") is None


def test_packages_have_the_versions_of_their_distributions() -> None:
    assert versions_of("torch") == {"torch": torch.__version__.partition("+")[0]}
    assert list(versions_of("yaml")) == ["PyYAML"]
    assert versions_of("no_such_package") == {}


def test_functions_and_objects_are_written_in_a_package() -> None:
    class Instance:
        pass

    assert package_of(lambda: None) == __name__.partition(".")[0]
    assert package_of(Instance) == "builtins"  # the class of a class
    assert package_of(torch.nn.Identity()) == "torch"
    assert package_of(getattr(ddn, "__wrapped__", ddn)) == "minnorm"
