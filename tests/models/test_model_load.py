"""Model specs: every form, and what is said when one does not work."""

import re
import shutil
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from minnorm.data import load_data
from minnorm.models import (
    FORMS,
    Normalized,
    fingerprint,
    load_model,
    load_zoo,
    mnist_cnn,
    save_weights,
    zoo,
    zoo_cards,
    zoo_folder,
)
from minnorm.models.weights import file_sha256
from minnorm.training import accuracy


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, nn.Module]:
    """Gives a program of torch.export that takes batches of any size, and what it was made of."""
    model = mnist_cnn().eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(model, (torch.rand(2, 1, 28, 28),), dynamic_shapes=(batch,))
    torch.export.save(program, tmp_path / "model.pt2")
    return tmp_path / "model.pt2", model


def test_a_name_of_the_zoo_alone_is_pointed_out() -> None:
    with pytest.raises(ValueError, match="Did you mean 'zoo:mnist-cnn'"):
        load_model("mnist-cnn")


def test_an_exported_program_is_loaded_for_batches_of_any_size(
    exported: tuple[Path, nn.Module],
) -> None:
    path, model = exported
    loaded = load_model(str(path), trust=True)
    for size in (1, 5):
        inputs = torch.rand(size, 1, 28, 28)
        torch.testing.assert_close(loaded(inputs), model(inputs))


def test_an_exported_program_gives_gradients_to_its_inputs(
    exported: tuple[Path, nn.Module],
) -> None:
    path, model = exported
    inputs = torch.rand(3, 1, 28, 28, requires_grad=True)
    gradients = [
        torch.autograd.grad(network(inputs)[:, 0].sum(), inputs)[0]
        for network in (load_model(str(path), trust=True), model)
    ]
    torch.testing.assert_close(*gradients)


def test_an_exported_program_has_a_fingerprint(exported: tuple[Path, nn.Module]) -> None:
    path, _ = exported
    assert fingerprint(load_model(str(path), trust=True)) == fingerprint(
        load_model(str(path), trust=True)
    )


def test_an_exported_program_has_to_be_trusted(exported: tuple[Path, nn.Module]) -> None:
    with pytest.raises(ValueError, match=r"model.pt2 is refused: .* say so: --trust"):
        load_model(str(exported[0]))


def test_a_weight_file_does_not_choose_the_code_that_is_run(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for architecture in (f"pathlib:Path.touch(self='{proof}')", f"os:mkdir(path='{proof}')"):
        header = {"architecture": architecture}
        save_file({"a": torch.zeros(1)}, tmp_path / "evil.safetensors", header)
        with pytest.raises(
            ValueError, match=r"is not one of this package\. If you trust it, write"
        ):
            load_model(str(tmp_path / "evil.safetensors"))
    assert not proof.exists()


def test_a_file_that_is_no_exported_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_model(str(tmp_path / "model.pt2"), trust=True)
    (tmp_path / "model.pt2").write_bytes(b"no program")
    with pytest.raises(ValueError, match=r"model.pt2 cannot be read as a torch.export program"):
        load_model(str(tmp_path / "model.pt2"), trust=True)


FACTORIES = """
from torch import nn
def linear(features=4): return nn.Sequential(nn.Linear(features, 3), nn.Dropout())
def number(): return 3
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the module `model_factories` importable from the current folder."""
    (tmp_path / "model_factories.py").write_text(FACTORIES)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "model_factories", raising=False)


@pytest.mark.usefixtures("factories")
def test_a_factory_gives_a_model_in_evaluation_mode() -> None:
    model = load_model("model_factories:linear(features=6)")
    assert model(torch.rand(2, 6)).shape == (2, 3)
    assert not model.training
    assert not model[1].training  # type: ignore[index]  # a Sequential


@pytest.mark.usefixtures("factories")
def test_a_factory_that_gives_no_module_is_refused() -> None:
    with pytest.raises(ValueError, match=r"gave a int; expected a torch\.nn\.Module"):
        load_model("model_factories:number")


def test_a_torchvision_network_without_weights_is_loaded() -> None:
    model = load_model("torchvision:shufflenet_v2_x0_5(weights=None, num_classes=7)")
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert not model.training


