"""The documentation: what follows from the code is as the code says."""

import importlib.util
from pathlib import Path

from minnorm.attacks import ENTRIES

DOCS = Path(__file__).parents[1] / "docs"


def test_the_written_pages_are_up_to_date() -> None:
    location = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert location is not None
    assert location.loader is not None
    module = importlib.util.module_from_spec(location)
    location.loader.exec_module(module)
    for name, page in module.PAGES.items():
        assert (DOCS / name).read_text() == page(), "run `make docs`"


def test_the_readme_points_to_the_page_on_attacks() -> None:
    assert "docs/attacks.md" in (DOCS.parent / "README.md").read_text()
    page = (DOCS / "attacks.md").read_text()
    assert all(f"`{name}`" in page for name in ENTRIES)
