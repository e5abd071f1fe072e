"""The votes of a random model, made by hand, and against draws one sample at a time."""

import pytest
import torch
from torch import nn

from evaluation.judging import judge, returning
from minnorm.attacks.engine.draw_shares import JUDGING, draw_seeds
from minnorm.evaluation.running.votes import Votes, decide, votes_on_inputs
from minnorm.logits import predictions
from minnorm.models import averaged
from minnorm.models.averaged import single_draw
from models.random_models import Shifted


def classes(votes: Votes, labels: list[int], *, targeted: bool = False) -> list[int]:
    decision = votes.for_inputs(torch.tensor(labels), targeted)
    return predictions(decision.logits).tolist()


SHARES = torch.tensor(
    [[0.6, 0.3, 0.1], [0.45, 0.3, 0.25], [0.5, 0.2, 0.3], [0.3, 0.0, 0.0], [0.0, 0.0, 0.0]]
).double()
"""The shares of three classes; in the last two samples most draws, or all, are NaN."""


def test_a_sample_is_misclassified_from_the_threshold_on() -> None:
    labels = [0, 0, 0, 0, 0]
    # The wrong shares are 0.4, 0.55, 0.5, 0.7 and 1.
    assert classes(Votes(SHARES, 0.5), labels) == [0, 1, 2, -1, -1]
    assert classes(Votes(SHARES, 0.6), labels) == [0, 0, 0, -1, -1]
    assert classes(Votes(SHARES, 0.3), labels) == [1, 1, 2, -1, -1]
    assert classes(Votes(SHARES, 1.0), labels) == [0, 0, 0, 0, -1]


def test_an_input_reaches_a_target_from_the_threshold_on() -> None:
    targets = [1, 1, 2, 0, 1]
    assert classes(Votes(SHARES, 0.3), targets, targeted=True) == [1, 1, 2, 0, -1]
    assert classes(Votes(SHARES, 0.31), targets, targeted=True)[:3] == [0, 0, 0]


def test_draws_with_nan_are_no_success_of_an_attack() -> None:
    labels = torch.zeros(5, dtype=torch.int64)
    decision = Votes(SHARES, 0.5).for_points(labels, False)
    assert decision.shares is not None
    assert decision.shares.tolist() == pytest.approx([0.4, 0.55, 0.5, 0.0, 0.0])
    assert predictions(decision.logits).tolist() == [0, 1, 2, 0, 0]


@pytest.mark.parametrize("targeted", [False, True])
def test_shares_are_those_of_the_draws_of_each_sample_alone(targeted: bool) -> None:
    part = averaged(Shifted(0.2), draws=3)
    model = nn.Sequential(part).eval()
    points = torch.linspace(-0.2, 0.2, 5).unsqueeze(1).expand(5, 4).contiguous()
    labels = torch.tensor([1, 0, 1, 0, 0])
    decision = decide(model, points, labels, targeted=targeted)
    seeds = draw_seeds(part, JUDGING)
    found = torch.zeros(5, dtype=torch.float64)
    for seed in seeds:
        for row in range(5):
            with single_draw(seed), torch.no_grad():
                same = model(points[row : row + 1]).argmax(1).item() == labels[row]
            found[row] += same == targeted
    assert decision.shares is not None
    torch.testing.assert_close(decision.shares, found / len(seeds))


def test_other_models_have_no_votes() -> None:
    points, labels = torch.rand(3, 4), torch.zeros(3, dtype=torch.int64)
    assert votes_on_inputs(Shifted(0.0), points, labels, "data") is None
    decision = decide(Shifted(0.0), points, labels, targeted=False)
    assert decision.shares is None
    assert torch.equal(decision.logits, Shifted(0.0)(points))


def test_the_judge_rejects_a_point_that_holds_only_for_the_draws_that_the_attack_has_seen(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = averaged(Shifted(1.0), draws=1)
    shift = model(torch.zeros(1, 4))[0, 0].item()
    # The boundary of the only draw is where the entries sum up to the negative shift.
    lucky = torch.full((1, 4), 0.25 * (-shift - 1e-3))
    unlucky = lucky + 0.25 * 2e-3
    label = torch.tensor([0] if shift < 0 else [1])
    point = lucky if shift < 0 else unlucky
    assert model(point).argmax(1) != label
    origin = torch.zeros(1, 4) - torch.sign(torch.tensor(shift)) * 0.9
    verdict = judge(returning(point), model, origin, label, bounds=(-1.0, 1.0))
    assert verdict.shares is not None
    assert verdict.shares.item() < 0.5
    assert not verdict.success.any()
    assert verdict.reported.all()
    assert verdict.distances["l2"].item() == torch.inf
    assert torch.equal(verdict.adversarials, origin)
    assert "draws of the random model that the attack has not seen" in caplog.text
    # Far beyond the boundary a point holds in nearly all draws.
    far = judge(returning(-origin), model, origin, label, bounds=(-1.0, 1.0))
    assert far.shares is not None
    assert far.shares.item() > 0.9
    assert far.success.all()
