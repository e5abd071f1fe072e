"""Markup: text from outside stays text, and the policy allows this page's scripts alone."""

import base64
import hashlib
import json
import math
import re
import sys

import pytest

from minnorm.errors import MissingLibraryError
from minnorm.report.page import markup
from minnorm.report.page.markup import TEMPLATES, asset, content_policy, embedded_json, render

HOSTILE = "</script><!--<script>&\u2028'\""


def test_json_inside_a_script_element_cannot_end_it() -> None:
    text = embedded_json({"name": HOSTILE, "number": 0.1})
    assert not re.search(r"[<>&\u2028]", text)
    assert json.loads(text) == {"name": HOSTILE, "number": 0.1}


def test_nan_is_no_json() -> None:
    with pytest.raises(ValueError, match="JSON"):
        embedded_json([math.nan])


def test_the_policy_names_the_hash_of_each_text_and_nothing_else() -> None:
    policy = content_policy(scripts=["a()", "b()"], styles=["p {}"])
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))

    def source(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert rules == {
        "default-src": "'none'",
        "script-src": f"{source('a()')} {source('b()')}",
        "style-src": source("p {}"),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }


def test_templates_escape_what_they_show() -> None:
    panel = {"id": "run-1", "findings": [
        {"level": "note", "title": HOSTILE, "text": HOSTILE, "advice": HOSTILE}
    ]}  # fmt: skip
    text = render("findings.html.j2", panel=panel, h="h2", h_below="h3")
    assert HOSTILE not in text
    assert text.count("&lt;/script&gt;&lt;!--&lt;script&gt;&amp;") == 3


def test_control_characters_are_shown_as_escapes() -> None:
    name = "a\u202eb\x1b[31m\udcff c"
    panel = {"id": "run-1", "findings": [
        {"level": "note", "title": name, "text": f"{name} 5 %\nnext", "advice": ""}
    ]}  # fmt: skip
    text = render("findings.html.j2", panel=panel, h="h2", h_below="h3")
    assert text.count(r"a\u202eb\x1b[31m\udcff c") == 2
    assert "5&nbsp;%\nnext" in text
    text.encode()


def test_no_template_trusts_more_than_the_files_of_the_package() -> None:
    trusted = [
        found
        for file in sorted(TEMPLATES.glob("*.j2"))
        for found in re.findall(r"\{\{([^}]*)\|\s*safe", file.read_text())
    ]
    allowed = {"style", "data", "library", "behavior", "' class=\"several\"'"}
    assert {one.strip() for one in trusted} == allowed


def test_no_template_has_a_handler_or_an_inline_style() -> None:
    for file in sorted(TEMPLATES.glob("*.j2")):
        assert not re.search(r"\s(on[a-z]+|style)=", file.read_text()), file.name
    assert "innerHTML" not in asset("page.js")
    assert "url(" not in asset("page.css")


def test_a_missing_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    markup._environment.cache_clear()
    with pytest.raises(MissingLibraryError, match=r"pip install 'minnorm\[report\]'"):
        render("findings.html.j2")
