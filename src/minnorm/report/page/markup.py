"""HTML from templates: everything that comes from outside is escaped, and no other script runs.

Control characters, also those that reverse the direction of writing, are shown as escapes, as in
the terminal, so no name can hide or reorder the text around it.

The page allows the scripts and styles of this package by their hashes (Content Security Policy),
and nothing else: neither inline handlers nor any address.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from minnorm.errors import MissingLibraryError
from minnorm.report import texts
from minnorm.runtime.terminal import printable_lines

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

TEMPLATES = Path(__file__).parent / "templates"


def render(template: str, **values: Any) -> str:
    """Return a template with its values, all escaped.

    Args:
        template: The name of a file in `TEMPLATES`.
        values: What the template names.

    Raises:
        MissingLibraryError: If Jinja2 is not installed.
    """
    return _environment().get_template(template).render(**values)


def asset(name: str) -> str:
    """Return the text of a file in `TEMPLATES`."""
    return (TEMPLATES / name).read_text(encoding="utf-8")


def content_policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """Return a Content Security Policy that allows these texts and images in the page alone.

    Args:
        scripts: The inline scripts.
        styles: The inline style sheets.
    """
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src {' '.join(map(_source, scripts))}",
            f"style-src {' '.join(map(_source, styles))}",
            "img-src data:",
            "base-uri 'none'",
            "form-action 'none'",
        )
    )


def _source(text: str) -> str:
    """Return the source expression by which a Content Security Policy allows an inline text."""
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def embedded_json(value: Any) -> str:
    r"""Return JSON that can stand inside a script element.

    `<`, `>` and `&` are written as `\u003c` and so on, so no text in it can end the element.
    """
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    for letter in "<>&":
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return text


def _breakable(text: str) -> "Markup":
    """Return a name of code as HTML that a narrow table may break before its arguments."""
    from markupsafe import Markup, escape

    return escape(_shown(text)).replace("(", Markup("(<wbr>"))


def _shown(value: Any) -> Any:
    """Return what a template prints of a value; markup stays as it is."""
    # Markup has this method. Templates print the results of macros, too, which are markup.
    return value if hasattr(value, "__html__") else printable_lines(str(value))


def _glued(text: str) -> "Markup":
    """Return a text as HTML in which a number and its percent sign stay on one line."""
    from markupsafe import Markup, escape

    return escape(_shown(text)).replace(" %", Markup("&nbsp;%"))


@cache
def _environment() -> "Environment":
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingLibraryError(
            "reports need Jinja2 and Altair: pip install 'minnorm[report]'"
        ) from error
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["base64"] = lambda content: base64.b64encode(content).decode()
    environment.filters["glued"] = _glued
    environment.filters["attack"] = texts.attack_text
    environment.filters["breakable"] = _breakable
    for name in (
        *("counted", "percent", "percent_of", "percent_interval"),
        *("distance", "distance_of", "distance_interval"),
    ):
        environment.filters[name] = getattr(texts, name)
    return environment
