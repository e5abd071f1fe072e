"""The answers of the gate in the terminal, in Markdown and in JUnit XML."""

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from evaluation.record_tables import table
from minnorm.doubts import Doubt
from minnorm.report import Verdicts, check
from minnorm.report.decisions.gate_texts import (
    gate_junit,
    gate_markdown,
    gate_table,
    gate_text,
    summary,
    write_markdown,
)
from report.made_runs import made_run
from report.terminals import in_terminal

HOSTILE = "<script>|\x1b[31m*x*"

DISTANCES = [2.0] * 70 + [0.5] * 30

REQUIREMENTS = ["accuracy@1 >= 50%", "accuracy@1 >= 65%", "accuracy@1 >= 90%", "median <= 0.25"]


def answers(*requirements: str, strict: bool = False, warning: str = "") -> Verdicts:
    doubts = (Doubt("nan", warning),) if warning else ()
    return check(made_run(DISTANCES, doubts=doubts), requirements, strict=strict)


def words(text: str) -> str:
    return " ".join(text.split())


def wide(verdicts: Verdicts) -> str:
    """Return the table in a terminal in which no cell needs two lines, without its borders."""
    return words(in_terminal(gate_table(verdicts), 220).replace("│", " | "))


def read(document: bytes) -> ET.Element:
    return ET.fromstring(document)  # noqa: S314 - our own document


def test_the_table_says_what_is_missed_by_how_much_and_what_more_samples_would_do() -> None:
    text = wide(answers(*REQUIREMENTS))
    assert text.startswith("it: at least one requirement is not met")
    assert "| accuracy@1 >= 50% | 70.0 % | 61.6 % to 79.8 % | 100 | met |" in text
    assert (
        "| accuracy@1 >= 65% | 70.0 % | 61.6 % to 79.8 % | 100 | undecided: too few samples, "
        in text
    )
    assert "| 100 | not met, missed by 20.0 points |" in text
    assert "| median <= 0.25 | 2.0000 | 2.0000 to 2.0000 |" not in text
    assert "| 100 | not met, missed by 1.7500 |" in text
    assert "95 % confidence for all samples like these 100." in text
    assert (
        "A model that meets all 4 requirements fails with a probability of at most 5 %, and one "
        "that does not passes with at most 5 %." in text
    )
    assert "approximate" not in text


def test_the_table_says_what_is_approximate_and_counts_one_requirement() -> None:
    text = wide(answers("mean >= 1"))
    assert "A model that meets the requirement fails with a probability of about 5 %" in text
    assert "are approximate." in text


def test_requirements_that_depend_on_no_model_are_named() -> None:
    text = wide(answers("accuracy@1 >= 0%", "success > 100%", "success >= 100%"))
    assert "| met: always true |" in text
    assert "| not met: never true |" in text
    # 100 of 100 attacks succeed, which proves only that nearly all do.
    assert "| undecided: no number of samples proves it: change the limit" in text
    assert "| met |" in wide(check(made_run(DISTANCES), ["success >= 100%"], confidence=None))


def test_a_run_that_repeats_its_baseline_passes_whatever_its_number_of_samples() -> None:
    run = made_run([1.0, 2.0, 0.0])
    answer = check(run, ["median"], baseline=made_run([1.0, 2.0, 0.0]), no_worse_than=0.0)
    assert "The run repeats the baseline" in wide(answer)
    assert answer.outcome == "met"
    for other in (made_run([1.0, 2.5, 0.0]), made_run([1.0, 2.0, 0.0], model_fingerprint="2")):
        answer = check(run, ["median"], baseline=other, no_worse_than=0.0)
        assert "repeats" not in wide(answer)
        assert answer.outcome == "undecided"


def test_the_text_for_logs_has_the_warnings_below_the_table() -> None:
    text = gate_text(answers("accuracy@1 >= 50%", warning=HOSTILE))
    assert text.splitlines()[-1] == "Warning: <script>|\\x1b[31m*x*"
    assert max(len(line) for line in text.splitlines()) <= 110


def test_no_letter_is_lost_in_a_narrow_terminal() -> None:
    text = in_terminal(gate_table(answers(*REQUIREMENTS)), 60)
    assert "…" not in text
    assert max(len(line) for line in text.splitlines()) <= 60


def test_changes_from_a_baseline_have_signs_and_units() -> None:
    a, b = made_run(DISTANCES), made_run([0.5 * one for one in DISTANCES], model="zoo:b")
    verdicts = check(b, ["accuracy@1", "median"], baseline=a, no_worse_than=0.02)
    text = wide(verdicts)
    assert "-70.0 points" in text
    assert "-50.0 %" in text
    assert "missed by 68.0 points" in text
    assert "missed by 48.0 %" in text
    assert "Baseline: it." in text


def test_measured_numbers_have_no_bounds() -> None:
    verdicts = check(made_run(DISTANCES), ["accuracy@1 >= 70%"], confidence=None)
    text = wide(verdicts)
    assert "| 70.0 % | | 100 | met |" in text
    assert "The numbers of these 100 samples count as they are." in text


def test_what_no_number_of_samples_tells_has_a_reason() -> None:
    limited = made_run(table([math.inf], radius_limit=0.5))
    verdicts = check(limited, ["accuracy@1 >= 50%"], confidence=None)
    text = wide(verdicts)
    assert "| undecided: an attack that failed did not search beyond 0.5 |" in text
    assert summary(verdicts) == "the run cannot tell"
    assert summary(answers("accuracy@1 >= 70%")) == "too few samples to tell"


