"""Specs: parsing and writing are inverse, and each error says what to do."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnorm.errors import InputError
from minnorm.specs import (
    Spec,
    choose,
    format_spec,
    is_fraction,
    parse,
    path_of,
    read_number,
    same,
    split_list,
)

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True).filter(
    lambda name: (
        name not in {"and", "as", "def", "del", "elif", "else", "for", "from", "if"}
        and name not in {"assert", "async", "await", "break", "class", "continue", "except"}
        and name not in {"finally", "global", "import", "in", "is", "lambda", "nonlocal", "not"}
        and name not in {"or", "pass", "raise", "return", "try", "while", "with", "yield"}
    )
)
HEADS = st.sampled_from(["ddn", "mnist/train", "folder:/a b/c", "package.module:factory", "a(b)/c"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.tuples(SCALARS, SCALARS))
BOUNDS = st.none() | st.integers(-9, 9)


@given(head=HEADS, arguments=st.dictionaries(NAMES, VALUES, max_size=3))
def test_parse_is_the_inverse_of_describe(head: str, arguments: dict[str, Any]) -> None:
    assert parse(format_spec(head, arguments)) == Spec(head, arguments)


@pytest.mark.parametrize("value", ["a(b", "a)b", ")(", "'\"(", math.inf, -math.inf])
def test_parse_is_the_inverse_of_describe_for_awkward_values(value: object) -> None:
    assert parse(format_spec("ddn", {"value": value})) == Spec("ddn", {"value": value})


@given(start=BOUNDS, stop=BOUNDS, step=BOUNDS.filter(lambda step: step != 0))
def test_slices_are_read_as_in_python(
    start: int | None, stop: int | None, step: int | None
) -> None:
    fields = ["" if number is None else str(number) for number in (start, stop, step)]
    assert parse(f"mnist[{':'.join(fields)}]").part == slice(start, stop, step)
    assert parse(f"mnist[{':'.join(fields[:2])}]").part == slice(start, stop)


def test_spaces_around_the_parts_do_not_matter() -> None:
    spec = parse("  folder:/my photos (resize = 256, crop=224) [ 10 : 20 ] ")
    assert spec == Spec("folder:/my photos", {"resize": 256, "crop": 224}, slice(10, 20))


def test_a_plain_name_has_no_arguments_and_no_slice() -> None:
    assert parse("ddn") == Spec("ddn", {}, None)
    assert parse("ddn()") == Spec("ddn", {}, None)


@pytest.mark.parametrize("text", ["", "   ", "(steps=1)", "[:10]"])
def test_a_spec_without_a_name_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"has no name: write one, for example 'ddn'"):
        parse(text)


@pytest.mark.parametrize("inside", ["3", "", "a:b", "::0", "1:2:3:4", "1.5:2", "1,2"])
def test_a_slice_that_cannot_be_read_is_refused(inside: str) -> None:
    text = f"mnist[{inside}]"
    message = f"cannot read the slice '[{inside}]' in {text!r}: write [start:stop]"
    with pytest.raises(InputError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    "inside",
    [
        "(3)",
        "(steps)",
        "(**{'steps': 3})",
        "(*[1])",
        "(steps=1+1)",
        "(steps=)",
        "(steps=open('x'))",
        "(steps={[1]: 2})",
        "(steps={{}})",
        "(steps=1/0)",
        "(steps=1/2/3)",
        "(steps=__import__('os').system('true'))",
        "(steps=1, steps=2)",
        "steps=3)",
    ],
)
def test_arguments_that_cannot_be_read_are_refused(inside: str) -> None:
    with pytest.raises(InputError, match=r"cannot read the arguments .* write name=value pairs"):
        parse(f"ddn{inside}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mnist[:100", "the bracket in 'mnist[:100' is not closed: write ']' at the end."),
        ("ddn(steps=3", "the parenthesis in 'ddn(steps=3' is not closed: write ')' at the end."),
    ],
)
def test_the_error_suggests_the_correction(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    ("inside", "value"),
    [
        ("8/255", 8 / 255),
        ("-1/2", -0.5),
        ("[1/2, 3]", [0.5, 3]),
        ("linf", "linf"),
        ("np.inf", "np.inf"),
        ("targeted-dlr", "targeted-dlr"),
        ("none", None),
        ("true", True),
        ("(ddn, 'fmn')", ("ddn", "fmn")),
        ("[ddn, fmn(steps=9)]", ["ddn", "fmn(steps=9)"]),
        ("ddn(steps=9)", "ddn(steps=9)"),
        ("{'a': 1}", {"a": 1}),
        ("[\n ddn,\n 1/4]", ["ddn", 0.25]),
    ],
)
def test_fractions_are_numbers_and_texts_need_no_quotes(inside: str, value: object) -> None:
    assert parse(f"name(value={inside})").arguments == {"value": value}


@pytest.mark.parametrize(
    ("text", "number"),
    [("8/255", 8 / 255), (" 8 / 255 ", 8 / 255), ("-1", -1), ("1e-3", 1e-3), ("1e1/4", 2.5)],
)
def test_a_number_may_be_a_fraction(text: str, number: float) -> None:
    assert read_number(text) == number
    assert is_fraction(text) == ("/" in text)


@pytest.mark.parametrize("text", ["", "x", "1/0", "1/2/3", "8:255", "1,5"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"is not a number: write it like 0.5, 1e-3 or 8/255"):
        read_number(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ddn", ["ddn"]),
        ("fmn,ddn", ["fmn", "ddn"]),
        ("ddn(steps=3, levels=2), fmn", ["ddn(steps=3, levels=2)", "fmn"]),
        (
            "worst_case(attacks=['a,b)', \"c'\"]), ddn",
            ["worst_case(attacks=['a,b)', \"c'\"])", "ddn"],
        ),
        ("ddn,", ["ddn", ""]),
    ],
)
def test_commas_outside_brackets_separate_specs(text: str, parts: list[str]) -> None:
    assert split_list(text) == parts


def test_choose_suggests_a_name_that_differs_in_case_or_hyphens() -> None:
    with pytest.raises(InputError, match="Did you mean 'mnist_cnn'"):
        choose("MNIST-CNN", ["mnist_cnn", "cifar10_cnn"], "architecture")


def test_choose_returns_a_known_name() -> None:
    assert choose("ddn", ["pgd", "ddn"], "attack") == "ddn"


def test_choose_suggests_the_most_similar_name_and_lists_all_in_order() -> None:
    message = "unknown attack 'dnn' in the zoo. Did you mean 'ddn'? Available: cw, ddn, pgd."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        choose("dnn", ["pgd", "ddn", "cw"], "attack", "in the zoo")


def test_choose_suggests_nothing_if_no_name_is_similar() -> None:
    message = "unknown attack 'zzz'. Available: ddn, pgd."
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        choose("zzz", ["pgd", "ddn"], "attack")


def test_nothing_of_a_spec_is_evaluated(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with pytest.raises(InputError, match="cannot read the arguments"):
        parse(f"ddn(steps=__import__('pathlib').Path({str(touched)!r}).touch())")
    assert not touched.exists()


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("ddn", "ddn()", True),
        ("ddn(steps=3, levels=2)", " ddn( levels = 2, steps=3 )", True),
        ("ddn(steps=3)", "ddn(steps=4)", False),
        ("mnist[:3]", "mnist[0:3]", False),
        ("my attack (fast", "my attack (fast", True),
        ("ddn(3)", "ddn( 3)", False),
    ],
    ids=["empty", "order", "value", "slice", "no spec", "unreadable"],
)
def test_texts_are_the_same_if_they_parse_to_the_same_spec(
    one: str, other: str, equal: bool
) -> None:
    assert same(one, other) is equal
    assert same(other, one) is equal


def test_a_path_may_start_with_a_home_folder() -> None:
    assert path_of("~/a b") == Path.home() / "a b"
    with pytest.raises(InputError, match="cannot read the path '~nosuchuser/a': "):
        path_of("~nosuchuser/a")
