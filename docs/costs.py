"""Measure what attacks cost and find on 20 shipped images, for the pages in `docs/attacks`.

Run it from the root of the checkout, and then `make docs`: `python docs/costs.py` measures all
attacks, which takes minutes, `python docs/costs.py ddn fmn` some of them. Gradients and forward
passes are counted; norms differ by rounding on other machines.
"""

import json
import sys
from functools import cache
from pathlib import Path

import minnorm
from minnorm.evaluation import summarize

MODEL = "zoo:mnist-cnn"
DATA = "mnist-sample[:20]"
FILE = Path(__file__).with_name("costs.json")

SPECS = {
    "alma": ["alma(steps=100)", "alma(steps=300)", "alma"],
    "apgd": [
        "apgd(epsilon=1.5)",
        "apgd(epsilon=1.5, loss=dlr)",
        "apgd(epsilon=1.5, loss=targeted-dlr)",
        "apgd(epsilon=0.1, norm=linf)",
    ],
    "apgd_min_norm": [
        "apgd_min_norm(steps=20)",
        "apgd_min_norm",
        "apgd_min_norm(norm=linf, initial_norm=0.1)",
    ],
    "autoattack": ["autoattack(epsilon=1.5)"],
    "bounded": ["ddn", "bounded(attack=ddn, epsilon=1.5)"],
    "carlini_wagner": [
        "carlini_wagner(searches=4, steps=25, step_size=0.3, initial_constant=1)",
        "carlini_wagner",
    ],
    "ddn": ["ddn(steps=30)", "ddn", "ddn(steps=300)", "ddn(steps=1000)", "ddn(levels=256)"],
    "decision_pursuit": [
        "decision_pursuit(budget=250)",
        "decision_pursuit",
        "decision_pursuit(norm=linf)",
    ],
    "deepfool": ["deepfool", "deepfool(candidates=3)", "deepfool(norm=linf)"],
    "fab": ["fab(steps=10)", "fab", "fab(steps=10, one_by_one=True)", "fab(norm=linf)"],
    "fgsm": ["fgsm(epsilon=1.5)", "fgsm(epsilon=0.1, norm=linf)"],
    "fmn": ["fmn(steps=30)", "fmn", "fmn(steps=300)", "fmn(norm=linf)"],
    "hop_skip_jump": [
        "hop_skip_jump(budget=250)",
        "hop_skip_jump",
        "hop_skip_jump(norm=linf)",
    ],
    "lbfgs": ["lbfgs"],
    "normal_pursuit": [f"normal_pursuit(budget={budget})" for budget in (10, 30, 100, 300, 1000)],
    "pdgd": ["pdgd(steps=100)", "pdgd"],
    "pgd": ["pgd(epsilon=1.5)", "pgd(epsilon=1.5, restarts=5)", "pgd(epsilon=0.1, norm=linf)"],
    "score_pursuit": [
        "score_pursuit(budget=250)",
        "score_pursuit",
        "score_pursuit(norm=linf)",
    ],
    "square": ["square(epsilon=2.0, budget=1000)", "square(epsilon=0.15, budget=1000, norm=linf)"],
    "square_min_norm": [
        "square_min_norm(budget=300)",
        "square_min_norm",
        "square_min_norm(norm=linf)",
    ],
    "superdeepfool": ["superdeepfool", "superdeepfool(candidates=3)"],
    "transfer": [
        "transfer(surrogates='zoo:mnist-cnn-ddn', refine=False)",
        "transfer(surrogates='zoo:mnist-cnn-ddn', budget=250)",
        "transfer(surrogates=['zoo:mnist-cnn-ddn', 'zoo:mnist-cnn-fgsm'], budget=250)",
        "transfer(surrogates=['zoo:mnist-cnn-ddn', 'zoo:mnist-cnn-fgsm'])",
    ],
    "with_bisection": ["fgsm(epsilon=5)", "with_bisection(attack='fgsm(epsilon=5)')"],
    "with_restarts": ["ddn", "with_restarts(attack=ddn, restarts=5)"],
    "worst_case": ["ddn", "fmn", "worst_case(attacks=[ddn, fmn])"],
}
"""The settings that the page of each attack shows."""


@cache
def measure(spec: str) -> dict[str, float | str]:
    """Run an attack without acceleration, and return its row of the table."""
    records = minnorm.evaluate(MODEL, DATA, spec, accelerate="off", batch_size=20).records
    summary = summarize(records, spec)
    return {
        "attack": spec,
        "norm": summary.norm,
        "success": round(100 * summary.success.value, 1),
        "mean": round(summary.mean.value, 4),
        "gradients": round(summary.backwards, 1),
        "forwards": round(summary.forwards, 1),
    }


def main() -> None:
    """Measure the settings of some attacks, or of all, and write them to a file beside this one."""
    rows = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in sys.argv[1:] or SPECS:
        rows[name] = [measure(spec) for spec in SPECS[name]]
    FILE.write_text(
        json.dumps({name: rows[name] for name in SPECS if name in rows}, indent=1) + "\n"
    )


if __name__ == "__main__":
    main()
