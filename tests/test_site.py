"""The documentation site: it builds without a warning, and asks no other host for anything."""

import functools
import http.server
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from report.browser import launched

ROOT = Path(__file__).parents[1]
PATHS = ["index.html", "getting-started/index.html", "attacks/index.html", "api/attacks/index.html"]

OF_THE_THEME = {
    "aria-dialog-name",
    "empty-table-header",
    "landmark-unique",
    "scrollable-region-focusable",
}
"""What axe-core finds in all sites of Material for MkDocs."""

pytestmark = pytest.mark.slow


class _Quiet(http.server.SimpleHTTPRequestHandler):
    """A handler that writes no log."""

    def log_message(self, *_: object) -> None:
        """Write nothing."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning fails the tests."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "-d", str(folder)]
    variables = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Serve the site: its search does not work from files."""
    handler = functools.partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as found:
        yield found


@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_pages_are_quiet_accessible_and_ask_no_other_host(
    browser: Browser, address: str, width: int, theme: str
) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
    )
    page = context.new_page()
    heard: list[str] = []
    page.on("console", lambda message: heard.append(message.text))
    page.on("pageerror", lambda error: heard.append(str(error)))
    page.on("request", lambda request: heard.append(request.url))
    for path in PATHS:
        page.goto(address + path)
        overflow = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
        assert not page.evaluate(overflow), path
        violations = Axe().run(page).response["violations"]
        assert {one["id"] for one in violations} <= OF_THE_THEME, path
    assert not [text for text in heard if not text.startswith((address, "data:", "blob:"))]
    context.close()


def test_a_search_finds_the_page_of_a_command(browser: Browser, address: str) -> None:
    page = browser.new_page()
    page.goto(f"{address}?q=gate+baseline+confidence")
    links = page.locator(".md-search-result__link")
    links.first.wait_for(timeout=60_000)
    assert any("/gate/" in (link.get_attribute("href") or "") for link in links.all()[:3])
    page.close()
