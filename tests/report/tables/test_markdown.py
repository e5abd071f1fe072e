"""Markdown: what is escaped, and how tables are aligned."""

import html
import re

import numpy as np
from markdown_it import MarkdownIt

from minnorm.report.tables.markdown import escaped, markdown_table


def test_a_text_from_outside_is_shown_as_it_is_in_one_line() -> None:
    assert escaped("a|b\n<i>*c*</i> [d](e) `f` & \\g") == (
        "a\\|b\\\\n&lt;i&gt;\\*c\\*&lt;/i&gt; [d\\](e) \\`f\\` & \\\\g"
    )


def test_nothing_is_escaped_that_markdown_shows_as_it_is() -> None:
    for text in ("accuracy at 0.5, 90 % (ddn)", "C&W", "1.0 [0.5, 2]", "step_size", "mnist[:10]"):
        assert escaped(text) == text


def test_markdown_shows_any_text_as_it_is_alone_in_a_sentence_and_in_a_table() -> None:
    markdown = MarkdownIt("commonmark").enable(["table", "strikethrough"])
    parts = [
        *"ab1 -+.[]()!_*`<>&#~|{}:^;",
        "](x)",
        "]: ",
        "[^1]",
        "**",
        "~~",
        "__",
        "&lt",
        "&amp;",
        "<b>",
    ]
    chance = np.random.default_rng(0)
    for _ in range(1000):
        text = "".join(chance.choice(parts, chance.integers(1, 10)))
        text = " ".join(text.split())
        text = text if text.strip("-+") else "a"  # a cell may be `-`
        places = {
            escaped(text): f"<p>{text}</p>",
            f"x {escaped(text)} y": f"<p>x {text} y</p>",
            f"| h |\n|---|\n| {escaped(text)} |": f"<td>{text}</td>",
        }
        for source, expected in places.items():
            shown = markdown.render(source)
            tag = expected[1 : expected.index(">")]
            (inside,) = re.findall(rf"<{tag}>(.*)</{tag}>", shown)
            assert "<" not in inside
            assert f"<{tag}>{html.unescape(inside)}</{tag}>" == expected


def test_a_table_has_texts_to_the_left_and_numbers_to_the_right() -> None:
    assert markdown_table(["name", "kind", "n"], [["a|b", "c", "1"]], texts=2) == (
        "| name | kind | n |\n| :--- | :--- | ---: |\n| a\\|b | c | 1 |\n"
    )
