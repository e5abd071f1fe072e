"""Provenance: how the results of a run came about, and how to repeat it."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from minnorm.access import Access
from minnorm.evaluation.store.configuration import DrawsEntry, RestrictionsEntry
from minnorm.models.names import is_spec
from minnorm.report.runs import LabeledRun
from minnorm.report.texts import UNKNOWN

_MODEL, _DATA = "MODEL", "DATA"
"""What stands in a command for something that was passed as a Python object."""

_BOUNDS, _MASK = "FILE.npz", "FILE.npy"
"""What stands in a command for the files of bounds and mask."""

_HARDWARE_NAMES = {"memory_gib": "memory in GiB"}

_DEFAULT_BOUNDS = [0.0, 1.0]


@dataclass(frozen=True)
class Facts:
    """A list of facts under a heading: names with their values."""

    heading: str
    entries: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Provenance:
    """Where the results of a run come from.

    Attributes:
        facts: The configuration; then what each kind of session ran on.
        command: The command that repeats the run.
        remark: What to replace in the command.
    """

    facts: tuple[Facts, ...]
    command: str
    remark: str


def provenance(run: LabeledRun) -> Provenance:
    """Return the configuration, versions, hardware, revision and command of a run."""
    manifest = run.run.manifest
    configuration = manifest["configuration"]
    return Provenance(
        (_configuration(run, configuration), *_sessions(manifest["sessions"])),
        repeating_command(run),
        _remark(configuration, trusted=_was_trusted(run)),
    )


def repeating_command(run: LabeledRun) -> str:
    """Return the command that repeats a run with the same batches and the same acceleration."""
    used = run.run.manifest["configuration"]
    start, stop, step = used["indices"]
    part = f"[{start}:{stop if stop >= 0 else ''}{'' if step == 1 else f':{step}'}]"
    model, data = _specs(used)
    words = ["minnorm", "evaluate", model, data + part]
    for attack in used["attacks"]:
        words += ["--attack", attack["spec"]]
    if used["targets"] is not None:
        words += ["--targets", used["targets"]]
    restrictions = used.get("restrictions") or {}
    if restrictions.get("bounds"):
        words += ["--bounds", _BOUNDS]
    elif used["bounds"] != _DEFAULT_BOUNDS:
        words += ["--bounds", *(f"{bound:g}" for bound in used["bounds"])]
    if restrictions.get("mask"):
        words += ["--mask", _MASK]
    words += ["--batch-size", str(used["batch_size"]), "--accelerate", used["acceleration"]]
    words += ["--device", used["device"], "--seed", str(used["seed"])]
    if _was_trusted(run):
        words.append("--trust")
    if not used["save_adversarials"]:
        words.append("--no-adversarials")
    return shlex.join([*words, "--out", "repeated"])


def _specs(used: Mapping[str, Any]) -> tuple[str, str]:
    """Return the specs of the model and the data: `_MODEL` and `_DATA` for Python objects."""
    model, data = used["model"], used["data"]
    return model if is_spec(model) else _MODEL, _DATA if data == "data" else data


def _was_trusted(run: LabeledRun) -> bool:
    """Return whether the file of the model was allowed to run code."""
    return any(session.get("trust") for session in run.run.manifest["sessions"])


def _remark(used: Mapping[str, Any], *, trusted: bool) -> str:
    """Return what to replace in the command."""
    objects = [one for one in (_MODEL, _DATA) if one in _specs(used)]
    text = "A run keeps the names of files without their folders: add these."
    if objects:
        text = (
            f"Replace {' and '.join(objects)} by a spec: the run got a Python object, which has "
            f"none. {text}"
        )
    if used.get("restrictions"):
        text += (
            " A run keeps only checksums of a mask, and of the bounds of each feature: give their "
            "file, or remove the option if the data set holds them."
        )
    if trusted:
        text += " --trust lets the file of the model run code: check that you trust its source."
    return text


def _configuration(run: LabeledRun, used: Mapping[str, Any]) -> Facts:
    start, stop, step = used["indices"]
    samples = len(range(start, stop, step))
    every = "" if step == 1 else f", every {step}th"
    low, high = used["bounds"]
    return Facts(
        "Configuration",
        (
            ("model", used["model"]),
            ("data", used["data"]),
            ("samples", f"{samples:,}, positions {start:,} to {stop - 1:,}{every}"),
            *(("attack", _attack(one, run.accesses[one["name"]])) for one in used["attacks"]),
            ("targets", used["targets"] or "none: untargeted attacks"),
            ("bounds of inputs", f"{low:g} to {high:g}"),
            *_restrictions(used.get("restrictions")),
            *_draws(used.get("random_draws")),
            ("seed", str(used["seed"])),
            ("batch size", str(used["batch_size"])),
            ("acceleration", used["acceleration"]),
            ("precision", used["dtype"].removeprefix("torch.")),
            ("device", used["device"]),
            ("fingerprint of model", used["model_fingerprint"]),
            ("fingerprint of data", used["data_fingerprint"]),
            ("run", run.run.manifest["run"]),
            ("folder", str(run.run.directory or "none: in memory")),
        ),
    )


def _restrictions(entry: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return what the report says of features that have bounds of their own, or may not change."""
    return [] if entry is None else [("restrictions", str(RestrictionsEntry(**entry)))]


def _draws(entry: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """Return what the report says of the draws of a random model."""
    if entry is None:
        return []
    return [("draws", f"{DrawsEntry(**entry)}, judged in {entry['judged']:,} others")]


def _attack(attack: Mapping[str, str], access: Access) -> str:
    name = (
        attack["name"]
        if attack["name"] == attack["spec"]
        else f"{attack['name']} = {attack['spec']}"
    )
    return f"{name}, minimizes {attack['norm']}, uses {access}"


def _sessions(sessions: list[dict[str, Any]]) -> list[Facts]:
    """Return what the sessions ran on; those with the same code and machine share an entry."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for session in sessions:
        same = str([session.get(name) for name in ("revision", "versions", "hardware", "ranks")])
        groups.setdefault(same, []).append(session)
    return [
        Facts("Code and machine" + (f" {number}" if len(groups) > 1 else ""), _session(group))
        for number, group in enumerate(groups.values(), 1)
    ]


def _session(group: list[dict[str, Any]]) -> tuple[tuple[str, str], ...]:
    first = group[0]
    times = [session.get("started", UNKNOWN) for session in group]
    more = f", {len(group)} sessions, the last one {times[-1]}" if len(group) > 1 else ""
    versions = first.get("versions", {}).items()
    return (
        ("started", times[0] + more),
        ("revision", first.get("revision", UNKNOWN)),
        ("versions", ", ".join(f"{name} {version}" for name, version in versions)),
        ("processes", str(first.get("ranks", UNKNOWN))),
        *(
            (_HARDWARE_NAMES.get(name, name), str(value))
            for name, value in first.get("hardware", {}).items()
        ),
        *(("choice of acceleration", str(note)) for note in first.get("acceleration", [])),
    )
