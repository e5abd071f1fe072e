"""Errors: what the command line shows as a message, and how it is caught in Python."""

import pickle
from collections.abc import Callable
from typing import cast

import pytest
import torch
from torch import nn

from minnorm.checks import check_count
from minnorm.errors import (
    InputError,
    MissingFileError,
    MissingLibraryError,
    NotTrustedError,
    OutOfMemoryError,
    RunConflictError,
    channel_advice,
    is_bug,
    layout_advice,
    one_line,
)
from minnorm.logits import predictions
from minnorm.specs import format_spec, parse


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (InputError, ValueError),
        (RunConflictError, ValueError),
        (OutOfMemoryError, ValueError),
        (NotTrustedError, ValueError),
        (MissingFileError, FileNotFoundError),
        (MissingLibraryError, ImportError),
    ],
)
def test_errors_are_input_errors_and_the_builtin_errors_of_their_kind(
    error: type[InputError], builtin: type[Exception]
) -> None:
    raised = error("the message")
    assert isinstance(raised, InputError)
    assert isinstance(raised, builtin)
    assert str(raised) == "the message"


@pytest.mark.parametrize("error", [InputError, MissingFileError, MissingLibraryError])
def test_errors_survive_the_way_to_another_rank(error: type[InputError]) -> None:
    raised = pickle.loads(pickle.dumps(error("the message")))  # noqa: S301 - made here
    assert type(raised) is error
    assert str(raised) == "the message"


def test_an_error_in_one_line_has_its_type_and_no_line_breaks() -> None:
    assert one_line(KeyError("a\n  b")) == "KeyError: 'a\\n b'"
    assert one_line(RuntimeError("size\nmismatch \n\t for")) == "RuntimeError: size mismatch for"
    assert one_line(RuntimeError()) == "RuntimeError: "


def test_a_long_error_is_cut() -> None:
    assert one_line(OSError("x" * 401)) == "OSError: " + "x" * 400


class Unprintable:
    def __repr__(self) -> str:
        raise KeyError("no name")


def _raised(code: Callable[[], object]) -> BaseException:
    with pytest.raises(Exception) as caught:  # noqa: PT011 - the caller checks which one
        code()
    return caught.value


def test_an_error_of_a_line_of_the_package_is_a_bug() -> None:
    assert is_bug(_raised(lambda: parse(cast("str", 3))))


@pytest.mark.parametrize(
    "code",
    [
        lambda: dict[str, int]()["missing"],  # a line of the user's
        lambda: format_spec("a", {"b": Unprintable()}),  # a user's object, called by the package
        lambda: check_count("steps", -1),  # the package's own refusal
        lambda: torch.nn.Linear(2, 2)(torch.zeros(1, 3)),
        lambda: predictions(torch.zeros(())),  # PyTorch's, on a line of the package
    ],
)
def test_other_errors_are_not_bugs(code: Callable[[], object]) -> None:
    assert not is_bug(_raised(code))


def test_an_error_that_was_never_raised_is_not_a_bug() -> None:
    assert not is_bug(KeyError("a"))


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((8, 32, 32, 3), "images of 32 x 32 pixels with the channels last?"),
        ((8, 28, 28, 1), "images of 28 x 28 pixels with the channels last?"),
        ((8, 28, 28), "lack the dimension of their channel"),
        ((8, 3, 32, 32), ""),
        ((8, 3, 3, 3), ""),
        ((8, 1, 28, 28), ""),
        ((8, 10), ""),
        ((8,), ""),
    ],
)
def test_the_advice_on_the_layout_of_images_depends_on_the_shape(
    shape: tuple[int, ...], advice: str
) -> None:
    found = layout_advice(shape)
    assert advice in found
    assert bool(found) == bool(advice)


@pytest.mark.parametrize(
    ("takes", "given", "advice"),
    [(1, 3, "takes gray images"), (3, 1, "takes color images"), (3, 4, ""), (4, 1, "")],
)
def test_the_advice_on_channels_is_read_from_the_error_of_pytorch(
    takes: int, given: int, advice: str
) -> None:
    with pytest.raises(RuntimeError) as caught:
        nn.Conv2d(takes, 2, 3)(torch.zeros(2, given, 8, 8))
    found = channel_advice(caught.value)
    assert advice in found
    assert bool(found) == bool(advice)
