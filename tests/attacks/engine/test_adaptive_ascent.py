"""APGD's ascent: its transcription, its losses, its restarts, and who leaves."""

from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.engine.searches import linear, problem_of, search_on, small_problem, threshold
from attacks.networks import Recorded
from minnorm.attacks.engine.adaptive_ascent import LossName, check_ascent, maximize
from minnorm.attacks.engine.search import Search
from minnorm.errors import InputError
from minnorm.geometry import Norm, norms
from reference.apgd import apgd_of_one_sample


class Reporting(Search):
    """A search that keeps the progress that it and its parts report."""

    reported: list[float]

    def report_progress(self, share: float) -> bool:
        self.reported.append(share)
        return False

    def _begin(self, *arguments: Any) -> "Reporting":
        part = Reporting(arguments[0], self.model, arguments[1])
        part.reported = self.reported
        return part


def settings(**changed: Any) -> dict[str, Any]:
    return {"steps": 10, "restarts": 1, "loss": "cross-entropy", "candidates": 1, **changed}


@pytest.mark.parametrize(
    ("norm", "loss", "steps"),
    [
        ("l2", "cross-entropy", 40),
        ("linf", "cross-entropy", 25),
        ("l2", "dlr", 40),
        ("linf", "targeted-dlr", 40),
    ],
)
def test_the_points_are_those_of_the_transcription(norm: Norm, loss: LossName, steps: int) -> None:
    model, inputs, labels = small_problem(batch=6)
    # So small that nothing is found, but so large that the loss is not linear.
    epsilon = 0.05 if norm == "l2" else 0.02
    recorded = Recorded(model)
    search = search_on(recorded, inputs, labels, norm=norm)
    radii = torch.full((6,), epsilon, dtype=torch.float64)
    maximize(search, radii, **settings(steps=steps, loss=loss))
    assert torch.equal(recorded.batches[0], inputs)
    whole = [batch for batch in recorded.batches[1:] if len(batch) == 6]
    assert len(whole) == steps + 1
    for index in range(6):
        expected = apgd_of_one_sample(
            model, inputs[index], int(labels[index]), whole[0][index],
            norm=norm, epsilon=epsilon, steps=steps, loss=loss,
        )  # fmt: skip
        for batch, point in zip(whole, expected, strict=True):
            torch.testing.assert_close(batch[index], point, atol=1e-7, rtol=0)


def test_step_sizes_in_a_large_ball_are_those_of_the_transcription() -> None:
    # No sample is found, so all of them pass all checkpoints; some halve their steps, some do not.
    model, inputs, labels = small_problem(batch=6)
    bonus = 15 * torch.nn.functional.one_hot(labels, 5).double()
    recorded = Recorded(lambda points: model(points) + bonus)
    search = search_on(recorded, inputs, labels)
    maximize(search, torch.full((6,), 3.0, dtype=torch.float64), **settings(steps=40))
    start, *points = recorded.batches[1:]
    for index in range(6):
        expected = apgd_of_one_sample(
            lambda given, index=index: model(given) + bonus[index],  # type: ignore[misc]
            inputs[index], int(labels[index]), start[index], norm="l2", epsilon=3.0, steps=40,
        )  # fmt: skip
        for batch, point in zip(points, expected[1:], strict=True):
            torch.testing.assert_close(batch[index], point, atol=1e-6, rtol=0)


@pytest.mark.parametrize("loss", ["cross-entropy", "dlr"])
def test_targeted_it_climbs_towards_the_wanted_class(loss: LossName) -> None:
    model, inputs, labels = small_problem(batch=20)
    wanted = (labels + 1) % 5
    search = search_on(model, inputs, wanted, targeted=True, radius_limit=1.5)
    radii = torch.full((20,), 1.5, dtype=torch.float64)
    maximize(search, radii, **settings(steps=30, loss=loss))
    result = search.result()
    assert float(result.success.float().mean()) > 0.8
    assert torch.equal(model(result.adversarials).argmax(1) == wanted, result.success)


