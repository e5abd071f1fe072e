"""The weights of the best epoch and their card."""

from pathlib import Path

import pytest
import torch
from torch import nn

from minnorm.data import load_data
from minnorm.errors import InputError
from minnorm.files import file_sha256
from minnorm.models import Card, load_model
from minnorm.runtime import provenance
from minnorm.training import Recipe, RobustValidation, accuracy, load_recipe, robust_accuracy, train
from training import small_runs
from training.small_runs import NETWORK, log_of, recipe_of


def test_the_folder_holds_the_files_of_a_zoo_network(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, card = undisturbed
    assert sorted(file.name for file in folder.iterdir()) == [
        ".lock",
        "before.ckpt",
        "last.ckpt",
        "log.jsonl",
        "recipe.json",
        "tensorboard",
        "tiny-last.safetensors",
        "tiny.json",
        "tiny.safetensors",
    ]
    recipe = recipe_of(digits)
    assert load_recipe(folder / "recipe.json", trust=True) == recipe
    assert Card.model_validate_json((folder / "tiny.json").read_text()) == card
    assert (card.name, card.data, card.architecture) == ("tiny", recipe.data, NETWORK)
    assert Recipe.model_validate(card.recipe) == recipe
    assert card.sha256 == file_sha256(folder / "tiny.safetensors")
    assert (folder / "tiny.safetensors").stat().st_mode == (folder / "recipe.json").stat().st_mode
    assert card.fingerprints == {
        spec: load_data(spec).fingerprint for spec in (recipe.data, recipe.validation, recipe.test)
    }
    (session,) = card.sessions
    assert session["ranks"] == 1
    described = provenance.describe(torch.device("cpu"))
    described["revision"] = session["revision"]  # a commit since the run may have changed it
    assert described.items() <= session.items()


def test_the_card_has_the_accuracy_of_the_best_epoch(
    undisturbed: tuple[Path, Card], digits: Path
) -> None:
    folder, card = undisturbed
    recipe = recipe_of(digits)
    model = load_model(str(folder / "tiny.safetensors"), trust=True)
    assert card.accuracy == {
        spec: accuracy(model, load_data(spec)) for spec in (recipe.validation, recipe.test)
    }
    best = max(line["validation_accuracy"] for line in log_of(folder))
    assert card.accuracy[recipe.validation] == best
    assert card.robust_accuracy == {}


def test_the_card_has_the_robust_accuracy_and_the_passes_of_attacks(
    digits: Path, tmp_path: Path
) -> None:
    validation = RobustValidation(attack="ddn(steps=20)", epsilon=0.5, images=48)
    recipe = recipe_of(
        digits,
        epochs=2,
        objective="madry(epsilon=0.5, steps=3)",
        robust_validation=validation.model_dump(),
    )
    card = train(recipe, tmp_path)
    model = load_model(str(tmp_path / "tiny.safetensors"), trust=True)
    test = robust_accuracy(model, load_data(recipe.test), validation)
    name = f"{recipe.test}, drawn 48: ddn(steps=20) within 0.5"
    assert card.robust_accuracy == {name: test}
    assert (card.forwards_per_image, card.gradients_per_image) == (6, 6)


def test_a_network_that_differs_each_time_is_refused(
    digits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = iter(range(10, 100))

    def wider() -> nn.Module:
        width = next(widths)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, width), nn.Linear(width, 10))

    monkeypatch.setattr(small_runs, "network", wider)
    with pytest.raises(InputError, match=r"architecture: .* is not the network that was trained"):
        train(recipe_of(digits, epochs=1), tmp_path)
