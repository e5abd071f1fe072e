"""The configuration of a run: what determines its records, and how two configurations differ."""

from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

import torch
from pydantic import AfterValidator, BaseModel, ConfigDict, PositiveInt

from minnorm.access import Access
from minnorm.logits import beyond_rounding

_DECIDED_LATER = ("batch_size", "acceleration")
"""The fields that may be open until a measurement decides them."""

_ANSWERS_TOLERANCE = 1e-2
"""How far logits may differ by rounding, relative to the largest that is not masked."""

_SMALLEST_TOLERANCE = 1e-12
"""How far logits may differ for a model whose logits are all zero."""

_MEANINGS = {
    "model_fingerprint": "the weights or the code of the model differ",
    "model_answers": "the model's logits of the first samples differ",
    "model_code": (
        "attributes or functions of the model differ, or what they use, or the version of Python"
    ),
    "data_fingerprint": "the samples differ",
}
"""What a difference means, for fields whose values mean nothing to a reader."""

_LARGEST_INDEX = 2**62
"""No data set is larger."""

_LONGEST = 200
"""Characters of a value in a message."""


def _check_indices(indices: tuple[int, int, int]) -> tuple[int, int, int]:
    if indices[2] == 0 or max(map(abs, indices)) > _LARGEST_INDEX:
        raise ValueError(f"{list(indices)} are not start, stop and step of samples")
    return indices


class AttackEntry(BaseModel):
    """An attack in the configuration of a run.

    Attributes:
        name: Its name in the records.
        spec: Its spec.
        norm: The norm that it minimizes.
        code: The fingerprint of its code, see `minnorm.attacks.attack_fingerprint`; empty for the
            attacks of this package.
        access: What it uses of the model, see `minnorm.access`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    spec: str
    norm: str
    code: str
    access: Access = "gradients"

    def __str__(self) -> str:
        return self.name if self.name == self.spec else f"{self.name} = {self.spec}"


class DrawsEntry(BaseModel):
    """The draws of a random model, see `minnorm.models.averaged`.

    Attributes:
        draws: The number of draws that attacks see the average of.
        seed: The seed of all draws.
        threshold: The share of draws from which on a sample counts as misclassified.
        judged: The number of further draws that this share is measured in.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    draws: int
    seed: int
    threshold: float
    judged: int

    def __str__(self) -> str:
        return f"{self.draws} with seed {self.seed}, threshold {self.threshold:g}"


class RestrictionsEntry(BaseModel):
    """What features of the inputs have bounds of their own, or may not change.

    Attributes:
        features: The number of features of a sample.
        free: How many of them may change.
        bounds: The SHA-256 of the bounds of each feature; `None` if all have the same.
        mask: The SHA-256 of the mask; `None` without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    features: int
    free: int
    bounds: str | None
    mask: str | None

    def __str__(self) -> str:
        parts = [f"{self.free:,} of {self.features:,} features may change"]
        parts += [f"mask {self.mask[:8]}"] if self.mask else []
        parts += [f"bounds of each feature {self.bounds[:8]}"] if self.bounds else []
        return ", ".join(parts)


class OpenConfiguration(BaseModel):
    """The configuration of a run, of which batch size and acceleration may not be decided yet.

    Attributes:
        model: The spec of the model, or the name of its class.
        model_fingerprint: The fingerprint of its weights and code.
        model_answers: Its logits of the first samples, which two machines may round differently.
        model_code: The hash of the user's code in it, of attributes that are no weights, and of
            what an estimator has learned; `None` in a run of an earlier version.
        data: The name of the data.
        data_fingerprint: The fingerprint of the whole data set.
        indices: Start, stop and step of the samples in the whole data set.
        attacks: The attacks; the numbers of the units on disk follow their order. Attacks that are
            added to a run come last.
        targets: The classes that the attacks aim at, see `minnorm.evaluate`.
        seed: The seed of the run.
        bounds: The bounds of the inputs; the lowest and the highest one if features have bounds of
            their own.
        restrictions: What features have bounds of their own, or may not change; `None` if all have
            the same bounds.
        dtype: The dtype of the model.
        device: The type of the device, such as `cpu`.
        random_draws: The draws of a random model; `None` for any other model.
        save_adversarials: Whether the adversarials are kept.
        batch_size: Samples attacked at once; `None` while it is not decided.
        acceleration: How the attacks call the model; `None` while it is not decided.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, protected_namespaces=())

    model: str
    model_fingerprint: str
    model_answers: tuple[float, ...]
    model_code: str | None = None
    data: str
    data_fingerprint: str
    indices: Annotated[tuple[int, int, int], AfterValidator(_check_indices)]
    attacks: tuple[AttackEntry, ...]
    targets: str | None
    seed: int
    bounds: tuple[float, float]
    restrictions: RestrictionsEntry | None = None
    dtype: str
    device: str
    save_adversarials: bool
    random_draws: DrawsEntry | None = None
    batch_size: int | None = None
    acceleration: str | None = None

    def decide(self, batch_size: int, acceleration: str) -> "Configuration":
        """Return the configuration with nothing left open."""
        known = {name: getattr(self, name) for name in type(self).model_fields}
        return Configuration(**known | {"batch_size": batch_size, "acceleration": acceleration})

    def after(self, earlier: "Configuration | None") -> "OpenConfiguration":
        """Return this configuration with the attacks of an earlier run first, in their order."""
        before = () if earlier is None else earlier.attacks
        first = tuple(entry for entry in before if entry in self.attacks)
        added = tuple(entry for entry in self.attacks if entry not in before)
        return self.model_copy(update={"attacks": first + added})


