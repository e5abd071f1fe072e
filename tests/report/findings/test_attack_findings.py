"""Findings about attacks: each has records that trigger it, and near misses that do not."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from evaluation.record_tables import INF, table
from minnorm.report.findings.attack_findings import attack_findings
from minnorm.report.findings.finding import Finding
from minnorm.report.runs import LabeledRun
from report.findings.whole_findings import by_kind
from report.made_runs import attack_run, made_run, with_column

ONES = [1.0] * 100


def found(run: LabeledRun) -> dict[str, Finding]:
    return by_kind(attack_findings(run))


def with_wins(wins: int, distance: float = 0.8) -> list[float]:
    """Return distances that are smaller than 1 on some samples and larger on the others."""
    return [distance] * wins + [1.5] * (100 - wins)


def test_attacks_that_agree_have_no_findings() -> None:
    rng = np.random.default_rng(0)
    ddn = rng.lognormal(size=100)
    noise = rng.uniform(0.95, 1.05, 100)
    attacks = {
        "ddn(steps=100)": ddn,
        "ddn(steps=300)": ddn * np.minimum(noise, 1.0),
        "fmn": ddn * noise,
        "deepfool": ddn * rng.uniform(1.0, 2.0, 100),
    }
    costs = {"ddn(steps=100)": 100, "ddn(steps=300)": 300, "fmn": 50, "deepfool": 30}
    assert found(attack_run({k: [*v] for k, v in attacks.items()}, costs=costs)) == {}


def test_attacks_of_a_few_steps_alone_are_a_problem() -> None:
    attacks = {"fgsm(epsilon=8/255)": ONES, "pgd(epsilon=1, steps=3)": ONES}
    finding = found(attack_run(attacks))["short-attacks"]
    assert finding.level == "problem"
    assert finding.text.startswith("fgsm(epsilon=8/255) and pgd(epsilon=1, steps=3): one step or")
    for longer in ("ddn", "ddn(steps=10)", "normal_pursuit(budget=10)", "a name"):
        assert "short-attacks" not in found(attack_run({**attacks, longer: ONES}))


def test_a_simple_attack_that_is_closer_on_many_samples_is_a_problem() -> None:
    finding = found(attack_run({"ddn": ONES, "deepfool": with_wins(10)}))["simple-attack-wins"]
    assert finding.level == "problem"
    assert finding.title == "deepfool beats ddn"
    assert "On 10 of 100 samples" in finding.text
    assert "more than 10 % farther" in finding.text


@pytest.mark.parametrize(
    "attacks",
    [
        {"ddn": ONES, "deepfool": with_wins(5)},  # may be chance
        {"ddn": ONES, "deepfool": with_wins(60, 0.95)},  # hardly closer
        {"deepfool": ONES, "ddn": with_wins(97)},  # the stronger attack wins
        {"fmn": ONES, "ddn": with_wins(60)},  # neither is simple
        {"deepfool(norm='l2')": ONES, "deepfool": with_wins(60)},  # equally simple
    ],
)
def test_other_wins_are_no_wins_of_a_simple_attack(attacks: dict[str, list[float]]) -> None:
    assert "simple-attack-wins" not in found(attack_run(attacks))


def test_a_simple_attack_that_beats_only_one_of_the_stronger_ones_is_a_note() -> None:
    attacks = {"ddn(steps=3)": ONES, "deepfool": with_wins(10), "ddn(steps=99)": [0.7] * 100}
    finding = found(attack_run(attacks))["simple-attack-wins"]
    assert finding.level == "note"
    assert "On 10 of 100 samples" in finding.text
    assert "ddn(steps=3) has not converged" in finding.text


def test_an_attack_without_gradients_that_beats_those_with_gradients_is_a_problem() -> None:
    costs = {"square_min_norm": 0.0}  # no backward passes
    run = attack_run({"ddn": ONES, "square_min_norm": with_wins(10)}, costs=costs)
    finding = found(run)["simple-attack-wins"]
    assert finding.level == "problem"
    assert "On 10 of 100 samples" in finding.text
    assert "An attack without gradients should almost never win." in finding.text
    usual = {"ddn": [0.5] * 100, "square_min_norm": ONES}  # even at a lower cost
    assert found(attack_run(usual, costs=costs)) == {}


def test_of_attacks_within_a_radius_it_counts_what_is_within_it() -> None:
    limits = {"pgd(epsilon=0.5)": 0.5}
    pgd = [0.5] * 10 + [INF] * 90
    wins = found(attack_run({"ddn": ONES, "pgd(epsilon=0.5)": pgd}, limits=limits))
    assert "within the radius 0.5" in wins["simple-attack-wins"].text
    # PGD goes to the border of its ball; that another attack is closer inside is usual.
    near = [0.5] * 10 + [1.0] * 90
    assert found(attack_run({"ddn": near, "pgd(epsilon=0.5)": pgd}, limits=limits)) == {}
    nearer = [0.1] * 10 + [1.0] * 90
    assert found(attack_run({"ddn": nearer, "pgd(epsilon=0.5)": pgd}, limits=limits)) == {}


def test_a_larger_budget_that_finds_less_is_a_problem() -> None:
    attacks = {"ddn(steps=1000, levels=256)": with_wins(5), "ddn(levels=256)": ONES}
    costs = {"ddn(steps=1000, levels=256)": 1000, "ddn(levels=256)": 100}
    finding = found(attack_run(attacks, costs=costs))["more-steps-worse"]
    assert finding.level == "problem"
    assert finding.title == "ddn(steps=1000, levels=256) finds less than ddn(levels=256)"
    assert "On 95 of 100 samples" in finding.text


@pytest.mark.parametrize(
    ("attacks", "costs"),
    [
        # The larger budget wins.
        ({"ddn(steps=9)": with_wins(5), "ddn(steps=99)": ONES}, {"ddn(steps=9)": 9}),
        # Wins and losses are balanced.
        ({"ddn(steps=99)": with_wins(50), "ddn(steps=9)": ONES}, {"ddn(steps=9)": 9}),
        # The difference is slight.
        ({"ddn(steps=99)": [1.04] * 100, "ddn(steps=9)": ONES}, {"ddn(steps=9)": 9}),
        # Another parameter differs too.
        ({"ddn(steps=99, levels=8)": [1.08] * 100, "ddn(steps=9)": ONES}, {"ddn(steps=9)": 9}),
    ],
)
def test_other_differences_of_budgets_are_no_finding(
    attacks: dict[str, list[float]], costs: dict[str, float]
) -> None:
    assert "more-steps-worse" not in found(attack_run(attacks, costs=costs))


def test_a_larger_budget_that_fails_more_is_a_problem_also_within_a_radius() -> None:
    attacks = {
        "pgd(epsilon=1.0, steps=100)": [1.0] * 10 + [INF] * 90,
        "pgd(epsilon=1.0, steps=10)": [1.0] * 30 + [INF] * 70,
    }
    limits = dict.fromkeys(attacks, 1.0)
    costs = {"pgd(epsilon=1.0, steps=10)": 10.0}
    assert "more-steps-worse" in found(attack_run(attacks, limits=limits, costs=costs))


def test_a_cheaper_attack_that_clearly_wins_is_a_note() -> None:
    costs = {"fmn": 10.0, "ddn": 100.0}
    finding = found(attack_run({"ddn": ONES, "fmn": [0.8] * 40 + [1.0] * 60}, costs=costs))
    assert finding["cheaper-attack-wins"].level == "note"
    assert "On 40 of 100 samples" in finding["cheaper-attack-wins"].text


@pytest.mark.parametrize(
    ("fmn", "cost"),
    [
        ([0.8] * 15 + [1.0] * 85, 10.0),  # on few samples
        ([0.8] * 40 + [1.0] * 60, 90.0),  # hardly cheaper
        ([0.8] * 40 + [1.5] * 40 + [1.0] * 20, 10.0),  # as many losses
    ],
)
def test_a_cheaper_attack_that_hardly_wins_is_no_finding(fmn: list[float], cost: float) -> None:
    run = attack_run({"ddn": ONES, "fmn": fmn}, costs={"fmn": cost, "ddn": 100.0})
    assert "cheaper-attack-wins" not in found(run)


def test_attacks_that_disagree_widely_are_a_problem() -> None:
    half = [1.0] * 50 + [1.5] * 50
    finding = found(attack_run({"ddn": half, "fmn": half[::-1]}))["disagreement"]
    assert finding.level == "problem"
    assert "On 50 of 100 samples even the best attack" in finding.text
    most = [1.0] * 15 + [1.5] * 85
    assert "disagreement" not in found(attack_run({"ddn": ONES, "fmn": most[::-1]}))
    few = [1.0] * 5 + [1.5] * 5
    assert "disagreement" not in found(attack_run({"ddn": few, "fmn": few[::-1]}))


def test_failures_without_a_limit_are_a_problem() -> None:
    run = attack_run({"ddn": [1.0] * 97 + [INF] * 3, "fmn": [1.0] * 98 + [INF] * 2})
    findings = [one for one in attack_findings(run) if one.kind == "failures"]
    assert [one.level for one in findings] == ["problem", "problem"]
    assert "on 3 of 100 samples" in findings[0].text
    assert "No other found one on 2, which count as robust" in findings[0].text


def test_failures_that_another_attack_makes_up_for_are_a_note() -> None:
    finding = found(attack_run({"ddn": [1.0] * 97 + [INF] * 3, "fmn": ONES}))["failures"]
    assert finding.level == "note"
    assert "the worst case is not affected" in finding.text


def test_failures_of_the_only_attack_are_a_problem() -> None:
    finding = found(attack_run({"ddn": [1.0] * 97 + [INF] * 3}))["failures"]
    assert finding.level == "problem"
    assert "on 3 of 100 samples. These count as robust" in finding.text


def test_failures_within_a_radius_are_usual() -> None:
    run = attack_run({"pgd": [1.0] * 97 + [INF] * 3}, limits={"pgd": 1.0})
    assert "failures" not in found(run)


def test_failures_of_targeted_attacks_are_counted_in_pairs() -> None:
    run = attack_run({"ddn": [1.0, INF, 2.0]}, targets=[1, 2, 3])
    assert "1 of 3 pairs of a sample and a target" in found(run)["failures"].text


def test_a_single_attack_is_a_note() -> None:
    finding = found(attack_run({"ddn(steps=30)": ONES}))["single-attack"]
    assert finding.level == "note"
    assert "ddn(steps=30)" in finding.text
    assert "single-attack" not in found(attack_run({"ddn": ONES, "fmn": ONES}))
    assert found(attack_run({"worst_case(attacks=['ddn', 'fmn'])": ONES})) == {}


def test_a_limit_of_all_attacks_is_a_note() -> None:
    limits = {"pgd": 8 / 255, "fgsm": 4 / 255}
    attacks = {"pgd": [0.01] * 100, "fgsm": [0.01] * 100}
    finding = found(attack_run(attacks, limits=limits))["limited-radius"]
    assert finding.level == "note"
    assert "radius 8/255" in finding.text
    assert "limited-radius" not in found(attack_run({**attacks, "ddn": ONES}, limits=limits))


@pytest.mark.parametrize(
    ("distances", "is_found"),
    [([INF] * 20, True), ([INF] * 19, False), ([INF] * 99 + [0.1], False)],
)
def test_attacks_within_a_radius_that_never_succeed_are_a_problem(
    distances: list[float], is_found: bool
) -> None:
    attacks, limits = {"pgd": distances, "apgd": distances}, {"pgd": 8 / 255, "apgd": 8 / 255}
    findings = found(attack_run(attacks, norm="linf", limits=limits))
    assert ("no-successes" in findings) == is_found
    if is_found:
        assert findings["no-successes"].level == "problem"
        assert (
            "radius 8/255, no attack succeeded on any of 20 samples"
            in findings["no-successes"].text
        )


def test_an_unknown_cost_is_a_note() -> None:
    run = attack_run({"mine": ONES, "ddn": ONES}, costs={"mine": -1.0})  # no forward pass either
    run = with_column(run, forwards=[0.0] * 100 + [100.0] * 100, backwards=[0.0] * 100 + ONES)
    assert "mine did not call" in found(run)["unknown-cost"].text


def test_successes_that_are_not_reported_are_a_note() -> None:
    run = attack_run({"mine": [0.0] * 10 + [1.0] * 90})
    usual = [False] * 10 + [True] * 90  # those that are wrong from the start need no attack
    assert "missed-successes" not in found(with_column(run, reported=usual))
    findings = found(with_column(run, reported=[False] * 50 + [True] * 50))
    assert "On 40 of 90 samples" in findings["missed-successes"].text


def test_attacks_of_different_norms_are_not_compared() -> None:
    run = attack_run({"ddn": ONES, "deepfool": with_wins(50)})
    norms = ["l2"] * 100 + ["linf"] * 100
    assert "simple-attack-wins" not in found(with_column(run, norm=norms))


def test_of_an_incomplete_run_the_samples_of_all_attacks_are_compared() -> None:
    run = attack_run({"ddn": ONES, "deepfool": with_wins(10)})
    records = run.run.records.slice(0, 150)  # the second attack lacks 50 samples
    kept = replace(run, run=replace(run.run, records=records))
    assert "On 10 of 50 samples" in found(kept)["simple-attack-wins"].text


def test_without_a_correctly_classified_sample_nothing_is_compared() -> None:
    assert found(attack_run({"ddn": [0.0] * 30, "fmn": [0.0] * 30})) == {}


def test_attacks_at_fixed_radii_say_what_their_numbers_are() -> None:
    run = attack_run({"pgd": [0.3] * 30}, limits={"pgd": 0.3}, fixed={"pgd": "0.3"})
    finding = found(run)["limited-radius"]
    assert finding.level == "note"
    assert "pgd searches for any adversarial within a radius, not for the closest" in finding.text
    free = attack_run({"pgd": [0.3] * 30}, limits={"pgd": 0.3})
    assert "closest:" not in found(free)["limited-radius"].text


def test_a_norm_in_which_no_attack_searches_for_the_closest_is_a_note() -> None:
    parts = [
        table([1.0] * 30),
        table([0.2] * 30, attack="pgd", norm="linf", radius_limit=0.1, fixed_radii="0.1"),
    ]
    finding = found(LabeledRun("it", made_run(pa.concat_tables(parts))))["upper-bounds"]
    assert finding.level == "note"
    assert finding.title == "No attack in L∞ searches for the closest adversarial"
    assert "fmn(norm=linf)" in finding.advice or "norm=linf" in finding.advice
    parts.append(table([0.2] * 30, attack="fmn", norm="linf"))
    assert "upper-bounds" not in found(LabeledRun("it", made_run(pa.concat_tables(parts))))


def test_an_attack_is_not_beaten_where_it_does_not_search() -> None:
    specs = ("pgd(epsilon=0.1)", "apgd(epsilon=0.3)")
    limits, fixed = dict(zip(specs, (0.1, 0.3))), dict(zip(specs, ("0.1", "0.3")))  # noqa: B905
    both = {"pgd(epsilon=0.1)": [0.1] * 100, "apgd(epsilon=0.3)": [0.3] * 100}
    assert "simple-attack-wins" not in found(attack_run(both, limits=limits, fixed=fixed))
    # Within 0.1 is within 0.3, too.
    lost = {"pgd(epsilon=0.1)": [0.1] * 100, "apgd(epsilon=0.3)": [0.3] * 80 + [INF] * 20}
    finding = found(attack_run(lost, limits=limits, fixed=fixed))["simple-attack-wins"]
    assert "On 20 of 100 samples" in finding.text
    assert "within the radius 0.3, and apgd(epsilon=0.3) found none there" in finding.text
