"""Training runs in processes of their own, which kill themselves at a chosen moment."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minnorm.training import Recipe, train

# The children are forked from a process that has imported the package already.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["minnorm.training", "lightning_fabric", "tensorboard"])


def exit_code(function: Callable[..., None], *given: Any) -> int | None:
    """Call a function of this file in a child, and return its exit code."""
    process = _CONTEXT.Process(target=function, args=given)
    process.start()
    process.join(120)
    hangs = process.is_alive()
    process.kill()
    process.join()
    assert not hangs, "the run did not end"
    return process.exitcode


def killed_before_file_operation(recipe: Recipe, folder: Path, number: int) -> None:
    """Train, until the n-th file that is written or renamed after the first epoch."""
    is_counting, counted = False, 0

    def counts(operation: Callable[..., Any]) -> Callable[..., Any]:
        def counted_operation(*given: Any) -> Any:
            nonlocal counted
            if is_counting:
                if counted == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                counted += 1
            return operation(*given)

        return counted_operation

    def on_progress(done: float, *_: object) -> None:
        nonlocal is_counting
        is_counting = done >= 1

    os.fsync = counts(os.fsync)
    Path.replace = counts(Path.replace)  # type: ignore[method-assign]
    train(recipe, folder, resume=True, on_progress=on_progress)


def killed_at_any_time(recipe: Recipe, folder: Path, epochs: float) -> None:
    """Train two epochs, and then for the time of so many epochs, a fraction included.

    A timer of this process's own processor time kills it, so that the load of the machine does not
    matter.
    """
    started, is_set = None, False

    def on_progress(done: float, *_: object) -> None:
        nonlocal started, is_set
        if done != int(done):
            return
        if started is None:
            started = time.process_time()
        elif not is_set:
            is_set = True
            length = time.process_time() - started
            signal.setitimer(signal.ITIMER_PROF, max(epochs * length, 1e-6))

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    train(recipe, folder, resume=True, on_progress=on_progress)
