"""Settings of the whole process: changed by the first thread, restored by the last."""

import threading
from collections.abc import Callable

import pytest

from minnorm.runtime.process_settings import ProcessSetting


class Value:
    """A setting, and how often it was changed."""

    def __init__(self) -> None:
        self.value = "before"
        self.changes = 0

    def change(self) -> Callable[[], None]:
        before, self.value = self.value, "inside"
        self.changes += 1

        def restore() -> None:
            self.value = before

        return restore


def test_it_is_changed_inside_and_restored() -> None:
    value = Value()
    setting = ProcessSetting(value.change)
    with setting.changed():
        assert value.value == "inside"
        with setting.changed():
            assert value.value == "inside"
        assert value.value == "inside"
    assert (value.value, value.changes) == ("before", 1)


def test_an_error_inside_restores_it() -> None:
    value = Value()
    with pytest.raises(KeyError), ProcessSetting(value.change).changed():
        raise KeyError
    assert value.value == "before"


def test_of_overlapping_users_the_last_one_restores() -> None:
    value = Value()
    setting = ProcessSetting(value.change)
    first, second = setting.changed(), setting.changed()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert value.value == "inside"
    second.__exit__(None, None, None)
    assert value.value == "before"


def test_threads_may_change_it_at_once() -> None:
    value = Value()
    setting = ProcessSetting(value.change)
    together = threading.Barrier(8)
    seen = []

    def work() -> None:
        together.wait()
        for _ in range(50):
            with setting.changed():
                seen.append(value.value)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert seen == ["inside"] * 400
    assert value.value == "before"
