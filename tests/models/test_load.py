"""Model specs: every form, and the error if one does not work."""

import re
import urllib.error
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import WeightsEnum

from minnorm.errors import InputError, NotTrustedError
from minnorm.models import (
    MODEL_FORMS,
    Normalized,
    build,
    fingerprint,
    load_model,
    mnist_cnn,
    network_of,
)
from minnorm.models.load import use_channels_last
from user_modules import write_module


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, nn.Module]:
    """Return a program of torch.export for batches of any size, and its model."""
    model = mnist_cnn().eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(model, (torch.rand(2, 1, 28, 28),), dynamic_shapes=(batch,))
    torch.export.save(program, tmp_path / "model.pt2")
    return tmp_path / "model.pt2", model


def test_a_name_in_the_zoo_without_its_scheme_is_suggested() -> None:
    with pytest.raises(InputError, match="Did you mean 'zoo:mnist-cnn'"):
        load_model("mnist-cnn")


def test_an_exported_program_is_loaded_for_batches_of_any_size(
    exported: tuple[Path, nn.Module],
) -> None:
    path, model = exported
    loaded = load_model(str(path), trust=True)
    for size in (1, 5):
        inputs = torch.rand(size, 1, 28, 28)
        torch.testing.assert_close(loaded(inputs), model(inputs))


def test_an_exported_program_has_gradients_with_respect_to_its_inputs(
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
    with pytest.raises(InputError, match=r"model.pt2 is refused: .* allow it: --trust"):
        load_model(str(exported[0]))


def test_a_weight_file_does_not_choose_the_code_that_runs(tmp_path: Path) -> None:
    proof = tmp_path / "proof"
    for architecture in (f"pathlib:Path.touch(self='{proof}')", f"os:mkdir(path='{proof}')"):
        header = {"architecture": architecture}
        save_file({"a": torch.zeros(1)}, tmp_path / "evil.safetensors", header)
        with pytest.raises(
            NotTrustedError, match=r"is not part of this package\. If you trust it, write"
        ):
            load_model(str(tmp_path / "evil.safetensors"))
    assert not proof.exists()


def test_a_file_that_is_no_exported_program_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="there is no file"):
        load_model(str(tmp_path / "model.pt2"), trust=True)
    (tmp_path / "model.pt2").write_bytes(b"no program")
    with pytest.raises(InputError, match=r"model.pt2 is text, not a model file"):
        load_model(str(tmp_path / "model.pt2"), trust=True)


FACTORIES = """
from torch import nn
from torchvision.models import WeightsEnum
def linear(features=4): return nn.Sequential(nn.Linear(features, 3), nn.Dropout())
def number(): return 3
def partly_random():
    network = nn.Sequential(nn.Linear(3, 2), nn.Dropout()).eval()
    network[1].train()
    return network
"""


