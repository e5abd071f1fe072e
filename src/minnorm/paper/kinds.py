"""The kinds of experiments: what each does is one function, imported when it is needed.

A kind is a function of an experiment and `Options` that returns an `Outcome`. It measures with
`minnorm.paper.measuring.measure`, or in folders of its own below `options.out / "runs"`, and
writes figures into `options.folder(experiment)`. `minnorm.paper.reproduction` writes the page, the
numbers and the report.
"""

import importlib
from collections.abc import Callable
from typing import TypeAlias

from minnorm import specs
from minnorm.paper.experiment import Experiment
from minnorm.paper.measuring import Options
from minnorm.paper.outcome import Outcome

Kind: TypeAlias = Callable[[Experiment, Options], Outcome]

KINDS = {
    "attacks": "minnorm.paper.tables:attacks",
    "search": "minnorm.paper.search:search",
    "constants": "minnorm.paper.figures.constants:constants",
    "iterates": "minnorm.paper.figures.iterates:iterates",
    "example": "minnorm.paper.figures.example:example",
    "examples": "minnorm.paper.figures.examples:examples",
    "curves": "minnorm.paper.figures.curves:curves",
    "black-box": "minnorm.paper.black_box:black_box",
}
"""The function of each kind: its module and its name."""


def load_kind(name: str) -> Kind:
    """Return the function of a kind.

    Raises:
        InputError: If there is no such kind.
    """
    module, _, function = KINDS[specs.choose(name, KINDS, "kind")].partition(":")
    kind: Kind = getattr(importlib.import_module(module), function)
    return kind
