"""The environment variables that give a process of `torchrun` its rank. PyTorch is not imported."""

import os
from dataclasses import dataclass

from minnorm.errors import InputError

ADVICE = (
    "To run one process, unset RANK and WORLD_SIZE. To run several, start them with torchrun, "
    "which sets these variables: torchrun --nproc-per-node 2 -m minnorm ..."
)
"""What to do if the variables are wrong."""

_ADDRESS = ("MASTER_ADDR", "MASTER_PORT")


@dataclass(frozen=True)
class Launch:
    """The place of this process among those that a launcher such as `torchrun` has started.

    Attributes:
        rank: Its number, from 0.
        world_size: The number of processes, at least 2.
    """

    rank: int
    world_size: int

    def __str__(self) -> str:
        address = ", ".join(f"{name}={os.environ.get(name)}" for name in _ADDRESS)
        return f"RANK={self.rank}, WORLD_SIZE={self.world_size}, {address}"


def read_launch() -> Launch | None:
    """Return the place of this process among those of `torchrun`; `None` if it runs alone.

    Raises:
        InputError: If only some of the variables are set, or they contradict each other. That is so
            if they are left over from another program.
    """
    world_size, rank = _number("WORLD_SIZE", least=1), _number("RANK", least=0)
    if rank in (None, 0) and world_size in (None, 1):
        return None
    needed = ("RANK", "WORLD_SIZE", *_ADDRESS)
    missing = [name for name in needed if not os.environ.get(name)]
    if missing or rank is None or world_size is None:
        present = [f"{name}={os.environ[name]}" for name in needed if name not in missing]
        raise InputError(
            f"{_and(present)} {'is' if len(present) == 1 else 'are'} set in the environment, but "
            f"not {_and(missing)}. {ADVICE}"
        )
    if rank >= world_size:
        raise InputError(
            f"RANK={rank} and WORLD_SIZE={world_size} in the environment contradict each other: "
            f"expected a rank from 0 to {world_size - 1}. {ADVICE}"
        )
    return Launch(rank, world_size)


def is_first_rank() -> bool:
    """Return whether this process is the first of those of `torchrun`, or runs alone."""
    try:
        launch = read_launch()
    except InputError:  # raised again where the ranks are needed
        return True
    return launch is None or launch.rank == 0


def local_rank() -> int:
    """Return the number of this process among those of `torchrun` on this machine, from 0.

    Raises:
        InputError: See `read_launch`.
    """
    return 0 if read_launch() is None else _number("LOCAL_RANK", least=0) or 0


def local_ranks() -> int:
    """Return the number of processes that `torchrun` has started on this machine, at least 1.

    Raises:
        InputError: See `read_launch`.
    """
    return 1 if read_launch() is None else _number("LOCAL_WORLD_SIZE", least=1) or 1


def _number(name: str, least: int) -> int | None:
    """Return the whole number that a variable holds; `None` if it is not set or empty."""
    text = os.environ.get(name, "").strip()
    if not text:
        return None
    if not text.isdecimal() or int(text) < least:
        raise InputError(
            f"{name}={text} in the environment: expected a whole number of at least {least}. "
            f"{ADVICE}"
        )
    return int(text)


def _and(words: list[str]) -> str:
    return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)
