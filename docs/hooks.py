"""Hooks of the site's build: pages from outside of docs, and links that lead there.

Pages are written for a reader of the checkout, with links to files anywhere in it. On the site, a
link to a file that is not part of it leads to the repository.
"""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT_PAGES = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
"""Files in the root of the checkout that are pages of the site, and their names there."""

_RESULTS = re.compile(r"experiments/results/cpu/([\w-]+)/page\.md")
"""The pages of the experiments of the paper, which are pages of the site, too."""

_LAST_IN_SEARCH = "---\nsearch:\n  boost: 0.1\n---\n\n"
"""What makes a page the last result of a search: the changelog has all words."""

_WIDE = re.compile(r"results(/[\w-]+)?\.md")
"""The pages without a table of contents, so that there is room for wide tables."""

_LINK = re.compile(r"(?<=\]\()(?!\w+:|#|/)([^)#\s]+)")
_IMAGES = (".svg", ".png", ".webp")
_NAME = re.compile(r"<(a|autoref|pre|h\d)\b.*?</\1>|<code>(minnorm(?:\.\w+)+)</code>", re.DOTALL)
"""A name of the package in the text of a page; the first part skips links, headings and blocks."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages from outside of the folder of the pages."""
    root = _root(config)
    for name, source in pages_outside(root).items():
        content = (root / source).read_text()
        if name == "changelog.md":
            content = _LAST_IN_SEARCH + content
        page = File.generated(config, name, content=content)
        page.edit_uri = f"../{source}"
        files.append(page)
    return files


def pages_outside(root: Path) -> dict[str, str]:
    """Return the pages that are outside of docs: their files, by their names on the site.

    Args:
        root: The root of the checkout.
    """
    results = [
        page.relative_to(root).as_posix()
        for page in sorted(root.glob("experiments/results/cpu/*/page.md"))
    ]
    return {name: source for source in (*ROOT_PAGES, *results) if (name := _outside(source))}


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Replace the links that lead out of the folder of the pages."""
    uri = page.file.src_uri
    if _WIDE.fullmatch(uri):
        page.meta["hide"] = ["toc"]
    edited = page.file.edit_uri or uri
    place = posixpath.normpath(posixpath.join("docs", edited))
    return _LINK.sub(lambda link: _target(link[1], place, uri, config, files), markdown)


def on_page_content(html: str, **_: object) -> str:
    """Link the names of the package to their entries on the pages of the API, if they have one."""
    return _NAME.sub(_linked, html)


def _linked(name: re.Match[str]) -> str:
    if name[2] is None:
        return name[0]
    return f'<autoref identifier="{name[2]}" optional>{name[0]}</autoref>'


def _target(link: str, place: str, uri: str, config: MkDocsConfig, files: Files) -> str:
    """Return what a link on a page leads to on the site.

    Args:
        link: The link as written: a path relative to the file of the page.
        place: The file of the page, relative to the root of the checkout.
        uri: The page, relative to the root of the site's pages.
        config: The configuration of the site.
        files: The files of the site.
    """
    path = posixpath.normpath(posixpath.join(posixpath.dirname(place), link))
    inside = _outside(path) or (path.removeprefix("docs/") if path.startswith("docs/") else None)
    if inside is not None and files.get_file_from_path(inside):
        return posixpath.relpath(inside, posixpath.dirname(uri) or ".")
    file = _root(config) / path
    if path.startswith("..") or not file.exists():
        return link  # the strict build refuses it
    if file.suffix in _IMAGES:
        copied = f"images/{path}"
        if files.get_file_from_path(copied) is None:
            files.append(File.generated(config, copied, abs_src_path=str(file)))
        return posixpath.relpath(copied, posixpath.dirname(uri) or ".")
    kind = "tree" if file.is_dir() else "blob"
    return f"{config.repo_url}/{kind}/main/{path}"


def _outside(path: str) -> str | None:
    """Return the name on the site of a page from outside of the folder of the pages."""
    found = _RESULTS.fullmatch(path)
    return f"results/{found[1]}.md" if found else ROOT_PAGES.get(path)


def _root(config: MkDocsConfig) -> Path:
    """Return the root of the checkout."""
    return Path(config.docs_dir).parent
