"""The documentation: generated pages are up to date, links lead somewhere, the API is complete."""

import json
import re
import textwrap
from pathlib import Path
from typing import Any

import pathspec
import pytest
import yaml

import minnorm
from attacks.networks import problem
from code_blocks import read_blocks
from minnorm.attacks import AttackResult
from minnorm.paper import experiment_names, load_experiment
from scripts import script

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.glob("**/*.md"), *ROOT.glob("benchmarks/*.md")])
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)[^)]*\)")
API = ("attacks", "evaluation", "report", "models", "data", "training", "paper")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_generated_pages_are_up_to_date() -> None:
    for name, page in script("docs/generate.py").PAGES.items():
        assert (DOCS / name).read_text() == page(), "run `make docs`"


def test_results_become_parts_of_pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    generate = script("docs/generate.py")
    monkeypatch.setattr(generate, "DOCS", tmp_path / "docs")
    monkeypatch.setattr(generate, "RESULTS", tmp_path)
    folder = tmp_path / "table5"
    folder.mkdir()
    (folder / "page.md").write_text("")
    number = {"value": 0.5, "low": 0.4, "high": 0.6}
    row = {
        "setting": "MNIST DDN",
        "name": "All",
        "attack": None,
        "images": 1200,
        "clean_accuracy": {"value": 0.99},
        "ours": {"mean": {"value": 2.5}, "accuracy@1.5": number, "success": number},
        "paper": {"mean": 2.4497, "accuracy@1.5": 0.872},
    }
    settings = [{"name": "MNIST DDN", "model": "zoo:x", "not_run": {}, "unfinished": {"a": "b"}}]
    machine = {"hardware": {"gpu": "A GPU"}}
    content = {"rows": [row], "settings": settings, "runs": [{"sessions": [machine]}], "claims": []}
    (folder / "results.json").write_text(json.dumps(content))
    beside = generate.beside("table5", "MNIST DDN")
    assert "| attack | images | success % | mean L2 | the paper's mean L2 |" in beside
    assert "| All | 1,200 | 50.0 | 2.5000 | 2.4497 |" in beside
    assert generate.beside("table5", "other") == "Not run yet."
    assert generate.defenses("table6") == "Not run yet."
    defenses = generate.defenses("table5")
    assert "| `zoo:x` | the paper's three | 1,200 | 99.0 | 2.5000 | 50.0 |" in defenses
    assert "| the paper's, for MNIST DDN | the paper's three |  |  | 2.4497 | 87.2 |" in defenses
    assert "A GPU; not finished |" in generate.results()
    assert "| table1 | DDN with 100 steps is better" in generate.claims()
    not_run = [name for name in experiment_names() if name != "table5"]
    not_measured = [one for name in not_run for one in load_experiment(name, "cpu").claims]
    papers = [claim for claim in not_measured if claim.by == "paper"]
    assert f"| claims of the paper | 0 | 0 | 0 | {len(papers)} |" in generate.verdicts()
    page = tmp_path / "page.md"
    page.write_text("<!-- generated: beside table5 MNIST DDN -->\n<!-- end -->")
    assert "| All | 1,200 |" in generate.updated(page)


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_between_pages_lead_to_files(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert not [link for link in links if not (page.parent / link).exists()]


def test_the_readme_links_to_the_page_on_attacks() -> None:
    assert "docs/attacks.md" in LINK.findall((ROOT / "README.md").read_text())


@pytest.mark.parametrize("package", API)
def test_the_pages_on_the_api_name_everything_public(package: str) -> None:
    page = (DOCS / "api" / f"{package}.md").read_text()
    documented = re.findall(rf"^::: minnorm\.{package}\.(\w+)$", page, re.MULTILINE)
    assert sorted(documented) == sorted(getattr(minnorm, package).__all__)


def test_the_names_of_the_package_link_to_the_api() -> None:
    html = script("docs/hooks.py").on_page_content("<p>See <code>minnorm.attack</code></p>")
    assert (
        '<autoref identifier="minnorm.attack" optional><code>minnorm.attack</code></autoref>'
        in html
    )


@pytest.mark.parametrize(
    "html",
    [
        '<a href="x"><code>minnorm.attack</code></a>',
        '<h3 id="x"><code>minnorm.attack</code></h3>',
        "<pre><code>minnorm.attack</code></pre>",
        "<code>minnorm evaluate</code>",
        "<code>minnorm</code>",
    ],
)
def test_no_other_code_becomes_a_link(html: str) -> None:
    assert script("docs/hooks.py").on_page_content(html) == html


def test_the_navigation_has_every_page_once() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    found = sorted(_leaves(configuration["nav"]))
    outside = set(script("docs/hooks.py").pages_outside(ROOT))
    assert {"changelog.md", "contributing.md", "security.md", "results/cw-search.md"} <= outside
    assert found == sorted({str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md")} | outside)


def test_the_site_has_pages_styles_and_images_only() -> None:
    configuration = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    excluded = pathspec.GitIgnoreSpec.from_lines(configuration["exclude_docs"].splitlines())
    files = {str(path.relative_to(DOCS)) for path in DOCS.rglob("*") if path.is_file()}
    files.add("__pycache__/hooks.cpython-311.pyc")  # what Python writes when the site is built
    kept = [file for file in files if not excluded.match_file(file)]
    assert {Path(file).suffix for file in kept} == {".md", ".css", ".svg"}
    assert not [file for file in kept if file.startswith("examples")]


def _leaves(entry: Any) -> list[str]:
    """Return the pages below an entry of the navigation."""
    if isinstance(entry, str):
        return [entry]
    below = entry.values() if isinstance(entry, dict) else entry
    return [page for one in below for page in _leaves(one)]


def test_the_workflow_on_the_page_about_gates_is_the_file_to_copy() -> None:
    blocks = read_blocks((DOCS / "gate.md").read_text())
    (shown,) = (block.code for block in blocks if block.title == "robustness.yml")
    assert shown == (DOCS / "examples" / "robustness.yml").read_text()


def test_the_example_of_an_attack_finds_adversarials() -> None:
    (block,) = read_blocks((ROOT / "CONTRIBUTING.md").read_text())
    names: dict[str, Any] = {}
    exec(compile(textwrap.dedent(block.code), "CONTRIBUTING.md", "exec"), names)  # noqa: S102 - our code
    model, inputs, labels = problem((3, 4, 4))
    result: AttackResult = names["plain"](model, inputs, labels)
    assert result.success.all()
