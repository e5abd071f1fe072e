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
MODULES = sorted(ROOT.rglob("*.py"))
PACKAGES = sorted(
    ".".join(file.parent.relative_to(ROOT.parent).parts) for file in ROOT.rglob("__init__.py")
)
MOST_LINES = {"src": 400, "src/minnorm/attacks/gradient": 250}


def _run(program: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], cwd=cwd, capture_output=True, text=True, check=False
    )


def _sort_key(name: str) -> tuple[int, str]:
    """Return the key of the order in which ruff sorts names: constants, classes, the others."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)


def _public_names(package: str) -> set[str]:
    """Return the names that the source of a package imports from the project or defines."""
    tree = ast.parse((ROOT.parent / package.replace(".", "/") / "__init__.py").read_text())
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minnorm"):
            names |= {alias.asname or alias.name for alias in node.names}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return {name for name in names if not name.startswith("_")}


def test_every_folder_with_code_is_a_package() -> None:
    folders = {file.parent for file in MODULES}
    assert sorted(".".join(f.relative_to(ROOT.parent).parts) for f in folders) == PACKAGES


@pytest.mark.parametrize("package", PACKAGES)
def test_the_exported_names_are_the_documented_ones(package: str) -> None:
    module = importlib.import_module(package)
    if _public_names(package):
        assert set(module.__all__) == _public_names(package)
        assert list(module.__all__) == sorted(module.__all__, key=_sort_key)
        assert all(getattr(module, name) is not None for name in module.__all__)
    else:
        assert not hasattr(module, "__all__") or not module.__all__


@pytest.mark.parametrize("package", [name for name in PACKAGES if name.count(".") == 1])
def test_a_package_lists_its_names_and_not_its_modules(package: str) -> None:
    module = importlib.import_module(package)
    if hasattr(module, "__all__") and package != "minnorm.cli":
        assert dir(module) == sorted(module.__all__)


def test_the_root_lists_its_names_and_has_no_others() -> None:
    assert dir(minnorm) == sorted([*minnorm.__all__, "__version__"])
    with pytest.raises(AttributeError, match="module 'minnorm' has no attribute 'nothing'"):
        minnorm.nothing  # noqa: B018 - the access is what is tested


@pytest.mark.parametrize("module", ["minnorm", "minnorm.cli", "minnorm.specs"])
def test_the_command_line_starts_without_pytorch(module: str) -> None:
    done = _run(f"import {module}, json, sys; print(json.dumps(sorted(sys.modules)))")
    loaded = set(json.loads(done.stdout))
    assert module in loaded
    assert not loaded & {"torch", "torchvision", "timm", "lightning_fabric"}


def test_imports_point_up_the_layers_without_cycles() -> None:
    # In a process of its own: the linter changes the settings of other loggers.
    program = (
        "from importlinter.cli import lint_imports\n"
        "raise SystemExit(lint_imports(config_filename='pyproject.toml', no_cache=True))"
    )
    done = _run(program, cwd=ROOT.parents[1])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "6 kept, 0 broken" in done.stdout


def test_optional_libraries_are_imported_where_they_are_needed_only() -> None:
    optional = {"joblib", "onnx", "onnx2pytorch", "onnxruntime", "pandas", "sklearn"}
    imported = [
        f"{file.relative_to(ROOT)}: {name}"
        for file in MODULES
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in [getattr(node, "module", None), *(alias.name for alias in node.names)]
        if str(name).partition(".")[0] in optional
    ]
    assert not imported


def test_private_names_stay_in_their_module() -> None:
    imported = [
        f"{file.relative_to(ROOT)}: {alias.name}"
        for file in MODULES
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("minnorm")
        for alias in node.names
        if any(part.startswith("_") for part in [*str(node.module).split("."), alias.name])
    ]
    assert not imported


@pytest.mark.parametrize(("folder", "most"), MOST_LINES.items())
def test_no_file_is_too_long(folder: str, most: int) -> None:
    lines = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for file in (ROOT.parents[1] / folder).rglob("*.py")
    }
    assert lines
    assert not {name: count for name, count in lines.items() if count > most}
