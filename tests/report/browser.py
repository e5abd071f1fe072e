"""A browser without a window, and pages of which every request and error is kept.

As a script: get a browser if there is none, `make browser`.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
"""Names of a browser that the system may have."""

ADVICE = (
    "the tests need a browser: install one with 'apt install chromium' or "
    "'python -m playwright install chromium'"
)

READY = "document.documentElement.dataset.ready === 'true'"
"""Whether the script of a report has drawn all charts."""


def of_the_system() -> str | None:
    """Return the path of a browser that the system has, `None` if it has none."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launched() -> Iterator[Browser]:
    """Start the browser of the system, or else that of Playwright; without one, the tests fail."""
    # Tests have an empty home, but the browser of Playwright is in the cache of the user's.
    if "PLAYWRIGHT_BROWSERS_PATH" not in os.environ and os.name == "posix":
        import pwd

        home = Path(pwd.getpwuid(os.getuid()).pw_dir)
        os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(home / ".cache" / "ms-playwright")
    program = of_the_system()
    flags = ["--disable-gpu", "--no-first-run", "--disable-background-networking"]
    if os.name == "posix" and os.getuid() == 0:
        flags.append("--no-sandbox")  # Chromium refuses to run as root with it
    with sync_playwright() as playwright:
        browser, reason = None, ""
        try:
            browser = playwright.chromium.launch(executable_path=program, args=flags)
        except Error as error:
            reason = error.message.splitlines()[0]
        if browser is None:
            pytest.fail(f"{ADVICE} ({reason})", pytrace=False)
        yield browser
        browser.close()


@dataclass(frozen=True)
class Opened:
    """A page in the browser.

    Attributes:
        page: The page.
        complaints: What the console says, and errors of scripts.
        requests: The addresses that were requested, without data in the page itself.
    """

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def violations(self) -> list[str]:
        """Return what axe-core finds inaccessible."""
        found = Axe().run(self.page)
        return [
            f"{one['id']}: {one['help']}: {node['target']} {node.get('failureSummary', '')}"
            for one in found.response["violations"]
            for node in one["nodes"]
        ]


@contextmanager
def opened(
    browser: Browser, file: Path, *, width: int = 1280, theme: str = "light", audit: bool = False
) -> Iterator[Opened]:
    """Open a report, and wait until its charts are drawn.

    Args:
        browser: The browser.
        file: The report.
        width: The width of the window in pixels.
        theme: The theme of the system, `light` or `dark`.
        audit: Whether to let axe-core run code in the page, which its policy forbids.
    """
    context = browser.new_context(
        viewport={"width": width, "height": 900},
        color_scheme="dark" if theme == "dark" else "light",
        reduced_motion="reduce",
        bypass_csp=audit,
    )
    page = context.new_page()
    found = Opened(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    page.on("request", lambda request: found.requests.append(request.url))
    page.goto(file.as_uri())
    page.wait_for_function(READY)
    yield found
    context.close()


def _get() -> None:
    """Let Playwright download a browser, unless the system has one."""
    if of_the_system() is None:
        download = [sys.executable, "-m", "playwright", "install", "chromium"]
        if subprocess.run(download, check=False).returncode:
            sys.exit(ADVICE)


if __name__ == "__main__":
    _get()
