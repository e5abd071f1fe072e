"""The attacks that findings suggest: those that need no more of a model than a run has used."""

from minnorm.access import Access
from minnorm.attacks.contract import BEST_ATTACKS
from minnorm.geometry import Norm
from minnorm.report.texts import norm_name

_OTHERS: dict[Access, dict[Norm, str]] = {
    "gradients": {"l2": "ddn(steps=100)", "linf": "apgd_min_norm(norm=linf)"},
    "scores": {"l2": "decision_pursuit", "linf": "decision_pursuit(norm=linf)"},
    "decisions": {"l2": "hop_skip_jump", "linf": "hop_skip_jump(norm=linf)"},
}
"""Attacks of another kind than the best ones."""


def closest_attacks(access: Access, norm: Norm) -> list[str]:
    """Return specs of attacks that search for the closest adversarial, the best one first.

    Args:
        access: The most that they may use of the model.
        norm: The norm that they minimize; of norms that no attack minimizes, those of L2.
    """
    norm = norm if norm in BEST_ATTACKS[access] else "l2"
    best = BEST_ATTACKS[access][norm]
    return [best if norm == "l2" else f"{best}(norm={norm})", _OTHERS[access][norm]]


def examples(access: Access) -> str:
    """Return the best attacks in words, for example `ddn for L2 or fmn(norm=linf) for L∞`.

    Args:
        access: The most that they may use of the model.
    """
    return " or ".join(
        f"{closest_attacks(access, norm)[0]} for {norm_name(norm)}" for norm in BEST_ATTACKS[access]
    )
