"""The gate: what is met, what is not, and what cannot be told."""

import math

import numpy as np
import pyarrow as pa
import pytest

from evaluation.record_tables import table
from minnorm.doubts import Doubt
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation, Records
from minnorm.report import check
from minnorm.report.decisions.requirements import Metric, Requirement, read
from minnorm.report.findings.findings import findings
from minnorm.report.runs import label_runs
from report.made_runs import made_run, shares

INF = math.inf


def outcome(
    run: Evaluation | list[float] | Records, *requirements: str, confidence: float | None = 0.95
) -> str:
    one = run if isinstance(run, Evaluation) else made_run(run)
    return check(one, requirements, confidence=confidence).outcome


@pytest.mark.parametrize(
    ("requirement", "few", "many", "measured"),
    [
        ("accuracy@1 >= 60%", "undecided", "met", "met"),
        ("accuracy@1 >= 80%", "undecided", "not met", "not met"),
        ("accuracy@1 <= 80%", "undecided", "met", "met"),
        ("accuracy@1 <= 60%", "undecided", "not met", "not met"),
        ("accuracy@1 >= 70%", "undecided", "undecided", "met"),
        ("accuracy@1 > 70%", "undecided", "undecided", "not met"),
        ("accuracy@1 >= 20%", "met", "met", "met"),
        ("accuracy@1 >= 99%", "not met", "not met", "not met"),
        ("clean_accuracy >= 50%", "met", "met", "met"),
        ("success <= 99.9%", "undecided", "undecided", "not met"),
        ("median >= 1.9", "undecided", "met", "met"),
        ("median < 0.5", "not met", "not met", "not met"),
        ("median_linf >= 0.95", "undecided", "met", "met"),
        ("mean >= 1", "met", "met", "met"),
        ("mean >= 1.7", "undecided", "not met", "not met"),
    ],
)
def test_the_answer_depends_on_the_number_of_samples(
    requirement: str, few: str, many: str, measured: str
) -> None:
    assert outcome(shares(14, 20), requirement) == few
    assert outcome(shares(700, 1000), requirement) == many
    assert outcome(shares(14, 20), requirement, confidence=None) == measured


def test_the_bounds_of_an_answer_are_exact() -> None:
    # 20 of 20: the share is at least 0.05 ** (1 / 20) with 95 % confidence.
    (verdict,) = check(made_run(shares(20, 20)), ["accuracy@1 >= 86%"]).verdicts
    assert verdict.low == pytest.approx(0.05 ** (1 / 20))
    assert (verdict.value, verdict.high, verdict.outcome, verdict.count) == (1, 1, "met", 20)
    # None of 20, one of 4 requirements: at most 1 - (0.05 / 4) ** (1 / 20).
    verdicts = check(made_run(shares(0, 20)), ["accuracy@1 >= 21%"] + 3 * ["success >= 0"]).verdicts
    assert verdicts[0].high == pytest.approx(1 - (0.05 / 4) ** (1 / 20))
    assert verdicts[0].outcome == "not met"


def test_more_requirements_do_not_fail_a_model_more_often() -> None:
    run = made_run(shares(52, 100))
    assert outcome(run, "accuracy@1 >= 61%") == "not met"
    assert outcome(run, "accuracy@1 >= 61%", *["accuracy@1 >= 0.1"] * 9) == "undecided"


def test_one_requirement_that_is_not_met_decides() -> None:
    run = made_run(shares(70, 100))
    verdicts = check(run, ["accuracy@1 >= 10%", "accuracy@1 >= 71%", "accuracy@1 >= 99%"])
    assert [one.outcome for one in verdicts.verdicts] == ["met", "undecided", "not met"]
    assert verdicts.outcome == "not met"
    assert outcome(run, "accuracy@1 >= 10%", "accuracy@1 >= 71%") == "undecided"


