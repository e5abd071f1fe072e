"""The judge: it counts, measures and predicts independently of the attack."""

import logging
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor

from attacks.networks import Linear, problem
from evaluation.judging import forged, judge, returning
from minnorm.acceleration import Accelerated
from minnorm.attacks import AttackResult, Model, ddn
from minnorm.attacks.contract import accepts_accelerated
from minnorm.errors import InputError
from minnorm.evaluation import evaluate
from minnorm.evaluation.records import NO_POINT
from minnorm.evaluation.running.judge import (
    Verdict,
    join_verdicts,
    run_and_judge,
)
from minnorm.geometry import NORM_ORDERS


def test_distances_are_measured_in_every_norm() -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    points = ddn(model, inputs, labels).adversarials
    verdict = judge(returning(points, distance=123.0), model, inputs, labels)
    assert verdict.success.all()
    change = (points - inputs).double()
    naive = {
        "l0": (change != 0).sum(1),
        "l1": change.abs().sum(1),
        "l2": change.square().sum(1).sqrt(),
        "linf": change.abs().amax(1),
    }
    assert set(verdict.distances) == set(NORM_ORDERS)
    for norm, found in verdict.distances.items():
        torch.testing.assert_close(found.double(), naive[norm].double(), rtol=1e-5, atol=1e-7)


def test_a_false_success_is_a_failure(caplog: pytest.LogCaptureFixture) -> None:
    model, inputs, labels = problem((4,))
    with caplog.at_level(logging.WARNING, logger="minnorm"):
        verdict = judge(returning(inputs.clone(), success=True), model, inputs, labels)
    assert not verdict.success.any()
    assert verdict.reported.all()
    assert all(distance.isinf().all() for distance in verdict.distances.values())
    assert "8 reported successes are failures (0 of them outside the bounds)" in caplog.text


def test_a_success_that_was_not_claimed_counts(caplog: pytest.LogCaptureFixture) -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    points = ddn(model, inputs, labels).adversarials
    with caplog.at_level(logging.WARNING, logger="minnorm"):
        verdict = judge(returning(points, success=False, distance=9.0), model, inputs, labels)
    assert verdict.success.all()
    assert not verdict.reported.any()
    assert torch.equal(verdict.adversarials, points)
    assert "8 successes were not reported" in caplog.text


@pytest.mark.parametrize("beyond", [1e-6, 0.5, torch.inf])
@pytest.mark.parametrize("side", [-1, 1])
def test_a_point_outside_the_bounds_is_a_failure(beyond: float, side: int) -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    points = ddn(model, inputs, labels).adversarials
    points[0, 2] = -beyond if side < 0 else 1 + beyond
    if points.isfinite().all():  # adversarial except for the bounds
        labels[0] = 1 - model(points)[0].argmax()
    verdict = judge(returning(points), model, inputs, labels)
    assert verdict.success.tolist() == [False] + [True] * 7
    assert verdict.distances["l2"][0] == torch.inf
    assert torch.equal(verdict.adversarials[0], inputs[0])


def test_a_point_that_holds_nan_is_a_failure() -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    points = ddn(model, inputs, labels).adversarials
    points[3, 1] = torch.nan
    verdict = judge(returning(points), model, inputs, labels)
    assert verdict.success.tolist() == [n != 3 for n in range(8)]
    assert verdict.predictions[3] == NO_POINT
    assert verdict.distances["l2"][3] == torch.inf


def test_a_point_at_infinity_is_a_failure_without_bounds() -> None:
    def model(inputs: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(inputs)), inputs[:, 0]], dim=1)

    inputs, labels = -torch.ones(2, 3), torch.zeros(2, dtype=torch.int64)
    points = inputs.clone()
    points[:, 0] = torch.tensor([1.0, torch.inf])
    verdict = judge(returning(points), model, inputs, labels, bounds=(-torch.inf, torch.inf))
    assert verdict.success.tolist() == [True, False]
    assert torch.equal(verdict.success, verdict.distances["l2"].isfinite())


