"""The wheel, installed bare: complete, typed, and in need of nothing that it does not declare."""

import importlib.metadata
import os
import subprocess
import sys
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]

PROGRAM = """
import minnorm
from minnorm.models import Normalized

model = minnorm.load_model("zoo:mnist-cnn")
images, labels = minnorm.load_data("mnist-sample[:4]").batch(range(4))
result = minnorm.ddn(model, images, labels, steps=20)
assert result.success.all()
run = minnorm.evaluate(model, (images, labels), "ddn(steps=20)")
assert run.records.num_rows == 4
"""

USER_PROGRAM = """
from functools import partial

import torch
from torch import Tensor

import minnorm
from minnorm.attacks import AttackResult, ddn, worst_case
from minnorm.evaluation import Estimate, median_distance

model: minnorm.Model = minnorm.load_model("zoo:mnist-cnn")
images, labels = minnorm.load_data("mnist-sample").batch(range(4))
attack: minnorm.Attack = worst_case([partial(ddn, steps=20)])
result: AttackResult = attack(model, images, labels, targeted=False)
distances: Tensor = result.distances
run: minnorm.Evaluation = minnorm.evaluate(model, (images, labels), "ddn(steps=20)")
median: Estimate = median_distance(run.records)


def linear(inputs: Tensor) -> Tensor:
    return inputs.flatten(1) @ torch.ones(784, 2)


reveal_type(minnorm.attack(linear, images, labels, budget=10).success)
minnorm.ddn(model, images, labels, steps="many")
"""

pytestmark = pytest.mark.slow


def _closure(requirements: list[str]) -> Iterator[importlib.metadata.Distribution]:
    """Yield the installed distributions that requirements need, directly or not, without extras."""
    seen: set[str] = set()
    left = [(requirement, "") for requirement in requirements]
    while left:
        text, extra = left.pop()
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": extra}):
            continue
        distribution = importlib.metadata.distribution(requirement.name)
        new = {f"{requirement.name}[{extra}]" for extra in ("", *requirement.extras)} - seen
        if f"{requirement.name}[]" in new:
            yield distribution
        for name in new:
            left += [(text, name[:-1].partition("[")[2]) for text in distribution.requires or []]
        seen |= new


def _link(distribution: importlib.metadata.Distribution, site: Path) -> None:
    """Link the modules of an installed distribution, and what describes it, into a folder."""
    for top in {file.parts[0] for file in distribution.files or []} - {"..", "__pycache__"}:
        if not (site / top).exists():
            (site / top).symlink_to(Path(str(distribution.locate_file(top))))


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder)]
    subprocess.run([*command, str(ROOT)], check=True, capture_output=True)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a virtual environment with the wheel, and with what it declares that it needs.

    The distributions are links to those that the tests run with, so this takes no download.
    """
    folder = tmp_path_factory.mktemp("bare")
    venv.create(folder, symlinks=os.name != "nt")
    pip = [sys.executable, "-m", "pip", "--python", str(folder), "install", "--quiet"]
    subprocess.run([*pip, "--no-deps", "--no-index", str(wheel)], check=True, capture_output=True)
    (site,) = folder.glob("[lL]ib/**/site-packages")
    (information,) = site.glob("minnorm-*.dist-info")
    requirements = importlib.metadata.PathDistribution(information).requires or []
    for distribution in _closure(requirements):
        _link(distribution, site)
    return folder


def _program(environment: Path, name: str) -> str:
    return str(environment / ("Scripts" if os.name == "nt" else "bin") / name)


def _run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    package = ROOT / "src"
    expected = {
        str(file.relative_to(package))
        for file in (package / "minnorm").rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }
    assert {name for name in names if ".dist-info/" not in name} == expected
    assert "minnorm/py.typed" in names


def test_the_bare_environment_has_no_extras(environment: Path, tmp_path: Path) -> None:
    program = (
        "import importlib.util as u; extras = 'torchvision timm altair matplotlib pytest'; "
        "print([name for name in extras.split() if u.find_spec(name)])"
    )
    assert _run(_program(environment, "python"), "-c", program, cwd=tmp_path).stdout.strip() == "[]"


def test_the_package_attacks_and_evaluates(environment: Path, tmp_path: Path) -> None:
    program = f"{PROGRAM}\nprint(minnorm.__file__)"
    done = _run(_program(environment, "python"), "-c", program, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert Path(done.stdout.strip()).is_relative_to(environment)


@pytest.mark.parametrize(
    "words",
    [
        ("--help",),
        ("--version",),
        (
            "evaluate",
            "zoo:mnist-cnn",
            "mnist-sample[:2]",
            "--attack",
            "ddn(steps=10)",
            "--out",
            "run",
        ),
    ],
    ids=lambda words: words[0],
)
def test_the_command_line_runs(words: tuple[str, ...], environment: Path, tmp_path: Path) -> None:
    done = _run(_program(environment, "minnorm"), *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_training_names_the_extra_that_it_needs(environment: Path, tmp_path: Path) -> None:
    done = _run(_program(environment, "minnorm"), "train", "mnist-cnn", cwd=tmp_path)
    assert done.returncode == 2
    assert "minnorm[training]" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_strict_type_checker_knows_the_types(environment: Path, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(USER_PROGRAM)
    command = [sys.executable, "-m", "mypy", "--strict", "--no-incremental", "program.py"]
    python = _program(environment, "python")
    done = _run(*command, "--python-executable", python, cwd=tmp_path)
    revealed, wrong, _ = done.stdout.splitlines()
    assert 'Revealed type is "torch._tensor.Tensor"' in revealed
    assert 'Argument "steps"' in wrong
    assert 'expected "int"' in wrong
