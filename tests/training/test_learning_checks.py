"""Signs that a training does not learn."""

import math

import pytest

from minnorm.training.learning_checks import diverges, learns_nothing


def log(*losses: float) -> list[dict[str, float]]:
    return [{"epoch": number, "loss": loss} for number, loss in enumerate(losses, 1)]


@pytest.mark.parametrize(
    ("losses", "message"),
    [
        ((25.0,), "epoch 1: the mean loss is 25 (11 times that of guessing among 10 classes)"),
        ((0.5, 400.0), "epoch 2: the mean loss is 400 (174 times that of guessing"),
        ((2.0, 0.5, 2.4), "epoch 3: the mean loss is 2.4 (it was 0.5 before, and guessing"),
        ((2.3, 2.25), None),
        ((20.0,), None),  # the first epoch of a network with large initial weights
        ((0.1, 1.5), None),  # it has risen, but is better than guessing
        ((1.0, 2.9), None),
    ],
)
def test_a_loss_that_explodes_is_told(losses: tuple[float, ...], message: str | None) -> None:
    found = diverges(log(*losses), spec="clean", start=1, classes=10)
    if message is None:
        assert found == ""
        return
    assert message in found
    assert "lower optimizer.learning_rate" in found


def test_only_losses_of_the_same_objective_are_compared() -> None:
    losses = log(0.1, 0.1, 2.4, 2.4)
    assert diverges(losses, spec="madry(epsilon=0.3)", start=3, classes=10) == ""
    assert diverges(losses, spec="madry(epsilon=0.3)", start=1, classes=10)


def test_the_scale_of_a_user_s_loss_is_unknown() -> None:
    assert diverges(log(1e6), spec="mine:objective(weight=100)", start=1, classes=10) == ""


def test_a_network_of_one_class_can_be_checked() -> None:
    assert diverges(log(0.0), spec="clean", start=1, classes=1) == ""


@pytest.mark.parametrize(
    ("accuracy", "constant", "told"),
    [
        (0.1, 0.1, True),
        (0.09, 0.1135, True),
        (0.0, 0.1, True),
        (0.12, 0.1135, False),
        (0.95, 0.95, True),  # nearly all samples are of one class
        (1.0, 1.0, False),  # all are: nothing else could be predicted
    ],
)
def test_a_network_no_better_than_a_constant_prediction_is_told(
    accuracy: float, constant: float, told: bool
) -> None:
    measured = {"epoch": 2, "validation_accuracy": accuracy, "loss": math.log(10)}
    found = learns_nothing(measured, constant=constant, data="mnist[:500]")
    assert bool(found) == told
    if told:
        assert f"epoch 2: the accuracy on mnist[:500] is {accuracy:.2%}" in found
        assert f"predicting the same class for all samples ({constant:.2%})" in found
