"""Attacks: pure functions `(model, inputs, labels) -> AttackResult`, one a file."""

from minnorm.attacks._ddn import ddn
from minnorm.attacks.contract import Attack, AttackResult, Incumbent, Model
from minnorm.attacks.registry import ATTACKS, attack_name, attack_parameters, load_attack

__all__ = [
    "ATTACKS",
    "Attack",
    "AttackResult",
    "Incumbent",
    "Model",
    "attack_name",
    "attack_parameters",
    "ddn",
    "load_attack",
]
