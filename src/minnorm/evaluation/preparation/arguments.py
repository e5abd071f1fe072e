"""The arguments of an evaluation, as the user gave them: checked, and specs resolved."""

import logging
import math
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from numbers import Real
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from minnorm import box_arguments, boxes, specs
from minnorm.acceleration import original
from minnorm.access import Access, access_of
from minnorm.attacks import Attack, Model, load_attack
from minnorm.attacks.composition import access_needed, attack_name, check_presets, norm_of
from minnorm.attacks.contract import check_offer
from minnorm.attacks.engine.problem import check_attack
from minnorm.boxes import Bounds
from minnorm.checks import check_count
from minnorm.data import Data
from minnorm.errors import InputError
from minnorm.evaluation.preparation.tuning import BatchSize
from minnorm.evaluation.running.restrictions import Restrictions
from minnorm.evaluation.selection import is_name_of_row
from minnorm.models import load_model
from minnorm.models.names import model_name
from minnorm.models.scikit_learn import Estimator, as_model
from minnorm.runtime import devices

Attacks: TypeAlias = str | Attack | Sequence[str | Attack] | Mapping[str, str | Attack]
"""Attacks as users give them: specs or functions, one or several, named or not."""

_FEW_LEVELS = 32
"""Radii of up to so many gray levels of 255 are usual in Linf, and tiny in L2."""

logger = logging.getLogger(__name__)


def checked_batch_size(batch_size: Any) -> BatchSize:
    """Return the batch size, a count or `auto`.

    Raises:
        InputError: If it is neither.
    """
    if batch_size == "auto":
        return "auto"
    check_count("batch_size", batch_size)
    return int(batch_size)


def checked_seed(seed: Any) -> int:
    """Return the seed of a run.

    Raises:
        InputError: If it is not a seed of PyTorch's generators.
    """
    check_count("seed", seed, least=0, most=2**63 - 1)
    return int(seed)


def checked_bounds(bounds: Any) -> Bounds:
    """Return the bounds as two numbers, or as two tensors with a bound for each feature.

    Raises:
        InputError: If they are neither, or not in ascending order.
    """
    example = "for example (0.0, 1.0)"
    pair = isinstance(bounds, Iterable) and not isinstance(bounds, str) and tuple(bounds)
    if pair and any(_is_of_features(bound) for bound in pair):
        return box_arguments.bounds_of(pair)
    if not pair or len(pair) != 2 or not all(_is_number(bound) for bound in pair):
        raise InputError(f"bounds={bounds!r}: expected two numbers (low, high), {example}.")
    low, high = (float(bound) for bound in pair)
    if not low < high:  # NaN is not, either
        raise InputError(f"bounds={(low, high)}: expected (low, high) with low < high, {example}.")
    return low, high


def _is_of_features(value: object) -> bool:
    return isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) != 1


def restrictions_of(data: Data, bounds: Bounds | None, mask: Any) -> Restrictions:
    """Return how far the attacks may change the inputs.

    Args:
        data: The samples, which may have bounds and a mask of their own.
        bounds: The bounds; `None` for those of the data, or 0 and 1 if it has none.
        mask: Which features may change; `None` for the mask of the data, if it has one.

    Raises:
        InputError: If bounds or mask do not broadcast to a sample.
    """
    own = [("bounds", bounds, data.bounds), ("mask", mask, data.mask)]
    taken = [name for name, given, known in own if given is None and known is not None]
    if bounds is None:
        bounds = (0.0, 1.0) if data.bounds is None else checked_bounds(data.bounds)
    mask = data.mask if mask is None else mask
    if mask is not None or not boxes.is_interval(bounds):
        shape = data.sample_shape
        bounds = box_arguments.sample_bounds(bounds, shape)
        mask = box_arguments.sample_mask(mask, shape)
    if taken:
        logger.info("%s: its own %s limit what the attacks change", data.name, " and ".join(taken))
    return Restrictions(bounds, mask)


def _is_number(value: object) -> bool:
    single = isinstance(value, Tensor | np.ndarray) and math.prod(value.shape) == 1
    return single or (isinstance(value, Real) and not isinstance(value, bool))


