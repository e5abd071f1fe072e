"""Attacks in the training loop: what they cost, and the network that they see."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.training import Adversarial, load_recipe, train
from training import small_runs
from training.small_runs import log_of, network, recipe_of


@pytest.mark.parametrize(
    ("objective", "forwards", "gradients"),
    [
        ("clean", 0, 0),
        ("madry(epsilon=0.5, steps=3)", 3, 3),
        ("ddn(max_norm=0.5, steps=5)", 6, 5),  # the last point is classified too
        ("ensemble(models=['zoo:mnist-cnn'], epsilon=0.1)", 1, 1),
        ("trades(epsilon=0.1, steps=2)", 3, 2),
    ],
)
def test_the_passes_of_attacks_are_counted(
    digits: Path, tmp_path: Path, objective: str, forwards: float, gradients: float
) -> None:
    card = train(recipe_of(digits, objective=objective, epochs=2), tmp_path)
    assert card.forwards_per_image == 2 * forwards
    assert card.gradients_per_image == 2 * gradients


def of_even_labels() -> Adversarial:
    """Return an objective whose attack perturbs only the samples of even labels."""

    def perturb(_: nn.Module, inputs: Tensor, labels: Tensor, *__: Any) -> Tensor:
        return torch.where((labels % 2 == 0).view(-1, 1, 1, 1), 1 - inputs, inputs)

    def loss(model: nn.Module, _: Tensor, points: Tensor, labels: Tensor) -> Tensor:
        return cross_entropy(model(points), labels)

    return Adversarial(perturb, loss)


def test_the_log_has_the_share_of_perturbed_samples(digits: Path, tmp_path: Path) -> None:
    objective = {1: f"{__name__}:of_even_labels", 2: "madry(epsilon=1)", 3: "clean"}
    recipe = recipe_of(digits, objective=objective)
    train(recipe, tmp_path)
    _, labels = load_data(recipe.data).batch(range(384))  # in twelve full batches
    even = float((labels % 2 == 0).float().mean())
    assert [line["moved"] for line in log_of(tmp_path)] == pytest.approx([even, 1, 0])


def test_gradients_are_backward_passes(digits: Path, tmp_path: Path) -> None:
    attack = "closest(max_norm=1, attack='deepfool(steps=2)')"
    card = train(recipe_of(digits, objective=attack, epochs=1), tmp_path)
    assert card.forwards_per_image is not None
    assert card.gradients_per_image is not None
    assert card.gradients_per_image > 2 * card.forwards_per_image  # one for each candidate


def test_attacks_use_the_compiled_network_too(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bool] = []

    def compiled(forward: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
        network: nn.Module = forward.__self__  # type: ignore[attr-defined]

        def run(inputs: Tensor) -> Tensor:
            asked.append(network.training)
            return forward(inputs)

        return run

    monkeypatch.setattr(torch, "compile", compiled)
    recipe = recipe_of(digits, objective="madry(epsilon=0.5, steps=2)", epochs=1, compile=True)
    train(recipe, tmp_path)
    batches = 12
    assert asked[: 3 * batches] == [False, False, True] * batches


def test_the_attack_has_the_precision_of_the_update(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: set[tuple[bool, torch.dtype]] = set()

    def watch(module: nn.Module, _: object, logits: Tensor) -> None:
        seen.add((module.training, logits.dtype))

    def watched() -> nn.Module:
        made = network()
        made.register_forward_hook(watch)
        return made

    monkeypatch.setattr(small_runs, "network", watched)
    objective = "madry(epsilon=0.5, steps=1)"
    train(recipe_of(digits, precision="bf16-mixed", objective=objective, epochs=1), tmp_path)
    # Validation is in float32.
    assert seen == {(True, torch.bfloat16), (False, torch.bfloat16), (False, torch.float32)}


def in_words(model: nn.Module, inputs: Tensor, labels: Tensor) -> object:
    return f"{len(inputs)} inputs, {len(labels)} labels of {model}"


def failing(model: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
    raise KeyError(f"no weight for {len(labels)} of {model(inputs).shape}")


def objective_of(name: str) -> object:
    """Return an objective of this file by its name."""
    return globals()[name]


def without_points() -> Adversarial:
    """Return an objective whose attack returns no points."""
    return Adversarial(lambda *_: None, lambda *_: None)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("objective_of(name='in_words')", "the objective returned a str; expected a scalar tensor"),
        (
            "objective_of(name='failing')",
            r"objective: .*\(name='failing'\) raised KeyError: 'no weight for 32",
        ),
        ("without_points", r"objective: .*:without_points: perturb returned NoneType; expected"),
    ],
)
def test_errors_of_a_user_s_objective_are_explained(
    digits: Path, tmp_path: Path, objective: str, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train(recipe_of(digits, objective=f"{__name__}:{objective}"), tmp_path)


def test_a_run_that_ended_at_once_leaves_the_folder_free(digits: Path, tmp_path: Path) -> None:
    failed = recipe_of(digits, objective=f"{__name__}:objective_of(name='failing')")
    for _ in range(2):
        with pytest.raises(InputError, match=r"objective: .*failing.* raised KeyError"):
            train(failed, tmp_path)
    recipe = recipe_of(digits, epochs=1)
    train(recipe, tmp_path)
    assert load_recipe(tmp_path / "recipe.json", trust=True) == recipe
