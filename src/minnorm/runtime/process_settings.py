"""Settings of the whole process that are changed for a while, by several threads at once."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Lock


class ProcessSetting:
    """A setting that the first thread changes, and the last one restores.

    Args:
        change: Changes the setting, and returns the function that restores it.
    """

    def __init__(self, change: Callable[[], Callable[[], None]]) -> None:
        self._change = change
        self._lock = Lock()
        self._users = 0
        self._restore: Callable[[], None] = lambda: None

    @contextmanager
    def changed(self) -> Iterator[None]:
        """Change the setting, until the last of the threads that are inside has left."""
        with self._lock:
            if self._users == 0:
                self._restore = self._change()
            self._users += 1
        try:
            yield
        finally:
            with self._lock:
                self._users -= 1
                if self._users == 0:
                    self._restore()