@pytest.mark.parametrize("targeted", [False, True])
@pytest.mark.parametrize("loss", ["cross-entropy", "dlr"])
def test_targeted_and_untargeted_two_classes_are_the_same_problem(
    loss: LossName, targeted: bool
) -> None:
    # Of three classes one is far away, so the other two decide.
    model = linear([[1.0, 0.5], [-1.0, 0.25], [0.0, 0.0]], [0.3, 0.0, -2.0])
    inputs = torch.rand(5, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    inputs = inputs / 4 + 0.5
    labels = torch.full((5,), int(targeted))
    radii = torch.full((5,), 0.2, dtype=torch.float64)
    recorded = Recorded(model)
    search = search_on(recorded, inputs, labels, targeted=targeted)
    maximize(search, radii, **settings(steps=20, loss=loss))
    ends = recorded.batches[-1]
    # The optimum is at the end of the ball along the normal, far from the bounds.
    normal = torch.tensor([-2.0, -0.25], dtype=torch.float64)
    risen = (ends - inputs) @ normal / normal.norm()
    assert risen.tolist() == pytest.approx([0.2] * 5, rel=0.02)


def test_samples_leave_at_checkpoints_when_they_are_found() -> None:
    model, inputs, labels = small_problem(batch=20)
    recorded = Recorded(model)
    search = search_on(recorded, inputs, labels)
    radii = torch.full((20,), 0.3, dtype=torch.float64)
    maximize(search, radii, **settings(steps=40))
    sizes = [len(batch) for batch in recorded.batches]
    assert sizes == sorted(sizes, reverse=True)
    assert 0 < sizes[-1] < 20
    # The inputs, and the points up to the first checkpoint, after which samples leave.
    assert sizes[:11] == [20] * 11
    assert sizes[11] < 20
    found = search.result()
    assert found.success.any()
    assert (norms(found.adversarials - inputs) <= 0.3 + 1e-9).all()
    for index in range(0, 20, 4):
        alone = search_on(model, inputs[[index]], labels[[index]])
        maximize(alone, radii[:1], **settings(steps=40))
        single = alone.result()
        torch.testing.assert_close(single.adversarials[0], found.adversarials[index])


def test_it_ends_when_all_samples_have_been_found() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.45], [0.4]])
    search = search_on(recorded, inputs)
    maximize(search, torch.full((2,), 0.3), **settings(steps=40, restarts=5))
    # The inputs, and the points up to the first checkpoint.
    assert len(recorded.batches) == 1 + 10
    assert search.result().success.all()


def test_misclassified_samples_are_left_alone() -> None:
    recorded = Recorded(threshold)
    inputs = torch.tensor([[0.7], [0.1], [0.8]])
    search = search_on(recorded, inputs)
    maximize(search, torch.full((3,), 0.1), **settings(steps=3))
    assert [len(batch) for batch in recorded.batches] == [3, 1, 1, 1, 1]
    assert search.result().distances.tolist() == [0, torch.inf, 0]
    recorded.batches.clear()
    search = search_on(recorded, inputs[[0, 2]])
    maximize(search, torch.full((2,), 0.1), **settings(steps=3))
    assert len(recorded.batches) == 1


def test_each_restart_begins_at_another_point_of_the_ball() -> None:
    recorded = Recorded(threshold)
    inputs = torch.full((2, 3), 0.2)
    search = search_on(recorded, inputs)
    maximize(search, torch.tensor([0.1, 0.2]), **settings(steps=2, restarts=3))
    assert len(recorded.batches) == 1 + 3 * 3
    starts = [recorded.batches[place] - inputs for place in (1, 4, 7)]
    for start in starts:
        assert (norms(start) <= torch.tensor([0.1, 0.2]) + 1e-6).all()
        torch.testing.assert_close(start[1], 2 * start[0])
    assert not torch.allclose(starts[0], starts[1])
    assert not torch.allclose(starts[1], starts[2])


def test_radii_are_in_units() -> None:
    recorded = Recorded(lambda points: threshold(points / 16))
    inputs = torch.full((1, 2), 4.0)
    search = search_on(recorded, inputs, bounds=(0.0, 16.0))
    maximize(search, torch.tensor([0.125]), **settings(steps=10))
    lengths = torch.cat([norms(batch - inputs) for batch in recorded.batches])
    assert float(lengths.max()) == pytest.approx(2.0)


def hidden(points: Tensor) -> Tensor:
    """Return five logits; the most likely other class is out of reach, the next one is near."""
    near = 4 * points[:, 0] - 2.8
    high = torch.full_like(near, 0.9) - 0.1 * points[:, 1]
    return torch.stack([torch.ones_like(near), high - 0.5, near, near - 9, near - 9], 1)


