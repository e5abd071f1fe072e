"""Write the documentation pages that are generated from the code: `make docs`.

Run it from the root of the checkout. A test checks that the files are up to date.
"""

from pathlib import Path

from minnorm.attacks import ENTRIES

INTRODUCTION = """# How to choose an attack

`make docs` writes this page from the registry of attacks. All attacks are functions of one form,
`attack(model, inputs, labels, *, targeted=False, bounds=(0.0, 1.0), generator=None, ...)`, and
return an `AttackResult`. `help(minnorm.attacks.NAME)` describes their hyper-parameters.

Attacks with the goal *closest* search for the closest adversarial: one run gives the accuracy at
every radius. Attacks with the goal *within epsilon* give the accuracy at one radius, and nothing
beyond it. Attacks that support Linf take `norm='linf'`; records and tables are then in that norm.
Costs are for one sample; k is `candidates`, the number of classes considered. The clean input costs
one or two more forward passes. With `levels=256`, every attack rounds its points to 8-bit images.

"""

COMBINATORS = """
Attacks can be combined. A combination is an attack, too:

| | |
|---|---|
| `worst_case([ddn, fmn])` | runs several attacks and keeps the closest adversarial of each sample |
| `with_restarts(ddn, 5)` | runs an attack several times, from random points |
| `with_bisection(deepfool, 10)` | moves each adversarial to the boundary, by forward passes |
| `bounded(ddn, 0.5)` | scales down each adversarial beyond a radius, and checks it again |

If all attacks of a combination round to the same `levels`, so does the combination. An adversarial
that was moved or scaled down no longer has the `confidence` of its attack. One that `bounded`
scales down may no longer be adversarial; then it counts as a failure.

Lengths, such as DDN's `initial_norm`, are in units of the width of the bounds, since those of the
papers are for inputs in 0..1. Where a bound is infinite, or the width is over a hundred times the
distance to the boundary, as it is for tabular data with wide bounds, the unit of a sample is five
times that distance, estimated by a linear model. That costs one gradient of the samples for which
their values suggest it. Attacks within epsilon take their lengths from epsilon.

Where a model clamps its inputs to the bounds, PyTorch's gradients are zero at the bounds. An attack
looks for that in its 1st, 10th, 100th and 1,000th gradient; `minnorm.attack` and evaluations look
before they begin. Then gradients are taken slightly inside the bounds, and a warning says so. With
`levels`, and in half precision, this costs one more forward pass for each gradient.

The result of `carlini_wagner` also has the `constants` C of eq. 5 with which each adversarial was
found (figure 2 of the paper). Its defaults are for thousands of steps. For a hundred steps on
MNIST, `carlini_wagner(searches=4, steps=25, step_size=0.3, initial_constant=1)` is a good start.

On the command line: `--attack "worst_case(attacks=['ddn(steps=300)', 'fmn'])"`.
"""


def attacks_page() -> str:
    """Return the page on the choice of an attack."""
    lines = [
        "| attack | goal | norms | targeted | cost | use it for | source |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, entry in ENTRIES.items():
        norms = ", ".join(entry.norms)
        lines.append(
            f"| `{name}` | {entry.goal} | {norms} | {entry.targeted} | {entry.cost} | {entry.when} "
            f"| {entry.source} |"
        )
    return INTRODUCTION + "\n".join(lines) + "\n" + COMBINATORS


PAGES = {"attacks.md": attacks_page}


def main() -> None:
    """Write the pages into the folder of this file."""
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page())


if __name__ == "__main__":
    main()
