"""Errors: what the command line shows as a message, and how it is caught in Python."""

import pickle

import pytest

from minnorm.errors import (
    InputError,
    MissingFileError,
    MissingLibraryError,
    NotTrustedError,
    OutOfMemoryError,
    RunConflictError,
    one_line,
)


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
