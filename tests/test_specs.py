"""Specs: parsing and writing are inverse, and each error says what to do."""

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnorm import specs
from minnorm.specs import (
    Spec,
    call_factory,
    check_arguments,
    check_complete,
    choose,
    describe,
    parse,
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
    assert parse(describe(head, arguments)) == Spec(head, arguments)


def test_check_complete_names_what_is_missing() -> None:
    check_complete(_needs, "needs(one=1, two=2)")
    check_complete(_needs, "needs(one=1)", given=("two",))
    with pytest.raises(ValueError, match=r"'needs\(one=1\)' lacks two: write needs\(two=...\)."):
        check_complete(_needs, "needs(one=1)")


def _needs(one: int, *, two: int, three: int = 3) -> int:
    return one + two + three


@pytest.mark.parametrize("value", ["a(b", "a)b", ")(", "'\"(", math.inf, -math.inf])
def test_parse_is_the_inverse_of_describe_for_awkward_values(value: object) -> None:
    assert parse(describe("ddn", {"value": value})) == Spec("ddn", {"value": value})


@given(start=BOUNDS, stop=BOUNDS, step=BOUNDS.filter(lambda step: step != 0))
def test_slices_are_read_as_python_reads_them(
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
    with pytest.raises(ValueError, match=r"names nothing: write a name, for example 'ddn'"):
        parse(text)


@pytest.mark.parametrize("inside", ["3", "", "a:b", "::0", "1:2:3:4", "1.5:2", "1,2"])
def test_a_slice_that_cannot_be_read_is_refused(inside: str) -> None:
    text = f"mnist[{inside}]"
    message = f"cannot read the slice '[{inside}]' in {text!r}: write [start:stop]"
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


@pytest.mark.parametrize(
    "inside",
    [
        "(3)",
        "(steps)",
        "(**{'steps': 3})",
        "(*[1])",
        "(steps=three)",
        "(steps=1+1)",
        "(steps=)",
        "(steps=open('x'))",
        "(steps={[1]: 2})",
        "(steps={{}})",
        "(steps=1, steps=2)",
        "steps=3)",
    ],
)
def test_arguments_that_cannot_be_read_are_refused(inside: str) -> None:
    with pytest.raises(ValueError, match=r"cannot read the arguments .* write name=value pairs"):
        parse(f"ddn{inside}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("fab(norm=linf)", "Did you mean norm='linf'?"),
        ("ddn(levels=none)", "Did you mean levels=None?"),
        ("worst_case(attacks=[ddn, 'fmn'])", "Did you mean attacks=['ddn', 'fmn']?"),
        ("bounded(epsilon=1, attack=ddn(steps=9))", "Did you mean attack='ddn(steps=9)'?"),
        ("mnist[:100", "the bracket in 'mnist[:100' is not closed: write ']' at the end."),
        ("ddn(steps=3", "the bracket in 'ddn(steps=3' is not closed: write ')' at the end."),
    ],
)
def test_what_was_meant_is_suggested(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(text)


def test_choose_gives_a_known_name_back() -> None:
    assert choose("ddn", ["pgd", "ddn"], "attack") == "ddn"


def test_choose_suggests_the_likeliest_name_and_lists_all_in_order() -> None:
    message = "there is no attack 'dnn'. Did you mean 'ddn'? There is: cw, ddn, pgd."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        choose("dnn", ["pgd", "ddn", "cw"], "attack")


def test_choose_suggests_nothing_when_nothing_is_near() -> None:
    message = "there is no attack 'zzz'. There is: ddn, pgd."
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        choose("zzz", ["pgd", "ddn"], "attack")


def _attack(model: object, /, inputs: object, *, steps: int = 1) -> None: ...


def _anything(**options: object) -> None: ...


def test_check_arguments_takes_what_the_function_takes_by_name() -> None:
    check_arguments(_attack, {"inputs": 1, "steps": 2}, "ddn")
    check_arguments(_anything, {"whatever": 1}, "anything")


@pytest.mark.parametrize("name", ["step", "model"])
def test_check_arguments_refuses_the_rest(name: str) -> None:
    with pytest.raises(ValueError, match=f"no parameter of ddn '{name}'.* There is: inputs, steps"):
        check_arguments(_attack, {name: 1}, "ddn")


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Gives a function that writes a module into the current folder, a temporary one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name: str, code: str) -> None:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(code)

    return write


def test_a_factory_of_the_current_folder_is_called_with_the_arguments(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("factory_good", "def make(size=1): return [0] * size\n")
    assert call_factory(parse("factory_good:make(size=3)"), "data") == [0, 0, 0]


@pytest.mark.parametrize("head", ["a-b:make", "os:", ":make", "os:a.b", "os", "C:\\file"])
def test_a_factory_that_is_no_pair_of_names_is_refused(head: str) -> None:
    message = f"cannot read {head!r} as a model spec: write package.module:factory"
    with pytest.raises(ValueError, match=re.escape(message)):
        call_factory(Spec(head), "model")


def test_a_factory_whose_module_is_missing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"importing no_such_module raised ModuleNotFoundError"):
        call_factory(Spec("no_such_module:make"), "data")


def test_a_factory_whose_module_raises_is_refused(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("factory_raises", "raise KeyError('what')\n")
    with pytest.raises(ValueError, match=r"importing factory_raises raised KeyError: 'what'"):
        call_factory(Spec("factory_raises:make"), "data")


@pytest.mark.parametrize("name", ["missing", "__name__"])
def test_a_factory_that_is_not_a_function_of_the_module_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"minnorm.specs has no function '{name}'"):
        call_factory(Spec(f"minnorm.specs:{name}"), "data")


def test_a_factory_that_raises_or_takes_no_such_argument_is_refused(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("factory_picky", "def make(size): raise OSError('no room')\n")
    with pytest.raises(ValueError, match=r"calling it raised OSError: no room"):
        call_factory(parse("factory_picky:make(size=1)"), "data")
    with pytest.raises(ValueError, match=r"calling it raised TypeError: .*'size'"):
        call_factory(parse("factory_picky:make"), "data")
    with pytest.raises(ValueError, match=r"no parameter of factory_picky:make 'sise'"):
        call_factory(parse("factory_picky:make(sise=1)"), "data")


def test_nothing_of_a_spec_is_evaluated(tmp_path: Path) -> None:
    touched = tmp_path / "touched"
    with pytest.raises(ValueError, match="cannot read the arguments"):
        specs.parse(f"ddn(steps=__import__('pathlib').Path({str(touched)!r}).touch())")
    assert not touched.exists()
