"""The pages on attacks: each attack has one, with all its parameters, its costs and its source."""

import inspect
import json
import re
import sys
from pathlib import Path

import pytest

from minnorm.attacks import ENTRIES
from minnorm.attacks.combinators import COMBINATORS
from minnorm.attacks.registry import load_attack

DOCS = Path(__file__).parents[1] / "docs"
SHARED = {"model", "inputs", "labels", "targeted", "levels", "bounds", "mask", "generator"}
"""Parameters of all attacks, which one page shows."""

SECTIONS = ["Idea", "Example", "Parameters", "Cost", "Limits", "Differences", "Source"]


def _page(name: str) -> str:
    """Return the page of an attack or of all combinators."""
    page = "combinators" if name in COMBINATORS else name
    return (DOCS / "attacks" / f"{page}.md").read_text()


@pytest.mark.parametrize("name", ENTRIES)
def test_the_page_of_an_attack_has_all_sections_in_order(name: str) -> None:
    assert re.findall(r"^## (.+)$", _page(name), re.MULTILINE) == SECTIONS


@pytest.mark.parametrize("name", [*ENTRIES, *COMBINATORS])
def test_a_page_describes_each_parameter(name: str) -> None:
    function = ENTRIES[name].function if name in ENTRIES else COMBINATORS[name]
    part = _page(name).split(f"<!-- generated: parameters {name} -->")[1].split("<!-- end -->")[0]
    described = re.findall(r"^\| `(\w+)` \| .+ \| \S.* \|$", part, re.MULTILINE)
    assert described == [key for key in inspect.signature(function).parameters if key not in SHARED]


@pytest.mark.parametrize("name", ENTRIES)
def test_a_page_links_to_the_papers_that_the_code_names(name: str) -> None:
    module = inspect.getdoc(sys.modules[ENTRIES[name].function.__module__]) or ""
    papers = re.findall(r"https://arxiv\.org/abs/[\d.]+\d", module)
    assert papers
    assert [paper for paper in papers if f"<{paper}>" not in _page(name)] == []


def test_the_overview_leads_to_the_page_of_each_attack_and_shows_each_combinator() -> None:
    page = (DOCS / "attacks.md").read_text()
    assert all(f"| [`{name}`](attacks/{name}.md) |" in page for name in ENTRIES)
    assert all(f"| `{name}(" in page for name in COMBINATORS)


def test_each_measured_spec_is_an_attack() -> None:
    measured = json.loads((DOCS / "costs.json").read_text())
    assert measured.keys() == ENTRIES.keys() | COMBINATORS.keys()
    for name, rows in measured.items():
        assert rows
        for row in rows:
            assert load_attack(row["attack"])
        assert any(row["attack"].startswith(name) for row in rows)


def test_the_specs_on_the_pages_are_attacks() -> None:
    specs = [
        spec
        for page in [
            DOCS / "attacks.md",
            *DOCS.glob("attacks/*.md"),
            *DOCS.glob("coming-from/*.md"),
        ]
        for spec in re.findall(r"--attack ('[^']+'|\w+)", page.read_text())
    ]
    assert specs
    for spec in specs:
        assert load_attack(spec.strip("'"))