def named_attacks(attacks: Any, *, trust: bool = False) -> dict[str, Attack]:
    """Return the attacks of a run by name; the names of unnamed ones are their specs.

    Args:
        attacks: What a user gave, see `minnorm.evaluate`. Any value, since it is checked here.
        trust: Whether the file of a surrogate may run the code that it holds.

    Raises:
        InputError: If one of them cannot be used, two are the same, or none was given.
    """
    if isinstance(attacks, Mapping):
        named = {name: _usable_attack(attack, trust=trust) for name, attack in attacks.items()}
    else:
        listed = _listed(attacks)
        loaded = [_usable_attack(attack, trust=trust) for attack in listed]
        named = {_name(given, one): one for given, one in zip(listed, loaded, strict=True)}
        if len(named) < len(listed):
            raise InputError(
                "two of the attacks are the same: give them different parameters or names."
            )
    for name in named:
        if not isinstance(name, str) or not name.strip():
            raise InputError(f"the name of an attack is {name!r}; expected text.")
        if is_name_of_row(name):
            raise InputError(
                f"the name of an attack is {name!r}, which tables use for other rows: give the "
                "attack another name."
            )
    if not named:
        raise InputError("no attack was given: name at least one, for example 'ddn'.")
    for name, attack in named.items():
        _warn_of_default_norm(name, attack)
    return named


def accesses_of(
    attacks: Mapping[str, Attack], model: Model, given: str | Model | Estimator
) -> dict[str, Access]:
    """Return what each attack of a run needs of the model.

    Args:
        attacks: The attacks by name.
        model: The classifier.
        given: What the user gave, for messages: the spec of the classifier, or itself.

    Raises:
        InputError: If the model offers less.
    """
    offered = access_of(model)
    needed = {name: access_needed(attack, offered) for name, attack in attacks.items()}
    for name, access in needed.items():
        check_offer(model, access, name, model_name(given) if isinstance(given, str) else None)
    return needed


def _listed(attacks: Any) -> list[Any]:
    """Return attacks one by one; a text may name several, separated by commas."""
    several = isinstance(attacks, Sequence) and not isinstance(attacks, str)
    return [
        one
        for attack in (attacks if several else [attacks])
        for one in (specs.split_list(attack) if isinstance(attack, str) else [attack])
    ]


def _name(given: Any, attack: Attack) -> str:
    """Return the name of an attack that the user has given without one: its spec."""
    if isinstance(given, str) and ":" in (spec := specs.parse(given)).head:
        return specs.format_spec(spec.head, spec.arguments)  # functions have the same names easily
    return attack_name(attack)


def _usable_attack(attack: Any, *, trust: bool) -> Attack:
    """Return the attack of a spec, or a function that can be called as an attack."""
    # The words are those of the user, who calls this, so they may name code.
    is_spec = isinstance(attack, str)
    loaded = load_attack(attack, trust=True, trust_files=trust) if is_spec else attack
    check_attack(loaded)
    check_presets(loaded)
    norm_of([loaded])  # raises for an unknown norm, before anything runs
    return loaded


def _warn_of_default_norm(name: str, attack: Attack) -> None:
    """Warn of a radius that is usual in Linf, such as 8/255, if nobody has chosen the norm L2."""
    preset = attack.keywords if isinstance(attack, partial) else {}
    radius = preset.get("epsilon")
    if "norm" in preset or not isinstance(radius, float) or norm_of([attack]) != "l2":
        return
    levels = round(255 * radius) if math.isfinite(radius) else 0
    if 1 <= levels <= _FEW_LEVELS and radius == levels / 255:
        logger.warning(
            "%s searches in L2, its default norm, but a radius of %d/255 is usual in Linf and tiny "
            "in L2: choose the norm, norm=linf or norm=l2.",
            name,
            levels,
        )


def check_device(model: object, device: str | torch.device | None) -> None:
    """Check that the device exists, before anything is loaded.

    Raises:
        InputError: If it does not exist, or the model given by its spec needs it and ranks are set
            up wrongly.
    """
    if device is not None:
        devices.parse_device(str(device))
    elif isinstance(model, str):
        devices.default_device()


def load_classifier(
    model: str | Model | Estimator, device: str | torch.device | None, *, trust: bool
) -> Model:
    """Return the classifier to evaluate: that of a spec, or the original of an accelerated one.

    Args:
        model: What a user gave, see `minnorm.evaluate`.
        device: The device to run on; `None` for the model's own device, or for a spec the default
            device.
        trust: Whether a file may run the code that it holds.

    Raises:
        InputError: If it cannot be called, or is on another device.
    """
    model = as_model(original(model))
    if isinstance(model, str):
        place = devices.default_device() if device is None else devices.parse_device(str(device))
        return load_model(model, trust=trust).to(place)
    if not callable(model):
        raise InputError(
            f"cannot use {type(model).__name__} as a model: give a spec or a callable."
        )
    actual = devices.dtype_and_device(model)[1]
    wanted = actual if device is None else devices.parse_device(str(device))
    same = wanted.type == actual.type and (wanted.index or 0) == (actual.index or 0)
    if isinstance(model, nn.Module) and not same:
        raise InputError(
            f"the model is on {actual}, but device={str(device)!r}: move it there with "
            f"model.to({str(device)!r})."
        )
    return model
