"""How an attack begins: its arguments become a problem and a search."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from minnorm import boxes
from minnorm.acceleration.accelerated import Accelerated, original
from minnorm.access import Access
from minnorm.attacks.contract import Model, check_offer
from minnorm.attacks.engine.autograd import draw_seed, ordinary, own_autograd_mode
from minnorm.attacks.engine.coarse import AcceleratedSearch
from minnorm.attacks.engine.goal import Goal
from minnorm.attacks.engine.inset import BoundWatch, InsetGradients
from minnorm.attacks.engine.problem import Problem, check_problem
from minnorm.attacks.engine.queries.searches import DecisionSearch, ScoreSearch
from minnorm.attacks.engine.samples import check_levels
from minnorm.attacks.engine.search import Search
from minnorm.attacks.engine.units import with_queried_unit, with_unit
from minnorm.checks import check_flag
from minnorm.geometry import Norm


@contextmanager
def open_search(
    model: Model,
    inputs: Any,
    labels: Any,
    *,
    targeted: Any,
    bounds: Any,
    generator: Any,
    norm: Norm = "l2",
    confidence: float = 0.0,
    radius_limit: float = math.inf,
    starts: Any = None,
    levels: Any = None,
    mask: Any = None,
    access: Access = "gradients",
    budget: int | None = None,
    own_unit: bool = True,
) -> Iterator[Search]:
    """Check the arguments of an attack, and begin a search; inside, autograd records nothing.

    Many parameters are annotated as `Any`, since this function checks their types.

    Args:
        model: The classifier.
        inputs: The inputs to attack.
        labels: Their true labels, or the target classes when `targeted`.
        targeted: Whether the labels are target classes.
        bounds: The lowest and the highest value of an input: two numbers, or tensors that
            broadcast to the inputs.
        generator: The source of what is random; `None` for one with a fixed seed.
        norm: The norm of the distances.
        confidence: How negative the margin of a point must be for the point to count.
        radius_limit: The largest distance that counts, in units of the inputs.
        starts: The points where the attack begins; only checked here.
        levels: The number of levels to round points to; `None` for no rounding.
        mask: Which features may change; it broadcasts to the inputs. `None`: all of them.
        access: What the attack needs of the model, as it is marked with `needs`. Without gradients
            the search has no `visit`; with `decisions` it reads predicted classes only. Both use
            the original of an accelerated model.
        budget: The queries of a sample, for an attack by scores. What the unit of a sample costs of
            them is in `Search.spent`; the attack has to subtract it.
        own_unit: Whether the unit of length may be another one than the width of the bounds, where
            these are loose.

    Raises:
        InputError: If an argument is not as described, or the model offers less access.
    """
    watch = BoundWatch(active=isinstance(model, InsetGradients))
    if isinstance(model, InsetGradients):
        model = model.model
    check_problem(model, inputs, labels, bounds, starts, mask=mask)
    check_offer(model, access)
    check_flag("targeted", targeted)
    with own_autograd_mode():
        origins = ordinary(inputs)
        box = boxes.masked(boxes.for_batch(bounds, origins), origins, mask)
        check_levels(levels, box)
        problem = Problem(
            origins=origins,
            goal=Goal(ordinary(labels), targeted, confidence),
            bounds=box,
            norm=norm,
            radius_limit=radius_limit,
            unit=boxes.spans(box, origins),
            levels=levels,
        )
        seed = draw_seed(generator)
        # With a limit, lengths follow from the radius.
        own_lengths = own_unit and math.isinf(radius_limit)
        if access != "gradients":
            queried = original(model)
            # An attack by decisions has no use for a unit, and a limit on its queries.
            if access == "decisions" or not own_lengths:
                kind = DecisionSearch if access == "decisions" else ScoreSearch
                yield kind(problem, queried, seed)
                return
            problem, spent = with_queried_unit(problem, queried, budget)
            by_scores = ScoreSearch(problem, queried, seed)
            by_scores.spent = spent
            yield by_scores
            return
        problem = with_unit(problem, model) if own_lengths else problem
        if isinstance(model, Accelerated):
            search: Search = AcceleratedSearch(problem, model, seed, watch)
        else:
            search = Search(problem, model, seed, watch)
        if watch.active:  # which inputs are adversarial themselves is not seen inside the bounds
            search.adversarial_at(problem.origins)
        yield search