class Configuration(OpenConfiguration):
    """The configuration of a run, as its manifest holds it."""

    batch_size: PositiveInt
    acceleration: str

    def with_attacks_of(self, now: "Configuration") -> "Configuration":
        """Return this configuration of a run on disk with all attacks of the run that continues it.

        Args:
            now: The configuration of the run that continues it, without `differences`.
        """
        return self.model_copy(update={"attacks": now.attacks})

    def differences(self, now: OpenConfiguration) -> list[str]:
        """Return how this configuration of a run on disk differs from another, in words.

        Fields that are open in the other one are not compared, and logits only up to rounding. The
        other one may have more attacks, and in another order.

        Args:
            now: The configuration of the run that is to continue.

        Returns:
            A line for each field that differs.
        """
        found = []
        for name in type(self).model_fields:
            before, after = getattr(self, name), getattr(now, name)
            is_open = name in _DECIDED_LATER and after is None
            same = _RULES.get(name, _equal)
            if not is_open and not same(before, after):
                found.append(f"{name}: {_difference(name, before, after)}")
        return found


def _equal(before: Any, after: Any) -> bool:
    return bool(before == after)


def _nearly_equal(before: Sequence[float], after: Sequence[float]) -> bool:
    """Return whether two sets of logits are equal up to rounding."""
    if len(before) != len(after):
        return False
    there, now = (torch.tensor(each, dtype=torch.float64).unsqueeze(0) for each in (before, after))
    differ = beyond_rounding(now, there, _ANSWERS_TOLERANCE)
    return not bool((differ & ~((now - there).abs() <= _SMALLEST_TOLERANCE)).any())


def _equal_if_known(before: object, after: object) -> bool:
    """Return whether two values are equal, of which a run of an earlier version lacks its own."""
    return before is None or before == after


def _contained(before: Sequence[AttackEntry], after: Sequence[AttackEntry]) -> bool:
    """Return whether all attacks of a run are among those of another."""
    return set(before) <= set(after)


_RULES: Mapping[str, Callable[[Any, Any], bool]] = {
    "model_answers": _nearly_equal,
    "model_code": _equal_if_known,
    "attacks": _contained,
}
"""How fields are compared that need not be equal."""


def _difference(name: str, before: Any, after: Any) -> str:
    if name in _MEANINGS:
        return _MEANINGS[name]
    text = f"{_shortened(_in_words(before))} there, {_shortened(_in_words(after))} now"
    if name != "attacks":
        return text
    changed = [
        old.name for old in before for new in after if str(old) == str(new) and old.code != new.code
    ]
    if changed:
        return (
            f"the code of {', '.join(changed)} differs, or what it uses, or the version of Python"
        )
    return f"{text}. Attacks can be added to a run, but not removed or changed"


def _in_words(value: Any) -> str:
    """Write a value of a configuration; numbers in brackets, as the manifest has them."""
    if not isinstance(value, tuple):
        return str(value)
    attacks = [str(entry) for entry in value if isinstance(entry, AttackEntry)]
    return ", ".join(attacks) if attacks else str(list(value))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} ..."
