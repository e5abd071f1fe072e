"""Paths that name no model file: what is there instead, and what was probably meant."""

import difflib
import json
from pathlib import Path
from typing import Any

from minnorm.errors import InputError, MissingFileError
from minnorm.models.recognition import MODEL_FILES


def existing_file(path: Path) -> Path:
    """Return the path of a model file.

    Raises:
        MissingFileError: If nothing is there; the message names similar files.
        InputError: If it is a folder or no ordinary file; the message names the model in it.
    """
    if path.is_file():
        weights = path.with_suffix(".safetensors")
        if path.suffix == ".json" and weights.is_file():
            raise InputError(f"{path} is the card of a model. Did you mean {str(weights)!r}?")
        return path
    if path.is_dir():
        raise InputError(_about_folder(path))
    if path.exists():
        raise InputError(f"{path} is not an ordinary file.")
    raise MissingFileError(_about_missing(path))


def did_you_mean(path: Path) -> str:
    """Return a question that names the model file most similar to a path; empty without one."""
    names = [file.name for file in _model_files(path.parent)]
    same = [name for name in names if Path(name).stem in (path.name, path.stem)]
    close = same or difflib.get_close_matches(path.name, names, n=1, cutoff=0.7)
    return f" Did you mean {str(path.parent / close[0])!r}?" if close else ""


def _about_missing(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"there is no file {path}: the folder {folder} does not exist."
    hint = did_you_mean(path) or _listed([file.name for file in _model_files(folder)])
    return f"there is no file {path}.{hint}"


def _about_folder(folder: Path) -> str:
    evaluated = _evaluated_model(folder)
    if evaluated is not None:
        return (
            f"{folder} is the directory of an evaluation, not a model. The model that it evaluated "
            f"is {evaluated!r}."
        )
    files = _model_files(folder)
    config = _read(folder / "config.json")
    if config is not None and files:
        return _about_hugging_face(folder, files[0], config)
    # The weights of the best epoch stand beside their card, those of the last one have none.
    trained = [file for file in files if file.with_suffix(".json").is_file()]
    chosen = trained if len(trained) == 1 else files
    if len(chosen) == 1:
        return f"{folder} is a folder. Did you mean the model file in it, {str(chosen[0])!r}?"
    return f"{folder} is a folder: name a model file.{_listed([file.name for file in files])}"


def _about_hugging_face(folder: Path, weights: Path, config: dict[str, Any]) -> str:
    architecture = config.get("architecture")
    if isinstance(architecture, str) and "pretrained_cfg" in config:
        return (
            f"{folder} is a folder of timm. Did you mean the model file in it, "
            f"'{weights} + timm:{architecture}'?"
        )
    return (
        f"{folder} is a folder of Hugging Face transformers, which cannot be loaded yet: write a "
        "package.module:factory, a function of yours that returns a torch.nn.Module from inputs to "
        "logits."
    )


def _evaluated_model(folder: Path) -> str | None:
    """Return the model of the evaluation whose records a folder holds."""
    manifest = _read(folder / "manifest.json") or {}
    configuration = manifest.get("configuration")
    model = configuration.get("model") if isinstance(configuration, dict) else None
    return model if isinstance(model, str) else None


def _model_files(folder: Path) -> list[Path]:
    try:
        return sorted(
            file
            for file in folder.iterdir()
            if file.suffix.lower() in MODEL_FILES and file.is_file()
        )
    except OSError:
        return []


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return f" The folder has {', '.join(names[:5])}{more}." if names else " It has no model files."


def _read(path: Path) -> dict[str, Any] | None:
    """Return the content of a JSON file; `None` if it is missing or holds something else."""
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
