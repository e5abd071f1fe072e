"""Claims that compare networks, on records made by hand."""

import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from evaluation.record_tables import INF
from minnorm.paper.claims import LargerMean, MoreRobust, WorseOn
from minnorm.paper.measuring import MeasuredSetting
from paper.measured_by_hand import BASE, measured, over, result, scaled


def robust(epsilons: Sequence[float]) -> MoreRobust:
    return MoreRobust(
        text="t", kind="more_robust", setting="ours", other="theirs", epsilons=tuple(epsilons)
    )


def test_a_network_is_ahead_at_every_radius_or_not() -> None:
    ours = measured({"A": scaled(1.5), "B": [INF] * 200}, name="ours", combined=over("A", "B"))
    theirs = measured({"A": BASE, "B": [INF] * 200}, name="theirs", combined=over("A", "B"))
    found = result(robust([1.5, 2.0]), ours, theirs)
    assert found.verdict == "held"
    assert "ahead of theirs at 2 of 2 radii" in found.numbers
    assert re.search(
        r"accuracy on ours and theirs: [\d.]+ % and [\d.]+ % at 1.5 and ", found.numbers
    )
    many = result(robust(np.linspace(0.1, 3, 14).tolist()), ours, theirs)
    assert many.numbers.count(" % at ") == 4
    at_first = result(robust([0.1, 1.5]), ours, theirs)  # both robust at 0.1
    assert at_first.verdict == "not shown"
    assert "at 1 of 2 radii from 0.1 to 1.5, behind at none, undecided at 0.1 (" in at_first.numbers
    turned = MoreRobust(
        text="t", kind="more_robust", setting="theirs", other="ours", epsilons=(1.5, 2.0)
    )
    assert result(turned, ours, theirs).verdict == "not held"


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.1, "held"), (0.9, "not held"), (1.0, "not shown")]
)
def test_the_mean_on_a_network_is_larger_than_on_another_one(factor: float, verdict: str) -> None:
    noise = np.random.default_rng(0).normal(0, 0.05, 200)
    farther = (factor * np.array(BASE) + noise).tolist()
    plain = measured({"A": BASE, "B": [INF] * 200}, name="plain", combined=over("A", "B"))
    trained = measured({"A": farther, "B": [INF] * 200}, name="trained", combined=over("A", "B"))
    claim = LargerMean(text="t", kind="larger_mean", setting="trained", other="plain")
    found = result(claim, plain, trained)
    assert found.verdict == verdict
    assert found.estimate is not None
    assert found.estimate.value == pytest.approx(np.mean(farther) / np.mean(BASE))
    assert "mean of All on trained / on plain: " in found.numbers
    assert "over 200 images on which it succeeds on both (" in found.numbers
    half = measured(
        {"A": [*BASE[:100], *[INF] * 100], "B": [INF] * 200}, name="plain", combined=over("A", "B")
    )
    assert result(claim, half, trained).numbers.endswith("; 100 of 200 are left out")
    failed = measured({"A": [INF] * 200, "B": [INF] * 200}, name="plain", combined=over("A", "B"))
    nowhere = result(claim, failed, trained)
    assert nowhere.numbers == "there is no image on which it succeeds on both"
    assert result(claim, trained).numbers == "plain is not part of this scale"


def worse() -> WorseOn:
    return WorseOn(
        text="t", kind="worse_on", setting="trained", attack="A", beside="B", other="plain"
    )


@pytest.mark.parametrize(
    ("factor", "verdict"), [(1.5, "held"), (0.8, "not held"), (1.0, "not shown")]
)
def test_an_attack_is_worse_on_a_network_by_its_distances_beside_another_one(
    factor: float, verdict: str
) -> None:
    generator = np.random.default_rng(0)
    noise = np.exp(0.1 * generator.standard_normal((2, 200)))
    base, harder = np.array(BASE), 3 * np.array(BASE)  # other distances, the same ratio
    plain = measured({"A": (1.2 * base * noise[0]).tolist(), "B": BASE}, name="plain")
    a = factor * 1.2 * harder * noise[1]
    trained = measured({"A": a.tolist(), "B": harder.tolist()}, name="trained")
    found = result(worse(), trained, plain)
    assert found.verdict == verdict
    assert found.estimate is not None
    expected = factor * np.exp(np.log(noise[1] / noise[0]).mean())
    assert found.estimate.value == pytest.approx(expected)
    assert "over 200 images" in found.numbers


def test_only_images_on_which_both_attacks_move_both_networks_are_compared() -> None:
    plain = measured({"A": [0.0, 2.0, 2.0, INF] * 9, "B": [1.0, 1.0, 1.0, 1.0] * 9}, name="plain")
    trained = measured(
        {"A": [4.0, 4.0, 4.0, 4.0] * 9, "B": [1.0, 1.0, INF, 1.0] * 9}, name="trained"
    )
    found = result(worse(), trained, plain)
    assert "2.000 [" in found.numbers.partition("factor of ")[2]
    assert "over 9 images" in found.numbers
    nothing = measured({"A": [INF], "B": [1.0]}, name="trained")
    assert result(worse(), nothing, plain).verdict == "not measured"


def test_networks_are_compared_on_the_same_images_only() -> None:
    ours = measured({"A": scaled(1.5)}, name="ours", combined=over("A"))
    theirs = measured({"A": BASE}, name="theirs", combined=over("A"))
    few = MeasuredSetting(theirs.setting.model_copy(update={"data": "d[:200]"}), theirs.runs)
    assert result(robust([1.5]), ours, few).verdict == "held"
    other = MeasuredSetting(theirs.setting.model_copy(update={"data": "other"}), theirs.runs)
    found = result(robust([1.5]), ours, other)
    assert (found.verdict, found.numbers) == (
        "not measured",
        "theirs has other images than ours",
    )


def test_a_claim_says_which_of_its_rows_are_not_finished() -> None:
    ours = measured({"A": scaled(1.5)}, name="ours", combined=over("A"))
    run = replace(ours.runs[0], manifest={"run": "r", "configuration": {"indices": [0, 300, 1]}})
    part = replace(ours, runs=(run,))
    theirs = measured({"A": BASE}, name="theirs", combined=over("A"))
    ending = "; not finished: A on ours: 200 of 300 images"
    assert result(robust([1.5]), part, theirs).numbers.endswith(ending)
    assert "not finished" not in result(robust([1.5]), ours, theirs).numbers
    whole = measured({"A": BASE, "B": BASE}, name="trained")
    assert result(
        worse(), whole, replace(part, setting=part.setting.model_copy(update={"name": "plain"}))
    ).numbers == ("B was not measured on plain")
