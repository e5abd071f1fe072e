"""Findings from doubts."""

import pytest

from minnorm.doubts import KINDS, Doubt
from minnorm.report.findings.doubt_findings import doubt_findings


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_of_doubt_has_a_title_and_an_advice(kind: str) -> None:
    (finding,) = doubt_findings([Doubt(kind, "This was found.")])
    assert (finding.kind, finding.text) == (kind, "This was found.")
    assert finding.title != "A warning of the run"
    assert finding.advice.endswith(".")


def test_a_doubt_of_an_unknown_kind_is_shown_too() -> None:
    (finding,) = doubt_findings([Doubt("new", "This was found.")])
    assert (finding.level, finding.title) == ("note", "A warning of the run")


def test_texts_are_sentences() -> None:
    texts = ["the slice is unfair.", "theodor has 3 classes."]
    found = [one.text for one in doubt_findings([Doubt("data", text) for text in texts])]
    assert found == ["The slice is unfair.", "theodor has 3 classes."]
