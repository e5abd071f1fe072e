"""The documentation: generated pages are up to date, links lead somewhere, and the README runs."""

import importlib.util
import re
import textwrap
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from attacks.networks import problem
from minnorm.attacks import ENTRIES, AttackResult
from minnorm.attacks.combinators import COMBINATORS
from minnorm.attacks.registry import load_attack

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")
CODE = re.compile(r"^ *```python\n(.*?)^ *```", re.MULTILINE | re.DOTALL)


def _generator() -> ModuleType:
    location = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    return module


def test_the_generated_pages_are_up_to_date() -> None:
    for name, page in _generator().PAGES.items():
        assert (DOCS / name).read_text() == page(), "run `make docs`"


def test_the_page_on_attacks_names_all_attacks_and_combinators() -> None:
    page = (DOCS / "attacks.md").read_text()
    assert all(f"| `{name}` |" in page for name in ENTRIES)
    assert all(f"| `{name}(" in page for name in COMBINATORS)
    assert load_attack("carlini_wagner(searches=4, steps=25, step_size=0.3, initial_constant=1)")
    assert "carlini_wagner(searches=4, steps=25, step_size=0.3, initial_constant=1)" in page


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_readme_links_to_the_page_on_attacks() -> None:
    assert "docs/attacks.md" in LINK.findall((ROOT / "README.md").read_text())


def test_the_example_of_an_attack_finds_adversarials() -> None:
    (block,) = CODE.findall((ROOT / "CONTRIBUTING.md").read_text())
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(block), "CONTRIBUTING.md", "exec"), names)  # noqa: S102 - our code
    model, inputs, labels = problem((3, 4, 4))
    result: AttackResult = names["plain"](model, inputs, labels)
    assert result.success.all()


@pytest.mark.slow
def test_the_python_blocks_of_the_readme_run_in_order() -> None:
    names: dict[str, object] = {}
    # Eight images show what a hundred show.
    readme = re.sub(r"mnist-sample\[:\d+\]", "mnist-sample[:8]", (ROOT / "README.md").read_text())
    for block in CODE.findall(readme.replace("range(100)", "range(8)")):
        exec(compile(block, "README.md", "exec"), names)  # noqa: S102 - our code
    assert {"result", "attack", "noise", "run", "fast"} <= names.keys()