def test_the_closest_of_all_attacks_counts_unless_one_is_named() -> None:
    records = pa.concat_tables(
        [table(shares(100, 100)), table(shares(10, 100), attack="fmn(steps=3)")]
    )
    assert outcome(records, "accuracy@1 >= 50%") == "not met"
    assert outcome(records, "accuracy@1 of ddn >= 50%") == "met"
    assert outcome(records, "accuracy@1 of fmn( steps = 3 ) >= 50%") == "not met"
    with pytest.raises(InputError, match=r"unknown attack 'dnd' .* Did you mean 'ddn'\?"):
        outcome(records, "accuracy@1 of dnd >= 50%")


def test_several_norms_need_a_choice() -> None:
    records = pa.concat_tables(
        [table(shares(9, 10)), table(shares(9, 10), attack="fmn", norm="linf")]
    )
    with pytest.raises(InputError, match=r"minimize l2 and linf: .* example 'accuracy_l2@0.3'"):
        outcome(records, "accuracy@0.3 >= 50%")
    assert outcome(records, "accuracy_linf@0.1 >= 50%", "accuracy@0.1 of ddn >= 0.5") == "met"
    assert outcome(records, "clean_accuracy >= 50%") == "met"


@pytest.mark.parametrize("confidence", [0.95, None])
def test_beyond_the_radius_of_an_attack_nothing_passes(confidence: float | None) -> None:
    run = made_run(table([INF] * 55 + [0.1] * 45, radius_limit=0.25))
    verdicts = check(
        run,
        ["accuracy@1 >= 30%", "accuracy@1 >= 90%", "accuracy@1 <= 80%", "accuracy@0.25 >= 30%",
         "median >= 0.25", "median >= 0.5", "median <= 0.5"],
        confidence=confidence,
    ).verdicts  # fmt: skip
    found = {str(one.requirement): one.outcome for one in verdicts}
    if confidence is not None:
        assert found.pop("median >= 0.25") == "undecided"  # 45 of 100 nearer might be 50
    assert found == {
        "accuracy@1 >= 30%": "undecided",
        "accuracy@1 >= 90%": "not met",  # it is at most that at 0.25
        "accuracy@1 <= 80%": "met",
        "accuracy@0.25 >= 30%": "met",
        "median >= 0.5": "undecided",
        "median <= 0.5": "undecided",
        **({} if confidence else {"median >= 0.25": "met"}),
    }
    assert verdicts[0].reason == "an attack that failed did not search beyond 0.25"
    assert verdicts[0].needed is None


def test_failures_count_as_infinitely_far_if_an_attack_has_no_limit() -> None:
    assert outcome([INF] * 40, "median >= 5", "accuracy@100 >= 90%") == "met"
    verdicts = check(made_run([INF] * 40), ["mean >= 5"]).verdicts
    assert (verdicts[0].outcome, verdicts[0].reason) == ("undecided", "the attack never succeeded")


def test_warnings_fail_a_strict_gate_alone() -> None:
    run = made_run(shares(90, 100), doubts=(Doubt("nan", "The model returns NaN."),))
    verdicts = check(run, ["accuracy@1 >= 50%"])
    assert (verdicts.outcome, verdicts.warnings) == ("met", ("The model returns NaN.",))
    strict = check(run, ["accuracy@1 >= 50%"], strict=True)
    assert (strict.outcome, strict.verdicts[0].outcome) == ("not met", "met")
    assert check(made_run(shares(90, 100)), ["accuracy@1 >= 50%"], strict=True).outcome == "met"


def test_problems_that_the_numbers_show_are_warnings_and_notes_are_not() -> None:
    """An attack that never succeeds meets every floor of a distance."""
    broken = made_run([INF] * 40)
    verdicts = check(broken, ["median >= 5"])
    assert verdicts.outcome == "met"
    (warning,) = verdicts.warnings
    (problem,) = [one for one in findings(label_runs([broken])[0]) if one.level == "problem"]
    assert warning == f"{problem.title}. {problem.text} {problem.advice}"
    assert warning.startswith("ddn fails on some samples. ")
    assert check(broken, ["median >= 5"], strict=True).outcome == "not met"


