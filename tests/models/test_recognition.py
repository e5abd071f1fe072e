"""Model files, recognized by their content, and the reasons why others are no models."""

import gzip
import io
import pickle
import sys
import tarfile
import types
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save
from torch import nn

from minnorm.errors import InputError, NotTrustedError
from minnorm.models import load_model
from minnorm.models.recognition import recognize


def _saved(content: Any, **options: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def _scripted(*, frozen: bool) -> bytes:
    module = torch.jit.script(nn.Sequential(nn.Linear(2, 3)).eval())
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.freeze(module) if frozen else module, buffer)
    return buffer.getvalue()


def _exported() -> bytes:
    buffer = io.BytesIO()
    torch.export.save(torch.export.export(nn.Linear(2, 3), (torch.ones(4, 2),)), buffer)
    return buffer.getvalue()


STATE = nn.Linear(2, 3).state_dict()


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", ["m.pt", "m.safetensors", "m.pt2", "m.bin", "model"])
def test_the_content_decides_and_not_the_name(name: str, tmp_path: Path) -> None:
    for content, kind in (
        (save(STATE), "safetensors"),
        (_saved(STATE), "checkpoint"),
        (_saved(STATE, _use_new_zipfile_serialization=False), "checkpoint"),
        (_scripted(frozen=False), "torchscript"),
        (_scripted(frozen=True), "torchscript"),
        (_exported(), "exported program"),
    ):
        (tmp_path / name).write_bytes(content)
        assert recognize(tmp_path / name) == kind


@pytest.mark.parametrize("length", [0x80, 0x9C78, 0x8B1F, 0x4B50])
def test_the_length_of_a_safetensors_header_is_not_taken_for_another_format(
    length: int, tmp_path: Path
) -> None:
    path = tmp_path / "w.safetensors"
    path.write_bytes(length.to_bytes(8, "little") + b"{" + b" " * (length - 2) + b"}")
    assert recognize(path) == "safetensors"


def _archive(*names: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name in names:
            archive.writestr(name, "")
    return buffer.getvalue()


def _tar() -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("weights.pt"))
    return buffer.getvalue()


def _arrays() -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, images=np.ones(2))
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.pt", b"", "is empty"),
        ("m.safetensors", b"", "is empty"),
        ("m.pt", b"accuracy 0.9\n", "is text, not a model file"),
        ("m.pth", "é".encode() * 3000, "is text, not a model file"),
        ("m.safetensors", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("m.bin", b"<!DOCTYPE html><html>", "is a web page"),
        ("m.pt", _saved(STATE)[:500], "is incomplete: its end is missing"),
        ("m.pt", gzip.compress(b"weights", mtime=0), "is compressed: unpack it"),
        ("m.pth.tar", _tar(), "is compressed: unpack it"),
        ("m.pt", _archive("a.txt"), "is a zip archive that PyTorch did not write"),
        ("m.pt", _archive(), "is a zip archive that PyTorch did not write"),
        ("m.pt", _arrays(), "holds arrays, not a model"),
        ("m.npz", _arrays(), "holds arrays, not a model"),
        ("m.h5", b"\x89HDF\r\n\x1a\n", "is a file of another library"),
        ("m.pt", b"\x89HDF\r\n\x1a\n", "is a file of another library"),
        ("m.keras", _archive("config.json"), r"cannot be loaded\. Write package\.module:factory"),
        ("m.skops", _archive("schema.json"), "with minnorm.models.predict_only"),
        ("m.joblib", b"accuracy 0.9", "is text, not a model file"),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull"),
        ("m.py", b"import torch", "is Python code: write the name of a function"),
    ],
)
def test_other_files_are_refused_with_the_reason(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    for trust in (False, True):
        with pytest.raises(InputError, match=message) as caught:
            load_model(str(tmp_path / name), trust=trust)
        assert str(tmp_path / name) in str(caught.value)


@pytest.mark.parametrize("protocol", [2, 4])
def test_a_pickle_of_scikit_learn_is_recognized_without_running_it(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module: Any = types.ModuleType("sklearn.fake")
    module.Machine = type("Machine", (), {"__module__": "sklearn.fake"})
    monkeypatch.setitem(sys.modules, "sklearn.fake", module)
    (tmp_path / "svc.pkl").write_bytes(pickle.dumps(module.Machine(), protocol))
    monkeypatch.delitem(sys.modules, "sklearn.fake")
    assert recognize(tmp_path / "svc.pkl") == "estimator"
    with pytest.raises(NotTrustedError, match=r"is a pickle \(sklearn\.fake\.Machine"):
        load_model(str(tmp_path / "svc.pkl"))