@pytest.mark.parametrize(("candidates", "success"), [(1, False), (2, True)])
def test_the_targeted_ratio_aims_at_one_class_after_the_other(
    candidates: int, success: bool
) -> None:
    recorded = Recorded(hidden)
    search = search_on(recorded, torch.full((2, 3), 0.5))
    maximize(
        search, torch.full((2,), 0.6),
        **settings(steps=20, loss="targeted-dlr", candidates=candidates),
    )  # fmt: skip
    assert search.result().success.tolist() == [success] * 2


def test_other_losses_aim_at_one_class_whatever_the_candidates() -> None:
    recorded = Recorded(threshold)
    search = search_on(recorded, torch.full((1, 2), 0.1))
    maximize(search, torch.tensor([0.1]), **settings(steps=3, candidates=9))
    assert len(recorded.batches) == 1 + 4


def test_it_reports_the_progress_of_each_restart() -> None:
    search = Reporting(problem_of(torch.zeros(1, 2)), threshold)
    search.reported = []
    maximize(search, torch.tensor([0.1]), **settings(steps=4, restarts=2))
    assert search.reported == [0, 0.25, 0.5, 0.75] * 2


@pytest.mark.parametrize(
    ("classes", "loss", "least"), [(2, "dlr", 3), (3, "targeted-dlr", 4), (2, "targeted-dlr", 4)]
)
def test_too_few_classes_for_a_loss_are_refused(classes: int, loss: LossName, least: int) -> None:
    model, inputs, labels = small_problem(classes=classes)
    search = search_on(model, inputs, labels)
    message = rf"^this ratio of logits needs at least {least} classes, the model has {classes}: "
    with pytest.raises(InputError, match=message):
        maximize(search, torch.ones(8, dtype=torch.float64), **settings(loss=loss))


@pytest.mark.parametrize(
    ("classes", "loss"), [(2, "cross-entropy"), (3, "dlr"), (4, "targeted-dlr")]
)
def test_enough_classes_for_a_loss_are_taken(classes: int, loss: LossName) -> None:
    model, inputs, labels = small_problem(classes=classes)
    search = search_on(model, inputs, labels)
    maximize(search, torch.full((8,), 2.0, dtype=torch.float64), **settings(loss=loss, steps=20))
    assert search.result().success.all()


def test_a_nan_loss_is_the_worst_value() -> None:
    def model(points: Tensor) -> Tensor:
        logits = threshold(points)
        return torch.where(points[:, :1] > 0.3, torch.nan, logits)

    recorded = Recorded(model)
    inputs = torch.full((1, 1), 0.2)
    search = search_on(recorded, inputs)
    maximize(search, torch.tensor([0.25]), **settings(steps=30))
    result = search.result()
    assert not result.success.any()
    # Steps that ended in NaN are halved and go back, so the last points are not NaN.
    assert float(recorded.batches[-1]) <= 0.3 + 0.02


BAD: list[tuple[str, dict[str, Any]]] = [
    ("steps=0: expected a whole number of at least 1.", {"steps": 0}),
    ("restarts=0: expected a whole number of at least 1.", {"restarts": 0}),
    ("candidates=0: expected a whole number of at least 1.", {"candidates": 0}),
    ("norm='l1': expected 'l2' or 'linf'.", {"norm": "l1"}),
    (
        "loss='ce': expected one of 'cross-entropy', 'dlr', 'targeted-dlr'.",
        {"loss": "ce"},
    ),
    (
        "loss='targeted-dlr' chooses its own targets: use loss='dlr' for a targeted attack.",
        {"loss": "targeted-dlr", "targeted": True},
    ),
]


@pytest.mark.parametrize(("message", "changed"), BAD, ids=[message[:20] for message, _ in BAD])
def test_bad_arguments_are_refused(message: str, changed: dict[str, Any]) -> None:
    arguments: dict[str, Any] = {**settings(), "norm": "l2", "targeted": False}
    with pytest.raises(InputError) as raised:
        check_ascent(**{**arguments, **changed})
    assert str(raised.value) == message


@pytest.mark.parametrize(
    ("loss", "targeted"),
    [("cross-entropy", True), ("dlr", True), ("targeted-dlr", False), ("dlr", False)],
)
def test_good_arguments_pass(loss: str, targeted: bool) -> None:
    check_ascent(1, 1, 1, loss, "linf", targeted=targeted)