@pytest.mark.parametrize(
    ("points", "message"),
    [
        (torch.zeros(8, 5), r"returned torch.float32 of shape \[8, 5\]; expected .* \[8, 4\]"),
        (torch.zeros(7, 4), r"shape \[7, 4\]"),
        (torch.zeros(8, 4, dtype=torch.float64), "returned torch.float64"),
    ],
    ids=["features", "samples", "dtype"],
)
def test_points_of_another_shape_or_dtype_are_refused(points: Tensor, message: str) -> None:
    model, inputs, labels = problem((4,))
    with pytest.raises(InputError, match=f"test {message}" if "returned" in message else message):
        judge(returning(points), model, inputs, labels)


def test_flags_of_another_shape_are_refused() -> None:
    model, inputs, labels = problem((4,))

    def attack(_: Model, inputs: Tensor, __: Tensor, /, **given: Any) -> AttackResult:  # noqa: ARG001 - what every attack gets
        return forged(inputs, torch.zeros(8), torch.zeros(8, 1, dtype=torch.bool))

    with pytest.raises(
        InputError, match=r"test returned success flags of shape \[8, 1\]; .* \[8\]"
    ):
        judge(attack, model, inputs, labels)


def test_a_misclassified_sample_is_at_distance_0() -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    wrong = 1 - labels
    verdict = judge(partial(ddn, steps=5), model, inputs, wrong)
    assert verdict.success.all()
    assert all((distance == 0).all() for distance in verdict.distances.values())
    assert torch.equal(verdict.adversarials, inputs)


def test_a_sample_of_its_target_class_is_at_distance_0() -> None:
    model, inputs, labels = problem((4,))
    verdict = judge(partial(ddn, steps=5), model, inputs, labels, targeted=True)
    assert verdict.success.all()
    assert (verdict.distances["l2"] == 0).all()


def test_a_targeted_attack_that_reaches_another_class_has_failed() -> None:
    model, inputs, labels = problem((4,), classes=3, network=Linear)
    points = ddn(model, inputs, labels).adversarials
    reached = model(points).argmax(1)
    targets = 3 - labels - reached  # the class that is neither the label nor the one reached
    assert not judge(returning(points), model, inputs, targets, targeted=True).success.any()
    assert judge(returning(points), model, inputs, reached, targeted=True).success.all()


@pytest.mark.parametrize("changed", ["inputs", "labels"])
def test_an_attack_that_overwrites_its_arguments_gains_nothing(changed: str) -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    kept = {"inputs": inputs.clone(), "labels": labels.clone()}

    def attack(model: Model, inputs: Tensor, labels: Tensor, /, **_: Any) -> AttackResult:
        points = ddn(model, inputs, labels, steps=5).adversarials
        if changed == "inputs":
            inputs.copy_(points)
        else:
            labels.copy_(1 - labels)
        return returning(points)(model, inputs, labels)

    records = evaluate(model, (inputs, labels), [attack, "ddn(steps=20)"]).records
    expected = evaluate(model, (kept["inputs"], kept["labels"]), ["ddn(steps=5)", "ddn(steps=20)"])
    for column in ("label", "adversarial_prediction", "success", "l2"):
        found = records.column(column).to_pylist()
        assert found == expected.records.column(column).to_pylist(), column


