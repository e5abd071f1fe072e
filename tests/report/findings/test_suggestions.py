"""Suggested attacks: each needs no more of a model than a run has used, and is another one."""

import re

import pytest

from evaluation.record_tables import INF
from minnorm.access import ACCESSES, Access, allows
from minnorm.attacks import ENTRIES, load_attack
from minnorm.attacks.composition import norm_of
from minnorm.geometry import Norm
from minnorm.report.findings.attack_findings import attack_findings
from minnorm.report.findings.suggestions import closest_attacks, examples
from report.findings.whole_findings import by_kind
from report.made_runs import attack_run


@pytest.mark.parametrize("access", ACCESSES)
@pytest.mark.parametrize("norm", ["l2", "linf"])
def test_suggested_attacks_search_for_the_closest_adversarial(access: Access, norm: Norm) -> None:
    best, other = closest_attacks(access, norm)
    for spec in (best, other):
        entry = ENTRIES[spec.partition("(")[0]]
        assert allows(access, entry.access)
        assert entry.goal == "closest"
        assert norm_of([load_attack(spec)]) == norm
    assert best.partition("(")[0] != other.partition("(")[0]
    assert best in examples(access)


@pytest.mark.parametrize("spec", sorted(ENTRIES))
def test_no_finding_suggests_an_attack_that_needs_more_of_the_model(spec: str) -> None:
    used = ENTRIES[spec].access
    for distances, limits in (([1.0] * 30, None), ([INF] * 30, {spec: 0.5}), ([INF] * 30, None)):
        run = attack_run({spec: distances}, limits=limits, costs={spec: 0.0})
        found = by_kind(attack_findings(run))
        assert "single-attack" in found
        advice = " ".join(f"{one.text} {one.advice}" for one in found.values())
        named = {name for name in ENTRIES if re.search(rf"\b{name}\b", advice)}
        assert len(named) > 1
        assert all(allows(used, ENTRIES[name].access) for name in named)
        assert ("gradient" in advice) <= (used == "gradients")


def test_a_second_attack_is_of_the_norm_of_the_first_one() -> None:
    run = attack_run({"square_min_norm(norm=linf)": [1.0] * 30}, norm="linf")
    advice = by_kind(attack_findings(run))["single-attack"].advice
    assert re.search(r"--attack 'square_min_norm\(norm=linf\)' --attack '\w+\(norm=linf\)'", advice)
