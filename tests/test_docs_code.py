"""The code of the documentation: what a reader copies from a page runs as the page says."""

import contextlib
import io
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from code_blocks import OUTPUT, OUTPUT_WITHOUT_NUMBERS, Block, complaints, read_blocks, same_output
from prepared_minnorm import command_in

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.glob("**/*.md")])
BLOCKS = {str(page.relative_to(ROOT)): read_blocks(page.read_text()) for page in PAGES}
RUN = [page for page, blocks in BLOCKS.items() if any(block.is_run for block in blocks)]
_SECONDS = 120


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the `PATH` with the commands of this environment."""
    with command_in(tmp_path_factory.mktemp("bin")) as path:
        yield path


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commands: str) -> Iterator[Path]:
    """Work in an empty folder with the examples, as in a checkout, and import modules from it."""
    shutil.copytree(DOCS / "examples", tmp_path / "docs" / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PATH", commands)
    yield tmp_path
    for name, module in [*sys.modules.items()]:
        if (getattr(module, "__file__", None) or "").startswith(str(tmp_path)):
            del sys.modules[name]


@pytest.mark.parametrize("page", [page for page, blocks in BLOCKS.items() if blocks])
def test_no_block_of_a_page_is_wrong(page: str) -> None:
    found = [f"{page}:{block.line}: {one}" for block in BLOCKS[page] for one in complaints(block)]
    assert not found, "\n".join(found)


def test_most_blocks_are_run() -> None:
    blocks = [block for blocks in BLOCKS.values() for block in blocks]
    code = [block for block in blocks if block.language in ("python", "sh") and not block.file]
    reasons = Counter(block.reason for block in code if block.reason is not None)
    assert sum(reasons.values()) <= len(code) / 3, reasons


@pytest.mark.slow
@pytest.mark.parametrize("page", RUN)
def test_the_code_of_a_page_runs(page: str, folder: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    output = ""
    for block in BLOCKS[page]:
        where = f"{page}:{block.line}"
        if block.file is not None:
            (folder / block.file).parent.mkdir(parents=True, exist_ok=True)
            (folder / block.file).write_text(block.code)
        elif block.is_run:
            output = _run(block, where, names)
        elif block.marker in (OUTPUT, OUTPUT_WITHOUT_NUMBERS):
            exact = block.marker == OUTPUT
            assert same_output(output, block.code, numbers=exact), f"{where}: found\n{output}"


def _run(block: Block, where: str, names: dict[str, Any]) -> str:
    """Run a block, and return its standard output."""
    if block.language == "python":
        # The number of the line in the page is that of a traceback.
        code = "\n" * (block.line - 1) + block.code
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, where, "exec"), names)  # noqa: S102 - our code
        return printed.getvalue()
    done = subprocess.run(
        ["bash", "-e"],
        input=block.code,
        text=True,
        capture_output=True,
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{where}: {done.stdout}\n{done.stderr}"
    return done.stdout