@pytest.mark.parametrize("change", ["train", "parameter", "buffer"])
def test_an_attack_that_changes_the_model_is_refused(change: str) -> None:
    model, inputs, labels = problem((2, 3))
    model.register_buffer("extra", torch.zeros(1))

    def attack(_: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
        if change == "train":
            model.train()
        else:
            tensors = model.parameters() if change == "parameter" else model.buffers()
            with torch.no_grad():
                next(iter(tensors)).add_(1)
        return (
            ddn(model, inputs, labels, **given)
            if change != "train"
            else returning(inputs)(model, inputs, labels)
        )

    with pytest.raises(InputError, match="test changed the model: its training mode, parameters"):
        judge(attack, model, inputs, labels)


def test_a_result_of_another_type_is_refused() -> None:
    model, inputs, labels = problem((4,))

    def attack(*_: Any, **__: Any) -> Any:
        return inputs

    with pytest.raises(InputError, match="test returned a Tensor; expected an AttackResult"):
        judge(attack, model, inputs, labels)


def test_an_accelerated_model_goes_to_marked_attacks_alone_and_the_original_judges() -> None:
    model, inputs, labels = problem((4,))

    def wrong(given: Tensor) -> Tensor:
        logits: Tensor = model(given)
        return logits.roll(1, 1)

    fast = Accelerated(model, wrong, None, "it", ())
    seen: list[Model] = []

    def plain(model: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
        seen.append(model)
        return ddn(model, inputs, labels, steps=5, **given)

    @accepts_accelerated
    def marked(model: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
        return plain(model, inputs, labels, **given)

    plain.__module__ = "minnorm.attacks.mine"  # the place of the code does not matter
    unmarked = judge(plain, fast, inputs, labels)
    assert not isinstance(seen[0], Accelerated)
    expected = judge(partial(ddn, steps=5), model, inputs, labels)
    assert torch.equal(unmarked.adversarials, expected.adversarials)
    verdict = judge(marked, fast, inputs, labels)
    assert isinstance(seen[1], Accelerated)
    with torch.no_grad():
        assert torch.equal(verdict.predictions, model(verdict.adversarials).argmax(1))


def verdict_of(samples: int, spent: tuple[float, float, float]) -> Verdict:
    values = torch.arange(float(samples))
    return Verdict(
        adversarials=values,
        predictions=values.long(),
        success=values > 0,
        reported=values > 1,
        distances=dict.fromkeys(NORM_ORDERS, values),
        spent=spent,
    )


def test_verdicts_on_parts_join_to_that_on_the_batch() -> None:
    joined = join_verdicts([verdict_of(1, (4.0, 8.0, 0.5)), verdict_of(3, (8.0, 4.0, 1.5))])
    assert joined.adversarials.tolist() == [0.0, 0.0, 1.0, 2.0]
    assert joined.predictions.tolist() == [0, 0, 1, 2]
    assert joined.success.tolist() == [False, False, True, True]
    assert joined.reported.tolist() == [False, False, False, True]
    for norm in NORM_ORDERS:
        assert joined.distances[norm].tolist() == [0.0, 0.0, 1.0, 2.0]
    assert joined.spent == (7.0, 5.0, 1.25)  # means over the samples
    single = verdict_of(2, (0.1, 0.2, 0.3))
    assert join_verdicts([single]) is single


def test_an_attack_gets_the_bounds_the_goal_and_a_generator_with_the_seed() -> None:
    model, inputs, labels = problem((4,))
    seen: list[dict[str, Any]] = []

    def attack(_: Model, inputs: Tensor, labels: Tensor, /, **given: Any) -> AttackResult:
        seen.append(given)
        return returning(inputs)(model, inputs, labels)

    for targeted in (False, True):
        run_and_judge(
            "test", attack, model, inputs, labels, targeted=targeted, bounds=(-1.0, 2.0), seed=7
        )
    assert [given["targeted"] for given in seen] == [False, True]
    for given in seen:
        assert given["bounds"] == (-1.0, 2.0)
        assert given["generator"].initial_seed() == 7
        assert given["generator"].device == inputs.device


def test_a_point_on_the_bounds_is_inside() -> None:
    def model(inputs: Tensor) -> Tensor:
        return torch.stack([torch.zeros(len(inputs)), inputs[:, 0] - inputs[:, 1]], dim=1)

    inputs, labels = torch.tensor([[0.2, 0.6]]), torch.tensor([0])
    verdict = judge(returning(torch.tensor([[1.0, 0.0]])), model, inputs, labels)
    assert verdict.success.tolist() == [True]


def test_only_disagreements_with_the_judge_are_reported(caplog: pytest.LogCaptureFixture) -> None:
    model, inputs, labels = problem((4,), classes=2, network=Linear)
    points = ddn(model, inputs, labels).adversarials
    points[:3] = inputs[:3]  # failures
    points[3, 0] = 2.0  # outside the bounds
    claims = torch.tensor([True, False, False, True, False, False, True, True])

    def attack(model: Model, inputs: Tensor, *_: Any, **__: Any) -> AttackResult:
        model(inputs)
        return forged(points, torch.zeros(8), claims)

    with caplog.at_level(logging.WARNING, logger="minnorm"):
        verdict = judge(attack, model, inputs, labels)
        assert verdict.success.tolist() == 4 * [False] + 4 * [True]
        assert (
            "test: the evaluation and the attack disagree on 4 samples: 2 reported successes are "
            "failures (1 of them outside the bounds), 2 successes were not reported."
        ) in caplog.text
        caplog.clear()
        claims = verdict.success
        judge(attack, model, inputs, labels)
        assert caplog.text == ""