def test_a_problem_of_the_baseline_alone_is_named_after_it() -> None:
    a, b = made_run([INF] * 40, model="zoo:a"), made_run(shares(30, 40), model="zoo:b")
    (warning,) = check(b, ["accuracy@1"], baseline=a, no_worse_than=0.5).warnings
    assert warning.startswith("The baseline a: ddn fails on some samples. ")
    (own,) = check(a, ["accuracy@1"], baseline=b, no_worse_than=0.5).warnings
    assert own.startswith("ddn fails on some samples. ")
    assert len(check(a, ["accuracy@1"], baseline=a, no_worse_than=0.5).warnings) == 1


def test_a_run_is_compared_with_a_baseline_metric_by_metric() -> None:
    generator = np.random.default_rng(0)
    a = generator.lognormal(0, 0.5, 2000)
    verdicts = check(
        made_run((0.8 * a).tolist(), model="zoo:b"),
        ["accuracy@1 >= 1%", "median >= 0.1", Metric("mean"), "clean_accuracy"],
        baseline=made_run(a.tolist(), model="zoo:a"),
        no_worse_than=0.02,
    )
    assert [(str(one.requirement), one.outcome) for one in verdicts.verdicts] == [
        ("accuracy@1 >= 1%", "met"),
        ("median >= 0.1", "met"),
        ("accuracy@1 at most 2 points below the baseline", "not met"),
        ("median at most 2% below the baseline", "not met"),
        ("mean at most 2% below the baseline", "not met"),
        ("clean_accuracy at most 2 points below the baseline", "met"),
    ]
    assert (verdicts.run, verdicts.baseline) == ("b", "a")


def test_a_run_is_no_worse_than_itself() -> None:
    a = np.random.default_rng(0).lognormal(0, 0.5, 1000).tolist()
    metrics = ["accuracy@1", "median", "mean", "clean_accuracy", "success"]
    for confidence in (0.95, None):
        verdicts = check(
            made_run(a), metrics, baseline=made_run(a), no_worse_than=0.01, confidence=confidence
        )
        assert verdicts.outcome == "met"
    other = made_run(a[:20], model_fingerprint="2")  # which may differ on other samples
    few = check(made_run(a[:20]), metrics, baseline=other, no_worse_than=0.01)
    assert few.verdicts[0].outcome == "undecided"
    exact = check(made_run(a), metrics, baseline=made_run(a), no_worse_than=0.0, confidence=None)
    assert exact.outcome == "met"


def test_other_attacks_than_those_of_the_baseline_are_a_warning() -> None:
    a = made_run(shares(90, 100))
    b = made_run(pa.concat_tables([table(shares(90, 100)), table(shares(90, 100), attack="fmn")]))
    verdicts = check(b, ["accuracy@1"], baseline=a, no_worse_than=0.2)
    assert (verdicts.outcome, len(verdicts.warnings)) == ("met", 1)
    assert "The attacks of the two runs differ" in verdicts.warnings[0]
    strict = check(b, ["accuracy@1"], baseline=a, no_worse_than=0.2, strict=True)
    assert strict.outcome == "not met"
    one = ["accuracy@1 of ddn", "clean_accuracy"]
    assert check(b, one, baseline=a, no_worse_than=0.2).warnings == ()


def test_a_better_run_is_no_worse() -> None:
    a = np.random.default_rng(0).lognormal(0, 0.5, 200)
    better = made_run((2 * a).tolist())
    verdicts = check(better, ["accuracy@1", "median"], baseline=made_run(a.tolist()),
                     no_worse_than=0.0)  # fmt: skip
    assert verdicts.outcome == "met"


def test_without_requirements_a_baseline_is_compared_at_a_few_radii() -> None:
    a = np.random.default_rng(0).lognormal(0, 0.5, 500).tolist()
    verdicts = check(made_run(a), baseline=made_run(a), no_worse_than=0.05).verdicts
    metrics = [one.requirement.metric for one in verdicts]
    assert metrics[0] == Metric("clean_accuracy")
    assert 1 <= len(metrics) - 1 <= 6
    assert {metric.kind for metric in metrics[1:]} == {"accuracy"}


