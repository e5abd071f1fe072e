"""The variables of torchrun: complete, absent, or refused at once."""

import pytest

from minnorm.errors import InputError
from minnorm.runtime.torchrun import Launch, is_first_rank, local_rank, read_launch

NAMES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_RANK")
COMPLETE = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "here", "MASTER_PORT": "29500"}


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Remove all of the variables."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def set_all(environment: pytest.MonkeyPatch, variables: dict[str, str]) -> None:
    for name, value in variables.items():
        environment.setenv(name, value)


@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"WORLD_SIZE": "1"},
        {"WORLD_SIZE": "1", "RANK": "0"},
        {"RANK": "0"},
        {"WORLD_SIZE": "", "RANK": ""},
        {"MASTER_ADDR": "here", "MASTER_PORT": "29500"},
    ],
    ids=str,
)
def test_a_process_alone_has_no_launch(
    environment: pytest.MonkeyPatch, variables: dict[str, str]
) -> None:
    set_all(environment, {**variables, "LOCAL_RANK": "3"})
    assert read_launch() is None
    assert is_first_rank()
    assert local_rank() == 0  # that of another program


def test_complete_variables_give_the_rank(environment: pytest.MonkeyPatch) -> None:
    set_all(environment, {**COMPLETE, "LOCAL_RANK": "1"})
    launch = read_launch()
    assert launch == Launch(1, 2)
    assert str(launch) == "RANK=1, WORLD_SIZE=2, MASTER_ADDR=here, MASTER_PORT=29500"
    assert not is_first_rank()
    assert local_rank() == 1
    environment.setenv("RANK", "0")
    assert is_first_rank()


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"WORLD_SIZE": "2"}, "WORLD_SIZE=2 is set .* but not RANK, MASTER_ADDR and MASTER_PORT"),
        ({"RANK": "1"}, "RANK=1 is set .* but not WORLD_SIZE, MASTER_ADDR and MASTER_PORT"),
        ({"RANK": "0", "WORLD_SIZE": "2"}, "RANK=0 and WORLD_SIZE=2 are set .* not MASTER_ADDR"),
        ({**COMPLETE, "MASTER_PORT": ""}, "MASTER_ADDR=here are set .* but not MASTER_PORT"),
        ({**COMPLETE, "WORLD_SIZE": ""}, "but not WORLD_SIZE"),
        ({**COMPLETE, "RANK": "2"}, "RANK=2 and WORLD_SIZE=2 .* expected a rank from 0 to 1"),
        ({**COMPLETE, "WORLD_SIZE": "two"}, "WORLD_SIZE=two .* expected a whole number of at l"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0 .* expected a whole number of at least 1"),
        ({"RANK": "-1"}, "RANK=-1 .* expected a whole number of at least 0"),
    ],
)
def test_incomplete_or_contradictory_variables_are_refused(
    environment: pytest.MonkeyPatch, variables: dict[str, str], message: str
) -> None:
    set_all(environment, variables)
    with pytest.raises(InputError, match=rf"{message}.*unset RANK and WORLD_SIZE.*torchrun"):
        read_launch()
    assert is_first_rank()  # so that the message is shown
