"""Options that several commands share, and those whose values typer does not read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from minnorm import specs
from minnorm.errors import InputError

if TYPE_CHECKING:
    from minnorm.data.arrays import Array
    from minnorm.evaluation.preparation.tuning import BatchSize
    from minnorm.geometry import Norm

Runs = Annotated[list[Path], typer.Argument(metavar="RUN", help="Run directories.")]

Labels = Annotated[
    list[str] | None,
    typer.Option(
        "--label",
        help="The name of a run where it is shown; one for each run, in the order of the runs. "
        "Default: what tells the models and data apart.",
    ),
]

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL", help="zoo:NAME, FILE.safetensors, FILE.onnx, package.module:factory, ..."
    ),
]

Device = Annotated[
    str | None,
    typer.Option(help="The device: cpu, cuda, cuda:1, ... Default: a GPU if there is one."),
]

Trust = Annotated[
    bool,
    typer.Option(
        "--trust", help="Allow the model's file to run code, for example a pickled checkpoint."
    ),
]

OwnNorms = Annotated[
    str | None,
    typer.Option(
        "--norm",
        help="Show distances in this norm: l0, l1, l2 or linf. Default: the norm of each attack.",
    ),
]
"""The norm of what can show several norms beside each other."""

OneNorm = Annotated[
    str | None,
    typer.Option(
        "--norm",
        help="Measure distances in this norm: l0, l1, l2 or linf. Default: that of the attacks.",
    ),
]
"""The norm of what can show one norm only."""

_BOUNDS = "--bounds"


def radius_option(purpose: str, default: str = "") -> Any:
    """Return the option `--epsilon`.

    Args:
        purpose: What happens at a radius, for example `Mark`.
        default: What happens without the option, as a sentence.
    """
    text = (
        f"{purpose} this radius, for example 8/255. Repeat it for several radii, or separate them "
        f"by commas. {default}"
    )
    return typer.Option("--epsilon", metavar="RADIUS", help=text.strip())


class CommandWithBounds(TyperCommand):
    """A command whose option `--bounds` takes two numbers, also with a comma between, or a file."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the words of the command line."""
        return super().parse_args(ctx, separated(args))


def separated(words: Sequence[str]) -> list[str]:
    """Return the words of a command with those of the bounds as typer takes them.

    The name of a file gets an empty second word.

    Raises:
        InputError: If the bounds are neither two words nor a file.
    """
    found: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*found, word, *rest]
        option, equals, value = word.partition("=")
        if option != _BOUNDS:
            found.append(word)
            continue
        given = [value] if equals else []
        while (
            rest
            and len(given) < 2
            and not rest[0].startswith("--")
            and not ("," in "".join(given) or _is_file(given))
        ):
            given.append(rest.pop(0))
        if _is_file(given):
            found += [_BOUNDS, *given, ""]
            continue
        parts = [part for one in given for part in one.split(",") if part.strip()]
        if len(parts) != 2:
            raise _not_bounds(given)
        found += [_BOUNDS, *parts]
    return found


def _is_file(words: Sequence[str]) -> bool:
    return len(words) == 1 and words[0].lower().endswith(".npz")


def read_bounds(words: Sequence[str] | None) -> "tuple[float, float] | tuple[Array, Array] | None":
    """Return the two numbers of `--bounds`, or the arrays of its file; `None` without the option.

    Raises:
        InputError: If they are no numbers, or the file cannot be read.
    """
    if words is None:
        return None
    if words[1] == "" and _is_file(words[:1]):
        from minnorm.data.array_files import read_bounds_file

        return read_bounds_file(Path(words[0]))
    try:
        low, high = map(specs.read_number, words)
    except InputError as error:
        raise _not_bounds(words) from error
    return low, high


def _not_bounds(words: Sequence[str]) -> InputError:
    return InputError(
        f"{' '.join([_BOUNDS, *words])}: expected two numbers, the lowest and the highest value of "
        "an input, for example --bounds 0 1, or FILE.npz with arrays low and high."
    )


def read_mask(path: Path | None) -> "Array | None":
    """Return the array of `--mask`, `None` without the option.

    Raises:
        InputError: If the file cannot be read.
    """
    if path is None:
        return None
    from minnorm.data.array_files import read_mask_file

    return read_mask_file(path)


def read_norm(word: str | None) -> "Norm | None":
    """Return the norm of `--norm`, `None` without the option.

    Raises:
        InputError: If there is no such norm.
    """
    from minnorm import geometry  # imports PyTorch

    return None if word is None else geometry.read_norm(word)


def read_radii(words: Sequence[str] | None) -> list[float]:
    """Return the radii of `--epsilon`; commas separate those in one word.

    Raises:
        InputError: If one is no number, or below 0.
    """
    radii = []
    for word in (part for one in words or () for part in one.split(",")):
        try:
            radius = specs.read_number(word)
        except InputError as error:
            raise InputError(f"--epsilon: {error}") from error
        if not radius >= 0:
            raise InputError(f"--epsilon {word}: expected a radius of at least 0.")
        radii.append(radius)
    return radii


def read_size(word: str) -> tuple[float, float]:
    """Return the two numbers of `--size`, with a comma or an x between them.

    Raises:
        InputError: If they are no numbers.
    """
    try:
        width, height = map(specs.read_number, word.replace("x", ",").split(","))
    except ValueError as error:  # no number, or not two of them
        raise InputError(
            f"--size {word}: expected a width and a height in inches, for example 3.3,2.4."
        ) from error
    return width, height


def read_batch_size(word: str) -> "BatchSize":
    """Return the value of `--batch-size`, a whole number or `auto`.

    Raises:
        InputError: If it is neither.
    """
    if word == "auto":
        return "auto"
    try:
        return int(word)
    except ValueError as error:
        raise InputError(f"--batch-size {word}: expected a whole number or auto.") from error
