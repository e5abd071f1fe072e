"""Attacks: pure functions `(model, inputs, labels) -> AttackResult`, one per file."""

from typing import TYPE_CHECKING

from minnorm.attacks.combinators import bounded, with_bisection, with_restarts, worst_case
from minnorm.attacks.composition import attack_name
from minnorm.attacks.contract import Attack, AttackResult, Model, accepts_accelerated, needs
from minnorm.attacks.decision.decision_pursuit import decision_pursuit
from minnorm.attacks.decision.hop_skip_jump import hop_skip_jump
from minnorm.attacks.default import attack
from minnorm.attacks.engine.incumbent import Incumbent
from minnorm.attacks.fingerprints import attack_fingerprint
from minnorm.attacks.gradient.alma import alma
from minnorm.attacks.gradient.apgd import apgd
from minnorm.attacks.gradient.apgd_min_norm import apgd_min_norm
from minnorm.attacks.gradient.carlini_wagner import CarliniWagnerResult, carlini_wagner
from minnorm.attacks.gradient.ddn import ddn
from minnorm.attacks.gradient.deepfool import deepfool
from minnorm.attacks.gradient.fab import fab
from minnorm.attacks.gradient.fgsm import fgsm
from minnorm.attacks.gradient.fmn import fmn
from minnorm.attacks.gradient.lbfgs import lbfgs
from minnorm.attacks.gradient.normal_pursuit import normal_pursuit
from minnorm.attacks.gradient.pdgd import pdgd
from minnorm.attacks.gradient.pgd import pgd
from minnorm.attacks.gradient.superdeepfool import superdeepfool
from minnorm.attacks.registry import ATTACKS, ENTRIES, Entry, attack_parameters, load_attack
from minnorm.attacks.score.score_pursuit import score_pursuit
from minnorm.attacks.score.square import square
from minnorm.attacks.score.square_min_norm import square_min_norm
from minnorm.attacks.suites import autoattack
from minnorm.attacks.surrogates import Surrogate
from minnorm.attacks.transfer import transfer
from minnorm.attacks.words import hint_for_attribute as _hint_for_attribute

__all__ = [
    "ATTACKS",
    "ENTRIES",
    "Attack",
    "AttackResult",
    "CarliniWagnerResult",
    "Entry",
    "Incumbent",
    "Model",
    "Surrogate",
    "accepts_accelerated",
    "alma",
    "apgd",
    "apgd_min_norm",
    "attack",
    "attack_fingerprint",
    "attack_name",
    "attack_parameters",
    "autoattack",
    "bounded",
    "carlini_wagner",
    "ddn",
    "decision_pursuit",
    "deepfool",
    "fab",
    "fgsm",
    "fmn",
    "hop_skip_jump",
    "lbfgs",
    "load_attack",
    "needs",
    "normal_pursuit",
    "pdgd",
    "pgd",
    "score_pursuit",
    "square",
    "square_min_norm",
    "superdeepfool",
    "transfer",
    "with_bisection",
    "with_restarts",
    "worst_case",
]


def __dir__() -> list[str]:
    return __all__


if not TYPE_CHECKING:  # type checkers find unknown names by themselves

    def __getattr__(name: str) -> object:
        """Suggest the attack that users of another library know by this name."""
        hint = "" if name.startswith("_") else _hint_for_attribute(name, ATTACKS)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint}")