@pytest.fixture
def factories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the module `model_factories` importable from the current folder."""
    write_module("model_factories", FACTORIES, tmp_path, monkeypatch)


@pytest.mark.usefixtures("factories")
def test_the_model_of_a_factory_is_in_evaluation_mode() -> None:
    model = load_model("model_factories:linear(features=6)")
    assert model(torch.rand(2, 6)).shape == (2, 3)
    assert not model.training
    assert not model[1].training  # type: ignore[index]  # a Sequential


@pytest.mark.usefixtures("factories")
def test_dropout_that_a_factory_leaves_on_is_turned_off_with_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert not load_model("model_factories:linear(features=6)").training
    assert not caplog.text
    assert not load_model("model_factories:partly_random()")[1].training  # type: ignore[index]
    assert "its part '1', a Dropout, was in training mode" in caplog.text
    assert "wrap the model with minnorm.models.averaged" in caplog.text


@pytest.mark.usefixtures("factories")
def test_a_factory_that_returns_no_module_is_refused() -> None:
    with pytest.raises(InputError, match=r"returned a int; expected a torch\.nn\.Module"):
        load_model("model_factories:number")


def test_a_torchvision_network_without_weights_is_loaded() -> None:
    model = load_model("torchvision:shufflenet_v2_x0_5(weights=None, num_classes=7)")
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)
    assert not model.training


def test_a_timm_network_without_weights_is_loaded_with_its_normalization() -> None:
    model = load_model("timm:mnasnet_050(pretrained=False, num_classes=7)")
    assert isinstance(model, Normalized)
    torch.testing.assert_close(model.mean, torch.tensor([0.485, 0.456, 0.406]))
    assert model(torch.rand(2, 3, 32, 32)).shape == (2, 7)


def test_the_normalization_of_a_timm_network_can_be_set() -> None:
    model = load_model(
        "timm:mnasnet_050(pretrained=False, mean=[0.5, 0.5, 0.5], std=[1.0, 1.0, 1.0])"
    )
    assert isinstance(model, Normalized)
    assert not isinstance(model.model, Normalized)
    assert model.mean.tolist() == [0.5] * 3


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("torchvision:resnet19", "unknown torchvision model 'resnet19'. Did you mean"),
        (
            "torchvision:resnet18(weights='V9')",
            "unknown weights 'V9' of resnet18. Available: IMAGENET",
        ),
        (
            "timm:resnet19(pretrained=False)",
            "unknown timm model 'resnet19'. Did you mean 'resnet18'?",
        ),
        ("zoo:mnist-cnn(dropout=0.1)", "zoo:mnist-cnn takes no arguments: remove dropout."),
        ("zoo:no-such-net", "unknown network 'no-such-net' in the zoo."),
        ("torchvison:resnet18", "unknown scheme in 'torchvison:resnet18'. Did you mean 'torchvis"),
        ("time:resnet18", "time has no function 'resnet18'"),
        ("no_such_module:net", "there is no module 'no_such_module'"),
    ],
)
def test_a_spec_with_an_unknown_name_is_refused(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_model(spec)


@pytest.mark.parametrize("spec", ["hf:org/name", "robustbench:Rony2019Decoupling"])
def test_a_scheme_that_is_not_supported_is_refused_with_all_forms(spec: str) -> None:
    message = f"{spec}: such models are not supported yet. Forms of a model spec: {MODEL_FORMS}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        load_model(spec)


@pytest.mark.parametrize("spec", ["wide_resnet", "some words", "model.pt +"])
def test_a_spec_of_another_form_is_refused_with_all_forms(spec: str) -> None:
    message = f"cannot read {spec!r} as a model. Forms of a model spec: {MODEL_FORMS}."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        load_model(spec)


@pytest.mark.parametrize("name", ["weights", "weights.v2", "a + b.pt", "UPPER.PT", "w (1).pth"])
def test_a_weight_file_may_have_any_name(name: str, tmp_path: Path) -> None:
    torch.save(mnist_cnn().state_dict(), tmp_path / name)
    loaded = load_model(f"{tmp_path / name} + mnist_cnn")
    assert loaded(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_a_model_has_no_slice() -> None:
    with pytest.raises(InputError, match=r"'zoo:mnist-cnn\[:3\]': a model has no slice"):
        load_model("zoo:mnist-cnn[:3]")


def test_weights_that_cannot_be_downloaded_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(torch.hub, "download_url_to_file", fail)
    message = "the weights of torchvision:shufflenet_v2_x0_5 could not be downloaded: URLError: "
    with pytest.raises(InputError, match=f"^{message}.*no route"):
        load_model("torchvision:shufflenet_v2_x0_5")


def test_the_weights_of_a_torchvision_network_bring_their_normalization(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = network_of(build("torchvision:shufflenet_v2_x0_5")).state_dict()
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: state)
    model = load_model("torchvision:shufflenet_v2_x0_5")
    assert isinstance(model, Normalized)
    torch.testing.assert_close(model.mean, torch.tensor([0.485, 0.456, 0.406]))
    assert torch.equal(model.model.state_dict()["fc.bias"], state["fc.bias"])
    assert not model.training
    given = load_model("torchvision:shufflenet_v2_x0_5(mean=[0.5], std=[0.25])")
    assert isinstance(given, Normalized)
    assert not isinstance(given.model, Normalized)
    assert (given.mean.tolist(), given.std.tolist()) == ([0.5], [0.25])


def test_the_weights_of_2d_convolutions_become_channels_last() -> None:
    planar, spatial = nn.Conv2d(3, 4, 3), nn.Conv3d(3, 4, 3)
    assert use_channels_last(planar) is planar
    assert planar.weight.is_contiguous(memory_format=torch.channels_last)
    assert use_channels_last(spatial) is spatial
    assert spatial.weight.is_contiguous()