def test_markdown_has_the_same_rows_and_formats_nothing_from_outside() -> None:
    text = gate_markdown(answers(*REQUIREMENTS, warning=HOSTILE))
    lines = text.splitlines()
    assert lines[0] == "**it: at least one requirement is not met**"
    assert [line.count(" | ") for line in lines[2:8]] == [4] * 6
    assert lines[6].startswith("| accuracy@1 &gt;= 90% | 70.0 % | ")
    assert "- Warning: &lt;script&gt;\\|\\\\x1b[31m\\*x\\*" in lines
    assert "<script>" not in text


def test_markdown_is_added_to_the_summary_of_a_job_and_replaces_other_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = answers("accuracy@1 >= 50%")
    file, job = tmp_path / "gate.md", tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(job))
    for path in (file, job):
        path.write_text("earlier\n")
        write_markdown(verdicts, path)
    assert file.read_text() == gate_markdown(verdicts)
    assert job.read_text() == f"earlier\n{gate_markdown(verdicts)}\n"


def test_junit_has_a_case_for_each_requirement() -> None:
    suite = read(gate_junit(answers(*REQUIREMENTS)))
    assert (suite.tag, suite.get("tests")) == ("testsuite", "4")
    assert (suite.get("failures"), suite.get("errors")) == ("2", "1")
    cases = {case.get("name"): [child.tag for child in case] for case in suite}
    assert cases == {
        "accuracy@1 >= 50%": [],
        "accuracy@1 >= 65%": ["error"],
        "accuracy@1 >= 90%": ["failure"],
        "median <= 0.25": ["failure"],
    }
    failure = suite.find("testcase/failure")
    assert failure is not None
    message = failure.get("message")
    assert message is not None
    assert message.startswith("measured: 70.0 %; bounds: ")
    assert message.endswith("answer: not met, missed by 20.0 points")


def test_warnings_are_a_failing_case_only_if_strict() -> None:
    lenient = read(gate_junit(answers("accuracy@1 >= 50%", warning=HOSTILE)))
    assert (lenient.get("failures"), len(lenient.findall("testcase"))) == ("0", 1)
    assert lenient.findtext("system-out") == "Warning: <script>|\\x1b[31m*x*"
    verdicts = answers("accuracy@1 >= 50%", strict=True, warning=HOSTILE)
    strict = read(gate_junit(verdicts))
    assert (strict.get("tests"), strict.get("failures")) == ("2", "1")
    assert strict[1].get("name") == "no warnings"
    assert summary(verdicts) == "the run has warnings, which --strict does not allow"


def test_an_answer_that_may_be_worth_nothing_says_so_everywhere() -> None:
    broken = check(made_run([math.inf] * 40), ["median >= 5"])
    assert summary(broken) == "all requirements are met, but there are warnings"
    assert summary(check(made_run([2.0] * 40), ["median >= 1"])) == "all requirements are met"
    suite = read(gate_junit(broken))
    for text in (gate_text(broken), gate_markdown(broken), suite.findtext("system-out") or ""):
        assert "Warning: ddn fails on some samples. " in text
        assert "found no adversarial on 40 of 40 samples" in text
    assert "but there are warnings" in gate_markdown(broken).splitlines()[0]


def test_names_from_outside_are_text_everywhere() -> None:
    run = made_run(table(DISTANCES, attack=HOSTILE), model=f"zoo:{HOSTILE}")
    verdicts = check(run, [f"accuracy@1 of {HOSTILE} >= 90%"])
    suite = read(gate_junit(verdicts))
    assert suite[0].get("classname") == "<script>|\\x1b[31m*x*"
    assert "\x1b" not in gate_text(verdicts)
    assert "\x1b" not in gate_markdown(verdicts)
    assert "<script>" not in gate_markdown(verdicts)
    rows = [line for line in gate_markdown(verdicts).splitlines() if line.startswith("| accuracy")]
    assert rows[0].replace("\\|", "").count("|") == 6


SUITE = {"name", "tests", "failures", "errors", "time"}
CASE = {"name", "classname", "time"}


def check_junit(document: bytes) -> ET.Element:
    """Check a document by the rules of the XML Schema that build servers use for JUnit."""
    suite = read(document)
    assert suite.tag == "testsuite"
    assert set(suite.attrib) == SUITE
    tags = [child.tag for child in suite]
    order = ["properties", "testcase", "system-out", "system-err"]
    assert tags == sorted(tags, key=order.index)
    assert tags.count("system-out") <= 1
    cases = suite.findall("testcase")
    for case in cases:
        assert set(case.attrib) == CASE
        assert case.get("name")
        assert case.get("classname")
        assert float(case.attrib["time"]) >= 0
        assert [child.tag for child in case] in ([], ["failure"], ["error"])
        for child in case:
            assert set(child.attrib) == {"type", "message"}
            assert child.text
    assert int(suite.attrib["tests"]) == len(cases)
    for name, tag in (("failures", "failure"), ("errors", "error")):
        assert int(suite.attrib[name]) == sum(case.find(tag) is not None for case in cases)
    allowed = re.compile("[\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]*")
    assert allowed.fullmatch(document.decode())
    return suite


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", ["it", HOSTILE, "\x00\x07\x7f\ufffe\udc80\u202e]]>&\"'<"])
def test_junit_follows_the_schema_whatever_names_hold(name: str, strict: bool) -> None:
    run = made_run(
        table(DISTANCES, attack="ddn"), model=f"zoo:{name}" if "\udc80" not in name else "zoo:it",
        doubts=[Doubt("nan", name)],
    )  # fmt: skip
    suite = check_junit(gate_junit(check(run, REQUIREMENTS, strict=strict)))
    assert len(suite.findall("testcase")) == len(REQUIREMENTS) + strict
    assert check_junit(gate_junit(check(run, REQUIREMENTS[:1], strict=False))).get("errors") == "0"
