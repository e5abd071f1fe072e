"""Default radii: round numbers where the curves fall."""

import numpy as np
import pytest

from evaluation.record_tables import INF
from minnorm.evaluation import accuracy_at
from minnorm.report.facts.default_radii import default_radii
from minnorm.report.parts import closest_part
from report.made_runs import attack_run


@pytest.mark.parametrize("scale", [1e-3, 0.04, 1.0, 37.0])
def test_they_are_round_numbers_where_the_curve_falls(scale: float) -> None:
    rng = np.random.default_rng(1)
    run = attack_run({"ddn": (scale * rng.lognormal(0, 0.5, 500)).tolist()})
    radii = default_radii([run])
    assert len(radii) == 3
    assert all(float(f"{radius:.2g}") == radius for radius in radii)
    accuracies = [accuracy_at(closest_part(run), radius).value for radius in radii]
    assert accuracies[0] > 0.75 > accuracies[1] > 0.25 > accuracies[2] > 0.01


def test_all_runs_count_equally() -> None:
    weak, strong = attack_run({"ddn": [1.0] * 100}), attack_run({"ddn": [4.0] * 10})
    assert default_radii([weak, strong]) == [1.0, 2.5, 4.0]


def test_small_radii_of_linf_are_gray_levels() -> None:
    run = attack_run({"fmn(norm='linf')": (np.linspace(1, 20, 50) * 2 / 255).tolist()}, norm="linf")
    assert [radius * 255 for radius in default_radii([run])] == pytest.approx([4, 8, 16])
    wide = attack_run({"fmn": np.linspace(2, 40, 50).tolist()}, norm="linf", bounds=(0.0, 255.0))
    assert default_radii([wide]) == pytest.approx([4, 8, 16])
    large = attack_run({"fmn": (np.linspace(0.2, 0.7, 50) * 2).tolist()}, norm="linf")
    assert default_radii([large]) == [0.25, 0.5, 0.6]
    endless = (-np.inf, np.inf)  # no gray levels, but round numbers
    small = attack_run({"fmn": [0.042] * 50}, norm="linf", bounds=endless)
    assert default_radii([small]) == [0.02]


def test_where_nothing_is_known_beyond_a_radius_it_is_the_last() -> None:
    run = attack_run({"pgd": [0.1, 0.11, 0.29, INF, INF]}, limits={"pgd": 0.3})
    assert default_radii([run]) == [0.1, 0.3]
    failed = attack_run({"pgd": [INF, INF]}, limits={"pgd": 0.3})
    assert default_radii([failed]) == [0.3]


def test_the_radii_of_counts_are_whole() -> None:
    run = attack_run({"ddn": (np.linspace(3, 40, 50) / 10).tolist()})
    radii = default_radii([run], "l0")
    assert radii == [float(round(radius)) for radius in radii]
    assert len(radii) == 3


def test_without_a_success_there_are_none() -> None:
    assert default_radii([attack_run({"ddn": [INF, 0.0]})]) == []
    assert default_radii([attack_run({"ddn": []})]) == []


def test_attacks_at_fixed_radii_are_shown_there() -> None:
    small, large = (
        attack_run({"pgd": [radius, INF]}, limits={"pgd": radius}, fixed={"pgd": text})
        for radius, text in ((8 / 255, str(8 / 255)), (0.3, f"{8 / 255} 0.3"))
    )
    assert default_radii([small]) == [8 / 255]
    assert default_radii([large]) == [8 / 255, 0.3]
    assert default_radii([small, large]) == [8 / 255]  # both have searched there
    other = attack_run({"pgd": [0.5]}, limits={"pgd": 0.5}, fixed={"pgd": "0.5"})
    assert default_radii([small, other]) == [8 / 255, 0.5]
    assert default_radii([small, attack_run({"ddn": [1.0] * 10})]) == [8 / 255]
    with_ddn = attack_run({"pgd": [0.5], "ddn": [0.5]}, limits={"pgd": 0.5}, fixed={"pgd": "0.5"})
    assert default_radii([with_ddn]) == [0.5]
    without_norm = attack_run({"pgd": [0.5] * 9}, norm="linf", fixed={"pgd": "0.5"})
    assert default_radii([without_norm], "l2") == [0.5]
