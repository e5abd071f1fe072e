"""Evaluations of random models: each part of a record against draws made by hand."""

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from evaluation.small_runs import DATA, SHARDS, run
from minnorm.attacks.engine.draw_shares import JUDGING, draw_seeds
from minnorm.data import load_data
from minnorm.errors import RunConflictError
from minnorm.evaluation import Evaluation, accuracy_at, clean_accuracy, load_run, of_attack
from minnorm.evaluation.selection import values_of
from minnorm.models import Averaged
from minnorm.models.averaged import single_draw
from models.random_models import noisy_digits

SPEC = "models.random_models:noisy_digits"
ATTACKS = ["ddn(steps=4)", "pgd(epsilon=0.5, steps=3)"]


def run_of(out: Path | None, spec: str = SPEC, **changes: Any) -> Evaluation:
    return run(out, **{"model": spec, "attacks": ATTACKS, **changes})


def shares(points: Tensor, labels: Tensor) -> Tensor:
    """Return the shares of draws that misclassify the points."""
    model = noisy_digits()
    assert isinstance(model, Averaged)
    wrong = torch.zeros(len(points), dtype=torch.float64)
    seeds = draw_seeds(model, JUDGING)
    for seed in seeds:
        with single_draw(seed), torch.no_grad():
            wrong += model(points).argmax(1) != labels
    return wrong / len(seeds)


@pytest.fixture(scope="module")
def random_run(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    return run_of(tmp_path_factory.mktemp("random") / "run")


def test_records_hold_the_shares_of_draws_and_what_follows_from_them(
    random_run: Evaluation,
) -> None:
    inputs, labels = load_data(DATA).batch(range(12))
    wrong = shares(inputs, labels)
    is_wrong = wrong >= 0.5
    assert is_wrong.any()
    assert not is_wrong.all()
    for attack in ATTACKS:
        records = of_attack(random_run.records, attack)
        torch.testing.assert_close(torch.tensor(values_of(records, "clean_share")), 1 - wrong)
        predicted = torch.tensor(values_of(records, "clean_prediction"))
        assert torch.equal(predicted != labels, is_wrong)
        success = torch.tensor(values_of(records, "success"))
        assert success[is_wrong].all()
        found = torch.tensor(values_of(records, "l2"))
        assert (found[is_wrong] == 0).all()
        kept = torch.as_tensor(random_run.adversarials(attack).adversarials)
        held = torch.tensor(values_of(records, "adversarial_share"))
        rows = success & ~is_wrong
        torch.testing.assert_close(held[rows], shares(kept, labels)[rows])
        assert (held[rows] >= 0.5).all()
        assert (held[~success] < 0.5).all()
        classes = torch.tensor(values_of(records, "adversarial_prediction"))
        assert torch.equal(classes != labels, success)
    ddn = of_attack(random_run.records, ATTACKS[0])
    assert values_of(ddn, "success").all()


def test_the_accuracy_under_attack_never_exceeds_the_clean_accuracy(
    random_run: Evaluation,
) -> None:
    for attack in ATTACKS:
        records = of_attack(random_run.records, attack)
        clean = clean_accuracy(records).value
        assert accuracy_at(records, 0.0).value <= clean
        assert accuracy_at(records, 0.5).value <= clean


def test_the_cost_counts_calls_of_the_average(random_run: Evaluation) -> None:
    records = of_attack(random_run.records, ATTACKS[0])
    # Four steps, and at most 18 confirmations of 100 draws, of which the average has 4.
    assert (values_of(records, "backwards") >= 4).all()
    assert (values_of(records, "backwards") <= 5).all()
    assert (values_of(records, "forwards") >= 4 + 100 / 4).all()
    assert (values_of(records, "forwards") <= 12 + 18 * 100 / 4).all()


def test_the_manifest_says_what_the_draws_were(random_run: Evaluation) -> None:
    assert random_run.manifest["configuration"]["random_draws"] == {
        "draws": 4,
        "seed": 0,
        "threshold": 0.5,
        "judged": 100,
    }


def test_a_run_continues_with_the_same_draws_and_no_others(
    random_run: Evaluation, tmp_path: Path
) -> None:
    again = tmp_path / "again"
    run_of(again)
    (again / "records" / f"{SHARDS[2]}.parquet").unlink()
    assert (
        run_of(again)
        .records.drop_columns("seconds")
        .equals(random_run.records.drop_columns("seconds"))
    )
    assert load_run(again).records.num_rows == 24
    with pytest.raises(RunConflictError, match=r"random_draws: 4 with seed 0.*, 5 with seed 0"):
        run_of(again, f"{SPEC}(draws=5)")


def test_a_higher_threshold_needs_larger_perturbations(random_run: Evaluation) -> None:
    other = run_of(None, f"{SPEC}(threshold=0.9)", attacks=ATTACKS[:1])
    usual, strict = of_attack(random_run.records, ATTACKS[0]), other.records
    held = values_of(strict, "adversarial_share")[values_of(strict, "success")]
    # A sample that is misclassified from the start may have been so in few draws more.
    assert (held >= 0.9).all()
    assert clean_accuracy(strict).value >= clean_accuracy(usual).value
    both = values_of(usual, "success") & values_of(strict, "success")
    assert (values_of(strict, "l2") >= values_of(usual, "l2"))[both].all()


def test_targets_are_reached_in_the_share_of_draws() -> None:
    found = run_of(None, targets="least-likely", attacks=ATTACKS[:1], data="mnist-sample[:4]")
    success = values_of(found.records, "success")
    assert success.any()
    assert (values_of(found.records, "adversarial_share")[success] >= 0.5).all()
    targets = values_of(found.records, "target")
    assert (values_of(found.records, "adversarial_prediction")[success] == targets[success]).all()
    assert not math.isnan(values_of(found.records, "clean_share").sum())
