"""The package as a whole: what it exports, what it imports, and in which direction."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

import minnorm

ROOT = Path(minnorm.__file__).parent
PACKAGES = sorted(
    ".".join(file.parent.relative_to(ROOT.parent).parts) for file in ROOT.rglob("__init__.py")
)


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """Gives the key of the order: constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _public_names(package: str) -> set[str]:
    """Gives what an `__init__.py` imports from the project or makes itself, read off its source."""
    source = (ROOT.parent / package.replace(".", "/") / "__init__.py").read_text()
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minnorm"):
            names |= {alias.asname or alias.name for alias in node.names}
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for file in ROOT.rglob("*.py")}
    assert sorted(".".join(f.relative_to(ROOT.parent).parts) for f in folders) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_the_exported_names_are_the_documented_ones(package: str) -> None:
    exported = importlib.import_module(package).__all__
    assert set(exported) == _public_names(package)


@pytest.mark.parametrize("package", PACKAGES)
def test_the_exported_names_are_sorted_and_there(package: str) -> None:
    module = importlib.import_module(package)
    assert list(module.__all__) == sorted(module.__all__, key=_as_ruff_sorts)
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_the_root_lists_its_names_and_has_no_others() -> None:
    assert dir(minnorm) == sorted(minnorm.__all__)
    with pytest.raises(AttributeError, match="module 'minnorm' has no attribute 'nothing'"):
        minnorm.nothing  # noqa: B018 - the look-up is what is tested


@pytest.mark.parametrize("module", ["minnorm", "minnorm.cli", "minnorm.specs"])
def test_the_command_line_starts_without_pytorch(module: str) -> None:
    program = f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(done.stdout))
    assert module in loaded
    assert not loaded & {"torch", "torchvision", "timm", "lightning_fabric"}


def test_the_imports_point_up_the_picture() -> None:
    # In a process of its own: the linter sets up logging anew, which silences other loggers.
    project = ROOT.parent.parent
    program = (
        "from importlinter.cli import lint_imports\n"
        "raise SystemExit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=project, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout
