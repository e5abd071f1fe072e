"""AutoAttack: the standard suite of attacks for the accuracy at one radius.

Croce, Hein: "Reliable evaluation of adversarial robustness with an ensemble of diverse
parameter-free attacks", ICML 2020, https://arxiv.org/abs/2003.01690.
"""

from collections.abc import Callable
from functools import partial

from jaxtyping import Bool, Float, Int64
from torch import Generator, Tensor

from minnorm import geometry
from minnorm.attacks.contract import AttackResult, Model, accepts_accelerated
from minnorm.attacks.engine.opening import open_search
from minnorm.attacks.engine.search import Search
from minnorm.attacks.gradient.apgd import apgd
from minnorm.attacks.gradient.fab import fab
from minnorm.attacks.score.square import square
from minnorm.boxes import Bounds
from minnorm.checks import check_count, check_number
from minnorm.geometry import Norm

_CANDIDATES = 9
"""The number of target classes of APGD and FAB in the standard suite."""


@accepts_accelerated
def autoattack(
    model: Model,
    inputs: Float[Tensor, "b *d"],
    labels: Int64[Tensor, "b"],
    *,
    epsilon: float,
    targeted: bool = False,
    norm: Norm = "l2",
    steps: int = 100,
    budget: int = 5000,
    levels: int | None = None,
    bounds: Bounds = (0.0, 1.0),
    mask: Bool[Tensor, "..."] | None = None,
    generator: Generator | None = None,
) -> AttackResult:
    """Search for adversarials within a given distance, with the four attacks of AutoAttack.

    The standard suite: APGD with the cross-entropy, APGD towards 9 single classes with the
    difference of logits ratio, FAB towards 9 single classes, and Square. Each runs on the samples
    that the earlier ones did not reach. So a robust sample costs 19 times `steps` gradients and
    28 times `steps` + `budget` forward passes, a sample that the first attack reaches 100.

    With fewer than 10 classes, all other classes are targets. The ratio needs 4 classes to aim at
    single ones: with 3 classes, and when `targeted`, APGD uses the ratio without targets; with 2
    classes that part is left out.

    Args:
        model, inputs, labels, targeted, levels, bounds, mask, generator: See `minnorm.attacks.ddn`.
        epsilon: The radius of the ball, in units of the inputs.
        norm: `l2` or `linf`.
        steps: The steps of APGD and of FAB, towards each class.
        budget: The queries of Square.

    Returns:
        The adversarial of each sample that was found first; all are within `epsilon`.

    Raises:
        InputError: If an argument is not as described.
    """
    check_number("epsilon", epsilon, 0)
    check_count("steps", steps)
    check_count("budget", budget, 2)
    geometry.check_ball(norm)
    with open_search(
        model,
        inputs,
        labels,
        targeted=targeted,
        bounds=bounds,
        mask=mask,
        generator=generator,
        norm=norm,
        radius_limit=epsilon,
        levels=levels,
    ) as search:

        def run(attack: Callable[..., AttackResult]) -> None:
            problem = search.problem
            found = attack(
                model,
                problem.origins,
                problem.goal.labels,
                targeted=targeted,
                levels=levels,
                bounds=problem.bounds,
                generator=search.generator,
            )
            search.absorb(found)

        run(partial(apgd, epsilon=epsilon, norm=norm, steps=steps))
        if len(search.drop_found()) > 0:
            search.adversarial_at(search.problem.origins)  # it counts the classes
            for attack in _later_attacks(search, epsilon, steps, budget):
                run(attack)
                if len(search.drop_found()) == 0:
                    break
        return search.result()


def _later_attacks(
    search: Search, epsilon: float, steps: int, budget: int
) -> list[Callable[..., AttackResult]]:
    """Return the attacks that follow on the first one."""
    norm = search.problem.norm
    ratio = partial(apgd, epsilon=epsilon, norm=norm, steps=steps)
    aimed = search.classes > 3 and not search.goal.targeted
    if aimed:
        ratio = partial(ratio, loss="targeted-dlr", candidates=_CANDIDATES)
    else:
        ratio = partial(ratio, loss="dlr")
    return [
        *([ratio] if search.classes > 2 else []),
        partial(fab, norm=norm, steps=steps, candidates=_CANDIDATES, one_by_one=True),
        partial(square, epsilon=epsilon, norm=norm, budget=budget),
    ]