def test_a_timm_network_without_weights_is_loaded_with_its_normalisation() -> None:
    model = load_model("timm:mnasnet_050(pretrained=False, num_classes=7)")
    assert isinstance(model, Normalized)
    torch.testing.assert_close(model.mean, torch.tensor([0.485, 0.456, 0.406]))
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_the_normalisation_of_a_timm_network_can_be_given() -> None:
    model = load_model(
        "timm:mnasnet_050(pretrained=False, mean=[0.5, 0.5, 0.5], std=[1.0, 1.0, 1.0])"
    )
    assert isinstance(model, Normalized)
    assert not isinstance(model.model, Normalized)
    assert model.mean.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet19", "there is no torchvision model 'resnet19'. Did you mean"),
        ("torchvision:resnet18(weights='V9')", "resnet18 has no weights 'V9'. There is: IMAGENET"),
        ("timm:resnet19(pretrained=False)", "'timm:resnet19(pretrained=False)' cannot be built"),
        ("zoo:mnist-cnn(dropout=0.1)", "zoo:mnist-cnn takes no arguments: dropout."),
        ("zoo:no-such-net", "there is no network in the zoo called 'no-such-net'."),
        ("no_such_module:net", "importing no_such_module raised ModuleNotFoundError"),
    ],
)
def test_a_spec_that_names_nothing_is_refused(spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        load_model(spec)


@pytest.mark.parametrize("spec", ["hf:org/name", "robustbench:Rony2019Decoupling"])
def test_a_scheme_that_is_not_served_says_what_is(spec: str) -> None:
    message = f"{spec}: such models are not served yet. Model specs are: {FORMS}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_model(spec)


@pytest.mark.parametrize("spec", ["mnist_cnn", "model.onnx", "some words"])
def test_a_spec_of_no_form_is_refused_with_all_forms(spec: str) -> None:
    message = f"cannot read {spec!r} as a model. Model specs are: {FORMS}."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        load_model(spec)


def test_a_model_has_no_slice() -> None:
    with pytest.raises(ValueError, match=r"'zoo:mnist-cnn\[:3\]': a model has no slice"):
        load_model("zoo:mnist-cnn[:3]")


def test_mnist_cnn_is_in_the_zoo_and_as_good_as_the_paper_s() -> None:
    assert "mnist-cnn" in zoo_cards()
    assert zoo_cards()["mnist-cnn"].accuracy["mnist"] >= 0.993
    assert accuracy(load_model("zoo:mnist-cnn"), load_data("mnist-sample")) >= 0.985


def test_cifar10_cnn_is_in_the_zoo_and_learned_something() -> None:
    assert zoo_cards()["cifar10-cnn"].accuracy["cifar10"] >= 0.8
    try:
        data = load_data("cifar10[:500]")
    except FileNotFoundError:
        pytest.skip("CIFAR-10 is not on this machine: minnorm data fetch cifar10")
    assert accuracy(load_model("zoo:cifar10-cnn"), data) >= 0.8


def test_every_weight_file_of_the_zoo_has_a_card() -> None:
    assert {path.stem for path in zoo_folder().glob("*.safetensors")} == set(zoo_cards())


def test_every_card_of_the_zoo_matches_its_weights() -> None:
    for name, card in zoo_cards().items():
        assert card.name == name
        model = load_model(f"zoo:{name}")  # checks the SHA-256
        assert not model.training
        assert fingerprint(load_model(str(zoo_folder() / f"{name}.safetensors"))) == fingerprint(
            load_model(f"{zoo_folder() / name}.safetensors + {card.architecture}")
        )
        assert all(0 < share <= 1 for share in card.accuracy.values())


def test_every_card_of_the_zoo_tells_what_its_defense_cost_and_is_worth() -> None:
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
    """Gives the folder of a zoo of one network without training."""
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


def test_a_network_of_the_zoo_is_loaded(small_zoo: Path) -> None:
    assert list(zoo.zoo_cards()) == ["little"]
    loaded = load_model("zoo:little")
    assert fingerprint(loaded) == fingerprint(load_model(str(small_zoo / "little.safetensors")))


def test_a_network_of_the_zoo_whose_file_is_damaged_is_refused(small_zoo: Path) -> None:
    content = bytearray((small_zoo / "little.safetensors").read_bytes())
    content[-1] ^= 1
    (small_zoo / "little.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match="the file is damaged, install the package again"):
        load_zoo("little")


def test_a_name_that_is_not_in_the_zoo_is_refused_with_a_suggestion(small_zoo: Path) -> None:
    shutil.copy(small_zoo / "little.json", small_zoo / "other.json")
    with pytest.raises(
        ValueError, match=r"called 'litle'. Did you mean 'little'\? There is: little"
    ):
        load_model("zoo:litle")
