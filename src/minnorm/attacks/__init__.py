"""Attacks: pure functions `(model, inputs, labels) -> AttackResult`, one a file."""

from minnorm.attacks._alma import alma
from minnorm.attacks._apgd import apgd, apgd_min_norm
from minnorm.attacks._carlini_wagner import CarliniWagnerResult, carlini_wagner
from minnorm.attacks._ddn import ddn
from minnorm.attacks._deepfool import deepfool
from minnorm.attacks._fab import fab
from minnorm.attacks._fgsm import fgsm
from minnorm.attacks._fmn import fmn
from minnorm.attacks._lbfgs import lbfgs
from minnorm.attacks._normal_pursuit import normal_pursuit
from minnorm.attacks._pdgd import pdgd
from minnorm.attacks._pgd import pgd
from minnorm.attacks._superdeepfool import superdeepfool
from minnorm.attacks.combinators import bounded, with_bisection, with_restarts, worst_case
from minnorm.attacks.contract import Attack, AttackResult, Incumbent, Model
from minnorm.attacks.default import attack
from minnorm.attacks.registry import (
    ATTACKS,
    ENTRIES,
    Entry,
    attack_fingerprint,
    attack_name,
    attack_parameters,
    load_attack,
)

__all__ = [
    "ATTACKS",
    "ENTRIES",
    "Attack",
    "AttackResult",
    "CarliniWagnerResult",
    "Entry",
    "Incumbent",
    "Model",
    "alma",
    "apgd",
    "apgd_min_norm",
    "attack",
    "attack_fingerprint",
    "attack_name",
    "attack_parameters",
    "bounded",
    "carlini_wagner",
    "ddn",
    "deepfool",
    "fab",
    "fgsm",
    "fmn",
    "lbfgs",
    "load_attack",
    "normal_pursuit",
    "pdgd",
    "pgd",
    "superdeepfool",
    "with_bisection",
    "with_restarts",
    "worst_case",
]
