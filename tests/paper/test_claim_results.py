"""Claims on records made by hand, against intervals and tests computed another way."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from evaluation.record_tables import INF
from minnorm.paper.claim_results import check_claims
from minnorm.paper.claims import (
    Closer,
    MeanOfPaper,
    Own,
    RatioOfMeans,
    SuccessBelow,
)
from minnorm.paper.experiment import PaperFigures
from minnorm.paper.measuring import MeasuredSetting
from paper.measured_by_hand import BASE, measured, over, result, scaled


def ratio(**values: object) -> RatioOfMeans:
    given = {"text": "t", "setting": "MNIST", "attack": "A", "beside": "B", "at_most": 1.05}
    return RatioOfMeans.model_validate({"kind": "ratio_of_means", **given, **values})


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.0, "held"), (1.04, "held"), (1.06, "not held"), (1.5, "not held")]
)
def test_a_ratio_of_means_is_held_if_its_whole_interval_is_below(
    factor: float, verdict: str
) -> None:
    other = scaled(factor)
    found = result(ratio(), measured({"A": other, "B": BASE}))
    assert found.verdict == verdict
    assert found.estimate is not None
    assert found.estimate.low < np.mean(other) / np.mean(BASE) < found.estimate.high
    assert found.estimate.high - found.estimate.low < 0.02
    assert "200 images on which both succeed" in found.numbers


def test_the_interval_of_a_ratio_agrees_with_a_bootstrap_of_the_ratio() -> None:
    other = scaled(1.05, 0.2)
    found = result(ratio(), measured({"A": other, "B": BASE}))
    generator = np.random.default_rng(1)
    a, b = np.array(other), np.array(BASE)
    draws = [generator.integers(0, 200, 200) for _ in range(2000)]
    low, high = np.quantile([a[one].mean() / b[one].mean() for one in draws], [0.025, 0.975])
    assert found.verdict == "not shown"
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(a.mean() / b.mean())
    assert found.estimate.low == pytest.approx(low, abs=0.005)
    assert found.estimate.high == pytest.approx(high, abs=0.005)


def test_a_ratio_is_over_the_images_that_both_have_and_both_succeed_on() -> None:
    many = measured({"A": [*scaled(1.0), 50.0, INF, 70.0]})
    few = measured({"B": [*BASE, 50.0, 60.0]})
    both = MeasuredSetting(
        many.setting.model_copy(update={"attacks": (*many.setting.attacks, *few.setting.attacks)}),
        (*many.runs, *few.runs),
    )
    found = result(ratio(), both)
    assert found.verdict == "held"
    assert "over 201 images" in found.numbers
    assert found.numbers.endswith("; 1 of 202 are left out")


def test_the_hardest_target_of_each_attack_is_compared() -> None:
    indices, targets = np.repeat(np.arange(100), 2).tolist(), [1, 2] * 100
    a = np.stack([np.ones(100), np.full(100, 3.0)], 1).reshape(-1).tolist()
    b = np.stack([np.full(100, 2.0), np.ones(100)], 1).reshape(-1).tolist()
    setting = measured({"A": a, "B": b}, indices=indices, targets=targets)
    found = result(ratio(over="hardest", at_most=1.6), setting)
    assert found.estimate is not None
    assert found.estimate.value == 1.5  # 3 and 2, though the targets differ
    over_all = result(ratio(at_most=1.6), setting)
    assert over_all.estimate is not None
    assert over_all.estimate.value == pytest.approx(4 / 3)
    assert "200 pairs of 100 images and targets" in over_all.numbers


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(1.0, "held"), (1.2, "not held"), (0.8, "not held"), (1.05, "not shown")],
)
def test_a_mean_is_within_a_share_of_the_paper_s(factor: float, verdict: str) -> None:
    figures = PaperFigures(mean=float(np.mean(BASE)))
    claim = MeanOfPaper(text="t", kind="mean_of_paper", setting="MNIST", attack="A", within=0.05)
    setting = measured({"A": [factor * one for one in BASE]}, paper={"A": figures})
    found = result(claim, setting)
    assert found.verdict == verdict
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(factor - 1)


def success_below(**values: object) -> SuccessBelow:
    given = {"kind": "success_below", "text": "t", "setting": "MNIST", "attack": "A"}
    return SuccessBelow.model_validate({**given, **values})


def test_success_is_compared_by_mcnemar_s_test() -> None:
    a = [INF if number < 40 else 1.0 for number in range(100)]
    b = [INF if number >= 95 else 1.0 for number in range(100)]
    found = result(success_below(beside="B"), measured({"A": a, "B": b}))
    assert found.verdict == "held"
    assert found.p_value == pytest.approx(binomtest(5, 45).pvalue)
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(-0.35)
    assert result(success_below(attack="B", beside="A"), measured({"A": a, "B": b})).verdict == (
        "not held"
    )
    equal = result(success_below(beside="B"), measured({"A": a, "B": a}))
    assert equal.verdict == "not shown"
    assert equal.p_value == 1.0


def closer(*beside: str) -> Closer:
    return Closer(text="t", kind="closer", setting="MNIST", attack="A", beside=beside)


def test_an_attack_is_better_if_it_is_closer_than_all_others() -> None:
    setting = measured({"A": BASE, "B": scaled(1.2), "C": [INF] * 200})
    found = result(closer("B", "C"), setting)
    assert found.verdict == "held"
    assert "closer than C on 100.0 % of 200 images" in found.numbers
    worse = measured({"A": scaled(1.2), "B": BASE, "C": [INF] * 200})
    assert result(closer("B", "C"), worse).verdict == "not held"
    assert result(closer("C"), worse).verdict == "held"


def test_an_attack_that_one_other_beats_is_not_better() -> None:
    a, b, c = [1.0] * 40, [0.9] * 8 + [1.0] * 32, [0.5] * 24 + [2.0] * 16
    setting = measured({"A": a, "B": b, "C": c})
    assert result(closer("C"), setting).verdict == "not shown"
    assert result(closer("B"), setting).verdict == "not held"
    assert result(closer("B", "C"), setting).verdict == "not held"


def test_a_pair_is_over_the_images_of_the_statistics() -> None:
    setting = measured({"A": [0.0, *BASE], "B": [0.0, *scaled(1.1)]}, over="correct")
    assert "100.0 % of 200 images" in result(closer("B"), setting).numbers
    assert "over 200 images" in result(ratio(), setting).numbers
    assert "over 200 images" in result(success_below(beside="B"), setting).numbers


def test_ties_show_nothing() -> None:
    found = result(closer("B"), measured({"A": BASE, "B": BASE}))
    assert (found.verdict, found.p_value) == ("not shown", 1.0)


def test_a_mean_of_no_adversarial_is_not_compared() -> None:
    claim = MeanOfPaper(text="t", kind="mean_of_paper", setting="MNIST", attack="A", within=0.05)
    found = result(claim, measured({"A": [INF] * 9}, paper={"A": PaperFigures(mean=1.0)}))
    assert (found.verdict, found.numbers) == ("not measured", "A found no adversarial")


def test_why_a_row_is_missing_is_said() -> None:
    missing = {"B": "It has not begun."}
    part = replace(measured({"A": BASE}, combined=over("A", "B")), missing=missing)
    for claim in (ratio(), ratio(beside="All")):
        assert result(claim, part).numbers == (
            f"{claim.beside} was not measured on MNIST. It has not begun."
        )


def test_what_was_not_measured_is_said() -> None:
    setting = measured({"A": BASE})
    for claim, reason in (
        (ratio(), "B was not measured on MNIST"),
        (ratio(setting="ImageNet"), "ImageNet is not part of this scale"),
        (success_below(attack="Z", beside="A"), "Z was not measured on MNIST"),
        (closer("B"), "B was not measured on MNIST"),
    ):
        found = result(claim, setting)
        assert (found.verdict, found.numbers) == ("not measured", reason)


def test_claims_of_the_kind_itself_are_left_to_it() -> None:
    own = Own(text="t", kind="own", name="spread")
    assert len(check_claims([own, ratio()], [measured({"A": BASE, "B": BASE})])) == 1