def test_runs_that_cannot_be_compared_or_are_incomplete_are_refused() -> None:
    good = made_run(shares(5, 10))
    with pytest.raises(InputError, match="cannot be compared sample by sample"):
        check(good, baseline=made_run(shares(5, 10), bounds=(-1.0, 1.0)), no_worse_than=0.1)
    doubt = Doubt("incomplete", "The run lacks 2 batches.")
    lacking = made_run(shares(5, 10), doubts=(doubt,))
    with pytest.raises(InputError, match="lacks 2 batches"):
        check(lacking, ["accuracy@1 >= 0"])
    with pytest.raises(InputError, match="lacks 2 batches"):
        check(good, baseline=lacking, no_worse_than=0.1)


def test_bad_arguments_are_refused() -> None:
    run = made_run(shares(5, 10))
    with pytest.raises(InputError, match=r"a gate needs a requirement"):
        check(run)
    with pytest.raises(InputError, match=r"'median' has no limit: write for example 'median >="):
        check(run, ["median"])
    with pytest.raises(InputError, match="give both baseline and no_worse_than"):
        check(run, ["median >= 1"], no_worse_than=0.1)
    with pytest.raises(InputError, match="give both baseline and no_worse_than"):
        check(run, ["median >= 1"], baseline=run)
    for confidence in (0.4, 1.0, 95):
        with pytest.raises(InputError, match="confidence="):
            check(run, ["median >= 1"], confidence=confidence)
    with pytest.raises(InputError, match="no_worse_than=2"):
        check(run, baseline=run, no_worse_than=2)


def test_requirements_may_be_objects() -> None:
    requirement = Requirement(Metric("accuracy", radius=1.0), ">=", 0.5)
    assert check(made_run(shares(90, 100)), [requirement]).outcome == "met"


@pytest.mark.parametrize("confidence", [0.95, None])
@pytest.mark.parametrize("failed", [0, 60])
def test_below_the_radius_of_an_attack_that_searches_for_any_adversarial_only_bounds_decide(
    confidence: float | None, failed: int
) -> None:
    distances = [INF] * failed + [0.0] * 10 + [0.3] * (90 - failed)
    run = made_run(table(distances, radius_limit=0.3, fixed_radii="0.3"))
    verdicts = check(
        run,
        ["accuracy@0.1 >= 75%", "accuracy@0.1 >= 40%", "accuracy@0.1 >= 99%",
         "accuracy@0.1 <= 97%", "accuracy@0.3 >= 40%", "median >= 0.2", "mean >= 0.2",
         "mean <= 0.4"],
        confidence=confidence,
    ).verdicts  # fmt: skip
    assert {str(one.requirement): one.outcome for one in verdicts} == {
        "accuracy@0.1 >= 75%": "undecided",
        # What is robust within 0.3 is robust within 0.1.
        "accuracy@0.1 >= 40%": "met" if failed else "undecided",
        "accuracy@0.1 >= 99%": "not met",  # of 10 %, no attack is needed
        "accuracy@0.1 <= 97%": "met",
        "accuracy@0.3 >= 40%": "met" if failed else "not met",
        "median >= 0.2": "met" if failed else "undecided",
        "mean >= 0.2": "undecided",
        "mean <= 0.4": "met",
    }
    remark = "the attacks search for any adversarial within 0.3, not for the closest"
    assert verdicts[0].reason == remark
    assert verdicts[0].needed is None


def test_below_the_radius_of_both_runs_nothing_is_compared_unless_one_repeats_the_other() -> None:
    one, other = (
        made_run(table(distances, radius_limit=0.3, fixed_radii="0.3"))
        for distances in ([0.3] * 100, [0.3] * 99 + [0.29])
    )
    asked = [read("accuracy@0.1"), read("median"), read("mean"), read("accuracy@0.3")]
    verdicts = check(one, asked, baseline=other, no_worse_than=0.05).verdicts
    assert [one.outcome for one in verdicts] == ["undecided"] * 3 + ["met"]
    assert all("not for the closest" in one.reason for one in verdicts[:3])
    assert check(one, asked, baseline=one, no_worse_than=0.05).outcome == "met"
    # Without requirements, the accuracies are those at the radii of the attacks.
    assert check(one, baseline=other, no_worse_than=0.05).outcome == "met"
