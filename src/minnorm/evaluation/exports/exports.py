"""Adversarials of a run, written for other programs: arrays, or images that are verified."""

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor

from minnorm import specs
from minnorm.attacks import Model
from minnorm.errors import InputError
from minnorm.evaluation.exports.eight_bit import Verifier
from minnorm.evaluation.exports.known_model import load_known_model
from minnorm.evaluation.exports.png_folder import INDEX, Picture, check_folder, write_folder
from minnorm.evaluation.records import Records, attacks_in, norms_in
from minnorm.evaluation.selection import (
    WORST_CASE,
    indices_of,
    norm_of_records,
    targets_of,
    values_of,
)
from minnorm.evaluation.store.adversarials import (
    Adversarials,
    choose_records,
    norm_in_name,
    numbers_text,
)
from minnorm.evaluation.store.loaded_runs import Evaluation
from minnorm.files import named_by, write_atomically, write_tensors
from minnorm.geometry import Norm
from minnorm.models.export import check_new
from minnorm.runtime.devices import full_float32

Format = Literal["png", "npz", "safetensors"]
FORMATS: tuple[Format, ...] = get_args(Format)
"""The formats of exported adversarials."""


@dataclass(frozen=True)
class ExportedAdversarials:
    """What was exported.

    Attributes:
        path: The file, or the folder of PNG files.
        format: The format.
        attack: The attack.
        norm: The norm of the attack.
        records: The records of the adversarials.
        pictures: The lines of the table of PNG files; empty for the other formats.
        unverified: Why no model has verified the PNG files; empty if one has.
    """

    path: Path
    format: Format
    attack: str
    norm: Norm
    records: Records
    pictures: tuple[Picture, ...] = ()
    unverified: str = ""

    def summary(self) -> list[str]:
        """Return what was exported in a few sentences, a line each."""
        total = len(self.records)
        attack = self.attack.replace(WORST_CASE, "the closest of all attacks")
        if self.format != "png":
            successes = int(values_of(self.records, "success").sum())
            return [
                f"{self.path}: {total:,} records of {attack}, {successes:,} with an "
                f"adversarial, distances in {self.norm}"
            ]
        counts = Counter(picture.status for picture in self.pictures)
        files = [picture for picture in self.pictures if picture.file]
        lines = [
            f"{self.path}: {len(files):,} PNG files of {attack}, and {INDEX} with all "
            f"{total:,} records"
        ]
        if not self.unverified:
            moved = f", {counts['moved']:,} of them rounded away from the input for that"
            lines.append(
                f"verified: all {len(files):,} files are adversarial when the model reads them"
                f"{moved if counts['moved'] else ''}"
            )
        else:
            lines.append(f"NOT verified: {self.unverified}")
        changed = [picture for picture in files if picture.l2_before > 0]
        if changed:
            lines += [_change(changed, norm) for norm in ("l2", "linf")]
        if len(changed) < len(files):
            lines.append(
                f"unchanged inputs, misclassified as they are: {len(files) - len(changed):,}"
            )
        if counts["lost"]:
            lost = [picture.index for picture in self.pictures if picture.status == "lost"]
            lines.append(
                f"left out, no adversarial with 8 bits: {len(lost):,} (index {numbers_text(lost)})"
            )
        if counts["none"]:
            lines.append(f"left out, no adversarial was found: {counts['none']:,}")
        return lines


def path_for(run: Path, out: Path | None, file_format: str | None) -> tuple[Path, Format]:
    """Return where adversarials are exported to, and the format.

    Args:
        run: The run directory, whose name the file or the folder has by default.
        out: The file, or the folder for `png`; `None` for the default.
        file_format: One of `FORMATS`; `None` for the ending of `out`.

    Raises:
        InputError: If there is no format, it is unknown, or the ending of `out` differs.
    """
    ending = "" if out is None else out.suffix.lower().removeprefix(".")
    if file_format is None and ending not in ("npz", "safetensors"):
        raise InputError(
            f"name a format: --format {'|'.join(FORMATS)}, or a file that ends with .npz or "
            ".safetensors, --out FILE."
        )
    chosen = specs.choose((file_format or ending).lower(), FORMATS, "format")
    file = chosen != "png"
    if out is None:
        name = f"{run.resolve().name}-adversarials"
        return Path(f"{name}.{chosen}" if file else name), cast("Format", chosen)
    if file and ending != chosen:
        raise InputError(f"--out {out}: expected the ending .{chosen} of --format {chosen}.")
    return out, cast("Format", chosen)


