"""Findings about random models, from shares of draws made by hand."""

from collections.abc import Sequence

import pyarrow as pa

from evaluation.record_tables import INF, table
from minnorm.evaluation import SCHEMA
from minnorm.evaluation.store.configuration import DrawsEntry
from minnorm.report.findings.finding import Finding
from minnorm.report.findings.findings import findings
from minnorm.report.findings.random_findings import is_random, random_findings
from minnorm.report.runs import LabeledRun
from report.findings.whole_findings import by_kind
from report.made_runs import attack_run, made_run


def random_run(
    distances: Sequence[float], shares: Sequence[float], *, draws: int = 32
) -> LabeledRun:
    """Return a run of a random model whose attack reports a success on each sample."""
    records = table(distances)
    changed = {
        "reported": pa.array([True] * len(distances)),
        "clean_share": pa.array([0.25 if distance == 0 else 0.75 for distance in distances]),
        "adversarial_share": pa.array(list(shares)),
    }
    columns = {name: records.column(name) for name in SCHEMA.names} | changed
    entry = DrawsEntry(draws=draws, seed=0, threshold=0.5, judged=256)
    return LabeledRun("run", made_run(pa.table(columns, schema=SCHEMA), random_draws=entry))


def found(run: LabeledRun) -> dict[str, Finding]:
    return by_kind(random_findings(run))


def test_a_model_that_is_not_random_has_none_of_these_findings() -> None:
    run = attack_run({"ddn": [1.0] * 30})
    assert not is_random(run)
    assert found(run) == {}


def test_the_rule_of_the_draws_and_the_average_shares_are_a_note() -> None:
    run = random_run([0.0, 1.0, 2.0, 3.0], [0.75, 0.5, 0.6, 0.7])
    assert is_random(run)
    assert [*found(run)] == ["random-model"]
    finding = found(run)["random-model"]
    assert finding.level == "note"
    assert "in at least 50 % of 256 draws that no attack has seen" in finding.text
    # Three samples are classified correctly in three of four draws, and one in one of four.
    assert "classified correctly in 62.5 % of these draws" in finding.text
    # That one is misclassified before any attack.
    assert "the closest adversarials are misclassified in 60.0 %" in finding.text


def test_without_a_success_there_is_no_share_of_successes() -> None:
    run = random_run([INF, INF], [0.1, 0.2])
    assert found(run)["random-model"].text.endswith("correctly in 75.0 % of these draws.")


def test_few_draws_are_a_note() -> None:
    assert "few-draws" not in found(random_run([1.0] * 4, [0.6] * 4, draws=16))
    finding = found(random_run([1.0] * 4, [0.6] * 4, draws=8))["few-draws"]
    assert finding.level == "note"
    assert "the average over 8 draws" in finding.text


def test_adversarials_that_hold_in_no_other_draws_are_a_problem() -> None:
    run = random_run([1.0] * 18 + [INF] * 2, [0.6] * 18 + [0.4] * 2)
    finding = found(run)["lost-successes"]
    assert finding.level == "problem"
    assert "Of 20 adversarials that the attack reports, 2 hold in too few draws" in finding.text
    # The finding on wrong flags of any other model would blame the attack.
    assert "wrong-successes" not in {one.kind for one in findings(run)}
    assert "lost-successes" not in found(random_run([1.0] * 19 + [INF], [0.6] * 19 + [0.4]))
