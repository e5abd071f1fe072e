"""What a model file holds, recognized by its content, and why other files are no models."""

import zipfile
from pathlib import Path
from typing import Literal

from minnorm.errors import InputError
from minnorm.models.pickled import foreign_names

Kind = Literal["safetensors", "exported program", "torchscript", "checkpoint", "estimator", "onnx"]
"""What this package loads: weights, a program of `torch.export`, TorchScript, a pickle of PyTorch
or of scikit-learn, or a graph in ONNX."""

CHECKPOINTS = (".pt", ".pth", ".ckpt", ".pkl", ".bin", ".jit", ".th", ".tar")
"""The endings of files that PyTorch writes with `torch.save` or `torch.jit.save`."""

MODEL_FILES = (".safetensors", ".pt2", ".onnx", ".joblib", *CHECKPOINTS)
"""The endings of model files."""

_WRAP = (
    "Write package.module:factory, a function of yours that returns the model as a "
    "torch.nn.Module; one that only predicts becomes a module with minnorm.models.predict_only."
)

OTHER_FILES = {
    **dict.fromkeys(
        (".h5", ".hdf5", ".keras", ".pb", ".tflite", ".mlmodel", ".engine", ".gguf", ".skops"),
        f"is a file of another library, which cannot be loaded. {_WRAP}",
    ),
    **dict.fromkeys(
        (".npz", ".npy"), "holds arrays, not a model. Data is the second argument of an evaluation."
    ),
    **dict.fromkeys(
        (".json", ".yaml", ".yml", ".csv", ".txt", ".md", ".log"), "is text, not a model file."
    ),
    ".py": "is Python code: write the name of a function in it that returns the model, "
    "package.module:factory.",
}
"""Endings of files that are no models here, and what to do."""

_LIBRARIES = ("sklearn", "joblib", "xgboost", "lightgbm", "catboost")
"""Libraries whose models are estimators."""

_ZIP, _PICKLE, _HDF5 = (b"PK\x03\x04", b"PK\x05\x06"), b"\x80", b"\x89HDF\r\n\x1a\n"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"x\x9c", b"x\x01", b"x\xda", b"\x28\xb5\x2f\xfd")
_TAR_MARK = 257
_HEAD = 4096
_LONGEST_HEADER = 100_000_000


def recognize(path: Path) -> Kind:
    """Return what a model file holds.

    The content decides. The ending of the name only decides what its content leaves open.

    Args:
        path: A file.

    Raises:
        InputError: If this is no model that can be loaded; the message says what to do.
        OSError: If the file cannot be read.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    ending = path.suffix.lower()
    if head and ending == ".joblib" and not _is_text(head):  # perhaps compressed
        return "estimator"
    if head.startswith(_ZIP):
        return _kind_of_zip(path)
    # The length of the header, in 8 bytes that may look like those of another format, then JSON.
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < _LONGEST_HEADER:
        return "safetensors"
    reason = _reason(path, head)
    if reason is not None:
        raise InputError(f"{path} {reason}")
    if head.startswith(_PICKLE):
        return "estimator" if _is_of_scikit_learn(path) else "checkpoint"
    if ending == ".onnx":
        return "onnx"
    return "safetensors" if ending == ".safetensors" else "checkpoint"


def _kind_of_zip(path: Path) -> Kind:
    if not zipfile.is_zipfile(path):
        raise InputError(
            f"{path} is incomplete: its end is missing, as after an interrupted copy or download. "
            "Copy or download it again."
        )
    with zipfile.ZipFile(path) as archive:
        names = [f"/{name}" for name in archive.namelist()]
    if any(
        name.endswith(("/archive_format", "/serialized_exported_program.json")) for name in names
    ):
        return "exported program"
    if any(name.endswith("/data.pkl") for name in names):
        is_script = any(name.endswith("/constants.pkl") for name in names)
        return "torchscript" if is_script else "checkpoint"
    if names and all(name.endswith(".npy") for name in names):
        raise InputError(f"{path} {OTHER_FILES['.npz']}")
    if path.suffix.lower() in OTHER_FILES:
        raise InputError(f"{path} {OTHER_FILES[path.suffix.lower()]}")
    raise InputError(
        f"{path} is a zip archive that PyTorch did not write: if it contains a model file, unpack "
        "it and name that file."
    )


def _reason(path: Path, head: bytes) -> str | None:
    """Return why a file that is no zip archive is not a model; `None` if it may be one."""
    if not head:
        return "is empty: write or download it again."
    if path.suffix.lower() in OTHER_FILES:
        return OTHER_FILES[path.suffix.lower()]
    if head.startswith(_COMPRESSED) or head[_TAR_MARK : _TAR_MARK + 5] == b"ustar":
        return (
            "is compressed: unpack it and name the file inside. If it is a pickle of joblib, as "
            "scikit-learn uses it, name it FILE.joblib."
        )
    if head.startswith(_HDF5):
        return OTHER_FILES[".h5"]
    return _reason_of_text(head) if _is_text(head) else None


def _reason_of_text(head: bytes) -> str:
    if head.startswith(b"version https://git-lfs"):
        return "is only a pointer of Git LFS to a file: fetch the file itself with 'git lfs pull'."
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html", b"<?xml")):
        return "is a web page, not a model: its download went wrong."
    return "is text, not a model file."


def _is_of_scikit_learn(path: Path) -> bool:
    """Return whether a pickle holds an object of scikit-learn, or of a library like it."""
    return any(name.partition(".")[0] in _LIBRARIES for name in foreign_names(path))


def _is_text(head: bytes) -> bool:
    try:
        text = head.decode()
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:  # the cut may be inside a character
            return False
        text = head[: error.start].decode()
    return all(letter.isprintable() or letter in "\r\n\t\f" for letter in text)
