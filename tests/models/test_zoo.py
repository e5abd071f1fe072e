"""The zoo: every shipped network has its card, its weights and its accuracy."""

import json
import shutil
from pathlib import Path

import pytest
import torch

from minnorm.data import load_data
from minnorm.errors import InputError, MissingFileError
from minnorm.files import file_sha256
from minnorm.models import (
    fingerprint,
    load_model,
    load_zoo,
    mnist_cnn,
    save_weights,
    zoo,
    zoo_cards,
    zoo_folder,
)

EXCERPT = Path(__file__).parent / "cifar10-excerpt.npz"
CIFAR10_NETWORKS = sorted(name for name in zoo_cards() if name.startswith("cifar10-"))


def _accuracy(model: str, data: str) -> float:
    samples = load_data(data)
    inputs, labels = samples.batch(range(len(samples)))
    with torch.no_grad():
        return float((load_model(model)(inputs).argmax(1) == labels).float().mean())


def test_mnist_cnn_is_in_the_zoo_and_as_good_as_the_paper_s() -> None:
    assert "mnist-cnn" in zoo_cards()
    assert zoo_cards()["mnist-cnn"].accuracy["mnist"] >= 0.993
    assert _accuracy("zoo:mnist-cnn", "mnist-sample") >= 0.985


@pytest.mark.parametrize("name", CIFAR10_NETWORKS)
def test_the_cifar10_networks_are_as_accurate_on_an_excerpt_as_on_the_test_set(name: str) -> None:
    # Of 200 images, 4 standard deviations of an accuracy of 0.85 are 0.1.
    assert abs(_accuracy(f"zoo:{name}", str(EXCERPT)) - zoo_cards()[name].accuracy["cifar10"]) < 0.1


def test_the_accuracies_on_the_cards_are_those_expected() -> None:
    accuracies = {name: zoo_cards()[name].accuracy["cifar10"] for name in CIFAR10_NETWORKS}
    assert accuracies["cifar10-cnn"] >= 0.8
    assert min(accuracies.values()) >= 0.75


def test_every_weight_file_has_a_card() -> None:
    assert {path.stem for path in zoo_folder().glob("*.safetensors")} == set(zoo_cards())


def test_every_card_matches_its_weights() -> None:
    for name, card in zoo_cards().items():
        assert card.name == name
        model = load_model(f"zoo:{name}")  # checks the SHA-256
        assert not model.training
        assert fingerprint(load_model(str(zoo_folder() / f"{name}.safetensors"))) == fingerprint(
            load_model(f"{zoo_folder() / name}.safetensors + {card.architecture}")
        )
        assert all(0 < share <= 1 for share in card.accuracy.values())


def test_every_card_has_the_cost_and_the_effect_of_the_defense() -> None:
    for card in zoo_cards().values():
        test = card.recipe["test"]
        assert card.robust_accuracy
        for attacked, share in card.robust_accuracy.items():
            assert attacked.startswith(f"{test}, first ")
            assert 0 <= share < card.accuracy[test]
        assert card.gradients_per_image is not None
        assert (card.gradients_per_image > 0) == (card.recipe["objective"] != "clean")


@pytest.fixture
def small_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a zoo with one network, which is not trained."""
    weights = tmp_path / "little.safetensors"
    save_weights(mnist_cnn(), "mnist_cnn", weights)
    card = zoo.Card(
        name="little",
        architecture="mnist_cnn",
        data="mnist/train",
        recipe={},
        accuracy={"mnist": 0.1},
        sha256=file_sha256(weights),
        fingerprints={},
        sessions=(),
    )
    (tmp_path / "little.json").write_text(card.model_dump_json())
    monkeypatch.setattr(zoo, "zoo_folder", lambda: tmp_path)
    return tmp_path


def test_a_network_is_loaded(small_zoo: Path) -> None:
    assert list(zoo.zoo_cards()) == ["little"]
    loaded = load_model("zoo:little")
    assert fingerprint(loaded) == fingerprint(load_model(str(small_zoo / "little.safetensors")))


def test_a_damaged_weight_file_is_refused(small_zoo: Path) -> None:
    content = bytearray((small_zoo / "little.safetensors").read_bytes())
    content[-1] ^= 1
    (small_zoo / "little.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"the file is damaged\. Install the package again"):
        load_zoo("little")


def test_an_unknown_name_is_refused_with_a_suggestion(small_zoo: Path) -> None:
    shutil.copy(small_zoo / "little.json", small_zoo / "other.json")
    with pytest.raises(
        InputError,
        match=r"unknown network 'litle' in the zoo\. Did you mean 'little'\? Available: little",
    ):
        load_model("zoo:litle")


def _change_card(folder: Path, **changes: object) -> None:
    card = json.loads((folder / "little.json").read_text())
    changed = {name: value for name, value in (card | changes).items() if value is not None}
    (folder / "little.json").write_text(json.dumps(changed))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": None, "sha256": None}, "accuracy: Field required; sha256: Field required"),
        ({"accuracy": 0.9}, "accuracy: Input should be a valid dictionary"),
        ({"accuracy": {"mnist": "high"}}, "accuracy.mnist: Input should be a valid number"),
        ({"color": "red"}, "color: Extra inputs are not permitted"),
    ],
)
def test_a_card_with_other_entries_is_refused(
    small_zoo: Path, changes: dict[str, object], message: str
) -> None:
    _change_card(small_zoo, **changes)
    for read in (zoo.zoo_cards, lambda: load_model("zoo:little")):
        with pytest.raises(InputError, match=rf"the card .*little\.json does not have .*{message}"):
            read()


@pytest.mark.parametrize("content", ["", "no card", "[1, 2]", "\x00", "[" * 100_000])
def test_a_file_that_is_no_card_is_refused(small_zoo: Path, content: str) -> None:
    (small_zoo / "little.json").write_text(content)
    with pytest.raises(InputError, match=r"the card .*little\.json (cannot be read|does not have)"):
        load_model("zoo:little")


def test_weights_without_a_card_are_refused_with_the_name_of_the_missing_file(
    small_zoo: Path,
) -> None:
    (small_zoo / "little.json").unlink()
    for read in (zoo.zoo_cards, lambda: load_model("zoo:little")):
        with pytest.raises(MissingFileError, match=r"'little' has no card: .*\.json"):
            read()


def test_a_card_without_weights_is_refused_with_the_name_of_the_missing_file(
    small_zoo: Path,
) -> None:
    (small_zoo / "little.safetensors").unlink()
    assert list(zoo.zoo_cards()) == ["little"]
    with pytest.raises(MissingFileError, match=r"'little' has no weights: there is no file .*tens"):
        load_model("zoo:little")


def test_a_damaged_card_does_not_prevent_other_models(small_zoo: Path) -> None:
    save_weights(mnist_cnn(), "mnist_cnn", small_zoo / "other.safetensors")
    for ending in (".json", ".safetensors"):
        shutil.copy(small_zoo / f"little{ending}", small_zoo / f"good{ending}")
    (small_zoo / "little.json").write_text("{}")
    assert load_model("zoo:good")
    with pytest.raises(InputError, match=r"Did you mean 'zoo:good'\?"):
        load_model("good")