@full_float32()
def export_adversarials(
    run: Evaluation,
    path: str | Path,
    file_format: Format,
    *,
    attack: str | None = None,
    target: int | str | None = None,
    model: str | Model | None = None,
    trust: bool = False,
    device: str | torch.device | None = None,
    overwrite: bool = False,
) -> ExportedAdversarials:
    """Write the adversarials of a run to a file, or as PNG files to a folder.

    `npz` and `safetensors` hold `inputs` and `adversarials` `[n *d]`; `index`, `labels`, `targets`
    (-1 if untargeted), `predictions` (of the adversarials), `clean_predictions`, `success` and
    `distances` `[n]`. Where the attack failed, the adversarial is the input and the distance is
    infinite.

    `png` writes the successes as 8-bit images. The model predicts the class of each file after it
    was written. An adversarial that is none after rounding to 8 bits is rounded away from its input
    instead; if that does not help, it is left out and marked in the table, see
    `minnorm.evaluation.exports.png_folder`.

    Args:
        run: The run; it must have kept its adversarials.
        path: The file, or the folder for `png`.
        file_format: One of `FORMATS`.
        attack: The attack, see `Evaluation.adversarials`; by default the closest of all.
        target: The target class, by label or name; by default all.
        model: The model that verifies PNG files, or its spec; it must be the one of the run. By
            default the one that the run names, if it can be loaded without `trust`.
        trust: Whether the model may be loaded by running code that a file holds or the run names.
        device: The device of a model given by its spec; by default a GPU if there is one.
        overwrite: Whether an earlier export may be replaced.

    Raises:
        InputError: If there is nothing to export, the path cannot be used, the samples are no
            images (`png`), or the model is not the one of the run.
    """
    path = Path(path)
    if file_format == "png":
        check_folder(path, overwrite=overwrite)
    else:
        check_new(path, overwrite=overwrite)
    if len(run.records) == 0:
        raise InputError(
            f"the run in {run.directory} has no records, so there is nothing to export."
        )
    attack = attack or _default_attack(run.records)
    if file_format == "png":
        manifest, directory = run.origin()
        chosen = choose_records(run.records, attack, target, classes=run.classes)
        norm = _norm(attack, chosen)
        run_of = manifest.configuration
        known = load_known_model(run_of, model, trust=trust, device=device)
        verifier = (
            None
            if known.model is None
            else Verifier(known.model, run_of.bounds, targeted=run_of.targets is not None)
        )
        with named_by("--out", path):
            pictures = write_folder(path, chosen, manifest, directory, verifier=verifier, norm=norm)
        return ExportedAdversarials(
            path, file_format, attack, norm, chosen, tuple(pictures), known.reason
        )
    found = run.adversarials(attack, target)
    norm = _norm(attack, found.records)
    arrays = _arrays(found, norm)
    with named_by("--out", path):
        if file_format == "npz":
            write_atomically(path, lambda scratch: _write_npz(scratch, arrays, norm))
        else:
            texts = {"attack": attack, "norm": norm, "run": run.manifest["run"]}
            write_tensors(path, arrays, texts)
    return ExportedAdversarials(path, file_format, attack, norm, found.records)


def _change(files: Sequence[Picture], norm: Norm) -> str:
    """Return how far PNG files are from the inputs, beside the adversarials before rounding."""
    after, before = (
        statistics.median(getattr(picture, column) for picture in files)
        for column in (norm, f"{norm}_before")
    )
    return f"median distance in {norm}: {before:.4g}, with 8 bits {after:.4g}"


def _default_attack(records: Records) -> str:
    """Return the closest of all, or the only attack.

    Raises:
        InputError: If attacks minimize several norms, so that the closest is not defined.
    """
    names = attacks_in(records)
    norms = norms_in(records)
    if len(norms) > 1:
        raise InputError(
            f"the attacks of this run minimize {' and '.join(norms)}: name an attack, for example "
            f"--attack '{WORST_CASE} in {norms[0]}' (attack=... in Python)."
        )
    return names[0] if len(names) == 1 else WORST_CASE


def _norm(attack: str, chosen: Records) -> Norm:
    return norm_in_name(attack) or norm_of_records(chosen)


def _arrays(found: Adversarials, norm: Norm) -> dict[str, Tensor]:
    index, targets = indices_of(found.records), targets_of(found.records)
    columns = {
        "labels": "label",
        "predictions": "adversarial_prediction",
        "clean_predictions": "clean_prediction",
        "success": "success",
        "distances": norm,
    }
    return {
        "inputs": found.inputs,
        "adversarials": found.adversarials,
        "index": torch.tensor(index),
        "targets": torch.tensor(targets),
        **{name: torch.tensor(values_of(found.records, one)) for name, one in columns.items()},
    }


def _write_npz(path: Path, arrays: Mapping[str, Tensor], norm: Norm) -> None:
    known: dict[str, Any] = {
        name: (value.float() if value.dtype == torch.bfloat16 else value).numpy()
        for name, value in arrays.items()
    }
    with path.open("wb") as file:  # the library appends an ending to a name that has another one
        np.savez(file, norm=np.array(norm), **known)
