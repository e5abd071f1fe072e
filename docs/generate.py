"""Writes the parts of the documentation that follow from the code: `make docs`.

Run from the root of the checkout. A test checks that the files are as this would write them.
"""

from pathlib import Path

from minnorm.attacks import ENTRIES

INTRODUCTION = """# How to choose an attack

This page is written from the registry of attacks by `make docs`. All of them are functions of one
form, `attack(model, inputs, labels, *, targeted=False, bounds=(0.0, 1.0), generator=None, ...)`,
and give an `AttackResult`; `help(minnorm.attacks.NAME)` describes the hyper-parameters.

Attacks that look for the *closest* adversarial tell the accuracy at every radius in one run; those
that look *within epsilon* tell it at one, and say nothing of larger radii. `norm='linf'` changes
the norm of those that know it; records and tables follow. Costs are of one sample; k is
`candidates`, the number of classes considered. The inputs cost one or two forward passes more.

"""

COMBINATORS = """
Attacks are combined to attacks:

| | |
|---|---|
| `worst_case([ddn, fmn])` | runs several and keeps the closest adversarial of each sample |
| `with_restarts(ddn, 5)` | runs one several times, from random points |
| `with_bisection(deepfool, 10)` | moves what it finds onto the boundary by forward passes |
| `bounded(ddn, 0.5)` | keeps what is within a radius, and scales down what is farther |

What is moved or scaled down is no longer on the grid of an attack's `levels` (8-bit images), nor
has it its `confidence`. What `bounded` scales down, like the defense of the paper, need not be
adversarial any more; then it is no success.

The result of `carlini_wagner` also has the `constants` C of eq. 5 with which each adversarial was
found (the paper's figure 2). Its defaults are for thousands of steps; for a hundred take
`carlini_wagner(searches=4, steps=25, step_size=0.3, initial_constant=1)` or so on MNIST.

On the command line: `--attack "worst_case(attacks=['ddn(steps=300)', 'fmn'])"`.
"""


def attacks_page() -> str:
    """Gives the page on the choice of an attack."""
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
    """Writes the pages into the folder of this file."""
    for name, page in PAGES.items():
        (Path(__file__).parent / name).write_text(page())


if __name__ == "__main__":
    main()
