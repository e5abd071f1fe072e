"""Markdown: what is escaped, and how tables are aligned."""

from minnorm.report.tables.markdown import escaped, markdown_table


def test_a_text_from_outside_is_shown_as_it_is_in_one_line() -> None:
    assert escaped("a|b\n<i>*c*</i> [d](e) `f` & \\g") == (
        "a\\|b\\\\n&lt;i&gt;\\*c\\*&lt;/i&gt; \\[d\\](e) \\`f\\` &amp; \\\\g"
    )
    assert escaped("accuracy at 0.5, 90 % (ddn)") == "accuracy at 0.5, 90 % (ddn)"


def test_a_table_has_texts_to_the_left_and_numbers_to_the_right() -> None:
    assert markdown_table(["name", "kind", "n"], [["a|b", "c", "1"]], texts=2) == (
        "| name | kind | n |\n| :--- | :--- | ---: |\n| a\\|b | c | 1 |\n"
    )
