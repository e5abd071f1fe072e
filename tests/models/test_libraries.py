"""Networks of torchvision and timm: one word has one normalization, in all forms of a spec."""

import logging
import re
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import WeightsEnum, get_model, get_model_weights

from minnorm.models import Normalized, build, load_model, network_of, save_weights
from minnorm.models.libraries import fresh, library_network, pretrained

IMAGENET = ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
SHUFFLENET = "torchvision:shufflenet_v2_x0_5"
MNASNET = "timm:mnasnet_050"


def _numbers(model: nn.Module) -> tuple[list[float], list[float]]:
    assert isinstance(model, Normalized)
    assert not isinstance(model.model, Normalized)
    return model.mean.tolist(), model.std.tolist()


@pytest.mark.parametrize("word", [SHUFFLENET, MNASNET])
def test_an_architecture_has_one_normalization_in_all_forms(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = network_of(build(word))
    state = network.state_dict()
    torch.save(state, tmp_path / "w.pt")
    save_file(state, tmp_path / "w.safetensors")
    save_weights(network, word, tmp_path / "named.safetensors")
    monkeypatch.setattr(WeightsEnum, "get_state_dict", lambda *_, **__: state)
    option = "weights=None" if word == SHUFFLENET else "pretrained=False"
    models = {
        "fresh": build(word),
        "explicitly fresh": load_model(f"{word}({option})"),
        "a checkpoint": load_model(f"{tmp_path / 'w.pt'} + {word}"),
        "safetensors": load_model(f"{tmp_path / 'w.safetensors'} + {word}"),
        "named in the header": load_model(str(tmp_path / "named.safetensors"), trust=True),
    }
    if word == SHUFFLENET:
        models["pretrained"] = load_model(word)
    inputs = torch.rand(2, 3, 64, 64)
    expected = models["a checkpoint"](inputs)
    for form, model in models.items():
        for numbers, right in zip(_numbers(model), IMAGENET, strict=True):
            assert numbers == pytest.approx(right), form
        if "fresh" not in form:
            torch.testing.assert_close(model(inputs), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("mean=[0.5, 0.4, 0.3], std=0.25", ([0.5, 0.4, 0.3], [0.25] * 3)),
        ("mean=0, std=1", ([0.0], [1.0])),
    ],
)
def test_the_normalization_in_the_spec_replaces_that_of_the_library(
    arguments: str, expected: tuple[list[float], list[float]], tmp_path: Path
) -> None:
    torch.save(network_of(build(SHUFFLENET)).state_dict(), tmp_path / "w.pt")
    for spec in (f"{SHUFFLENET}({arguments})", f"{tmp_path / 'w.pt'} + {SHUFFLENET}({arguments})"):
        model = load_model(spec) if "+" in spec else build(spec)
        for numbers, right in zip(_numbers(model), expected, strict=True):
            assert numbers == pytest.approx(right)


def test_the_normalization_is_reported_when_weights_are_loaded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torch.save(network_of(build(SHUFFLENET)).state_dict(), tmp_path / "w.pt")
    with caplog.at_level(logging.INFO, "minnorm"):
        load_model(f"{tmp_path / 'w.pt'} + {SHUFFLENET}")
    warnings = [entry.getMessage() for entry in caplog.records if entry.levelname == "WARNING"]
    assert len(warnings) == 1
    expected = "normalized with mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225], as torchvis"
    assert expected in warnings[0]
    assert f"{SHUFFLENET}(mean=..., std=...); mean=0, std=1 for none" in warnings[0]
    caplog.clear()
    with caplog.at_level(logging.INFO, "minnorm"):
        load_model(f"{tmp_path / 'w.pt'} + {SHUFFLENET}(mean=0.5, std=0.25)")
    assert [entry.levelname for entry in caplog.records] == ["INFO"]  # the user has written them
    assert "normalized with mean=[0.5], std=[0.25]" in caplog.text


def test_the_normalization_of_a_function_of_the_user_is_no_warning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from torch import nn\nfrom minnorm.models import Normalized\n"
        "def net():\n    return Normalized(nn.Linear(2, 3), 0.5, 0.25)\n"
    )
    monkeypatch.chdir(tmp_path)
    torch.save(nn.Linear(2, 3).state_dict(), "w.pt")
    with caplog.at_level(logging.INFO, "minnorm"):
        assert _numbers(load_model("w.pt + mine:net")) == ([0.5], [0.25])
    assert [entry.levelname for entry in caplog.records] == ["INFO"]


@pytest.mark.parametrize(
    ("weights", "expected"),
    [(None, IMAGENET[0]), ("IMAGENET1K_FEATURES", [0.48235, 0.45882, 0.40784])],
)
def test_the_weights_that_a_spec_names_decide_the_normalization(
    weights: str | None, expected: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    def small(*_: Any, **__: Any) -> nn.Module:
        return nn.Linear(1, 1)

    monkeypatch.setattr("torchvision.models.get_model", small)
    _, (mean, _) = library_network("torchvision", "vgg16", {"weights": weights})
    assert mean == pytest.approx(expected)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_networks_that_adjust_their_inputs_do_so_with_the_weights_of_a_file_too(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: dict[str, Any] = {}

    def note(*_: Any, **arguments: Any) -> nn.Module:
        given.update(arguments)
        return nn.Linear(1, 1)

    monkeypatch.setattr("torchvision.models.get_model", note)
    build(f"torchvision:{name}")
    assert given == {"weights": None, "transform_input": True}
    build(f"torchvision:{name}(transform_input=False)")
    assert given["transform_input"] is False


def test_gray_images_are_normalized_with_the_average_of_the_channels() -> None:
    model = build(f"{MNASNET}(in_chans=1, num_classes=3)").eval()
    assert _numbers(model)[0] == pytest.approx([0.449])
    assert model(torch.rand(2, 1, 32, 32)).shape == (2, 3)


def test_all_classifiers_of_torchvision_have_a_normalization() -> None:
    from torchvision import models

    for name in models.list_models(module=models):
        transforms = get_model_weights(name)["DEFAULT"].transforms()
        assert len(transforms.mean) == len(transforms.std) == 3


def test_fresh_and_pretrained_arguments() -> None:
    assert fresh("torchvision", {"weights": "DEFAULT", "num_classes": 3}) == {"num_classes": 3}
    assert fresh("timm", {"pretrained": True}) == {}
    assert pretrained("timm", {}) == {"pretrained": True}
    assert pretrained("torchvision", {"weights": None}) == {"weights": None}


def test_the_word_of_a_library_is_its_own_network() -> None:
    made = network_of(build("torchvision:shufflenet_v2_x0_5(num_classes=5)"))
    assert type(made) is type(get_model("shufflenet_v2_x0_5"))
    assert re.search("out_features=5", repr(made))
