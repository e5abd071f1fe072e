"""Paths that name no model file: folders, missing files, and what was probably meant."""

import json
import os
import re
from pathlib import Path

import pytest

from minnorm.errors import InputError, MissingFileError
from minnorm.models import load_model


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a working folder with folders of several kinds."""
    monkeypatch.chdir(tmp_path)
    files = {
        "training/net.safetensors": "",
        "training/net-last.safetensors": "",
        "training/net.json": "{}",
        "evaluation/manifest.json": json.dumps({"configuration": {"model": "zoo:mnist-cnn"}}),
        "transformers/config.json": json.dumps({"model_type": "vit"}),
        "transformers/model.safetensors": "",
        "timm/config.json": json.dumps({"architecture": "resnet18", "pretrained_cfg": {}}),
        "timm/model.safetensors": "",
        "single/weights.pt": "",
        "several/one.pt": "",
        "several/two.pth": "",
        "nothing/notes.txt": "",
    }
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(content)
    return tmp_path


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("training", "Did you mean the model file in it, 'training/net.safetensors'?"),
        ("training/", "Did you mean the model file in it, 'training/net.safetensors'?"),
        ("training/net.json", "is the card of a model. Did you mean 'training/net.safetensors'?"),
        ("evaluation", "is the directory of an evaluation, not a model. The model that it evaluat"),
        ("evaluation", "is 'zoo:mnist-cnn'"),
        (
            "transformers",
            "is a folder of Hugging Face transformers, which cannot be loaded yet: wr",
        ),
        ("timm", "Did you mean the model file in it, 'timm/model.safetensors + timm:resnet18'?"),
        ("single", "Did you mean the model file in it, 'single/weights.pt'?"),
        ("several", "name a model file. The folder has one.pt, two.pth."),
        ("nothing", "name a model file. It has no model files."),
        ("training/net", "Did you mean 'training/net.safetensors'?"),
        ("training/net.safetensor", "Did you mean 'training/net.safetensors'?"),
        ("mnist_cnn", "Did you mean 'zoo:mnist-cnn'?"),
    ],
)
def test_a_path_that_is_no_model_file_leads_to_one(spec: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        load_model(spec)


@pytest.mark.usefixtures("runs")
@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("training/nett.safetensors", "there is no file training/nett.safetensors. Did you mean"),
        ("single/weights.safetensors + mnist_cnn", "Did you mean 'single/weights.pt'?"),
        ("single/other.onnx", "there is no file single/other.onnx. The folder has weights.pt."),
        ("missing/net.pt", "there is no file missing/net.pt: the folder missing does not exist."),
    ],
)
def test_a_missing_file_is_refused_with_similar_ones(spec: str, message: str) -> None:
    with pytest.raises(MissingFileError, match=re.escape(message)):
        load_model(spec)


def test_a_pipe_is_refused(runs: Path) -> None:
    os.mkfifo(runs / "pipe.pt")
    with pytest.raises(InputError, match="is not an ordinary file"):
        load_model("pipe.pt")
