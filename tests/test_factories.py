"""Factories: the call of a function that a spec names, and the checks of its arguments."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from minnorm.errors import InputError, MissingLibraryError
from minnorm.factories import call_factory, check_arguments, check_complete, search_current_folder
from minnorm.specs import Spec, parse


def _attack(model: object, /, inputs: object, *, steps: int = 1) -> None: ...


def _anything(**options: object) -> None: ...


def test_arguments_that_the_function_takes_by_name_pass() -> None:
    check_arguments(_attack, {"inputs": 1, "steps": 2}, "ddn")
    check_arguments(_anything, {"whatever": 1}, "anything")


@pytest.mark.parametrize("name", ["step", "model"])
def test_arguments_that_the_function_does_not_take_are_refused(name: str) -> None:
    with pytest.raises(
        InputError, match=f"unknown parameter '{name}' of ddn.* Available: inputs, steps"
    ):
        check_arguments(_attack, {name: 1}, "ddn")


@pytest.fixture
def write_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that writes a module into the current folder, a temporary one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name: str, code: str) -> None:
        monkeypatch.delitem(sys.modules, name, raising=False)
        (tmp_path / f"{name}.py").write_text(code)

    return write


def test_a_factory_in_the_current_folder_is_called_with_the_arguments(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("factory_good", "def make(size=1): return [0] * size\n")
    assert call_factory(parse("factory_good:make(size=3)"), "data") == [0, 0, 0]


@pytest.mark.parametrize("head", ["a-b:make", "os:", ":make", "os:a.b", "os", "C:\\file"])
def test_a_factory_that_is_no_pair_of_names_is_refused(head: str) -> None:
    message = f"cannot read {head!r} as a model spec: write package.module:factory"
    with pytest.raises(InputError, match=re.escape(message)):
        call_factory(Spec(head), "model")


@pytest.mark.parametrize(
    ("head", "message"),
    [
        (
            "factry_own:make",
            "there is no module 'factry_own', neither in {here} nor installed. Did you mean "
            "'factory_own:make'?",
        ),
        ("no_such_module:make", "neither in {here} nor installed: write package.module:factory"),
        (
            "factory_pack.nets.a:f",
            "there is no module 'factory_pack', neither in {here} nor installed. Did you mean "
            "'factory_package.nets.a:f'?",
        ),
        (
            "factory_package.nest:f",
            "factory_package has no module 'nest'. Did you mean 'factory_package.nets:f'?",
        ),
        ("factory_own.sub:make", "factory_own has no module 'sub': write package.module:factory"),
        ("factory_own:mkae", "factory_own has no function 'mkae'. Did you mean 'make'?"),
        ("factory_own:SIZE", "factory_own has no function 'SIZE': write package.module:factory"),
        (
            "factory_broken:f",
            "importing factory_broken raised ModuleNotFoundError: No module named 'factry_own'",
        ),
    ],
)
def test_near_misses_of_a_factory_are_named(
    head: str, message: str, write_module: Callable[[str, str], None], tmp_path: Path
) -> None:
    write_module("factory_own", "SIZE = 3\ndef make(): ...\n")
    write_module("factory_broken", "import factry_own\n")
    package = tmp_path / "factory_package"
    package.mkdir()
    for name in ("__init__", "nets"):
        (package / f"{name}.py").touch()
    with pytest.raises(InputError, match=re.escape(message.format(here=tmp_path))):
        call_factory(Spec(head), "data")
    assert "factory_own" not in sys.modules or head.startswith("factory_own")


def test_a_factory_whose_module_raises_is_refused(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("factory_raises", "raise KeyError('what')\n")
    with pytest.raises(InputError, match=r"importing factory_raises raised KeyError: 'what'"):
        call_factory(Spec("factory_raises:make"), "data")


@pytest.mark.parametrize("name", ["missing", "__name__"])
def test_a_factory_that_is_not_a_function_of_the_module_is_refused(name: str) -> None:
    with pytest.raises(InputError, match=f"minnorm.specs has no function '{name}'"):
        call_factory(Spec(f"minnorm.specs:{name}"), "data")


@pytest.mark.parametrize("method", ["forward", "predict"])
def test_a_model_in_place_of_its_factory_is_refused(
    method: str, write_module: Callable[[str, str], None]
) -> None:
    code = f"class Net:\n    def {method}(self, inputs): ...\n"
    code += "    __call__ = forward\n" if method == "forward" else ""
    write_module("factory_value", f"{code}model = Net()\n")
    message = (
        "'factory_value:model' is a Net and not a function: write package.module:factory, the name "
        "of a function that returns the network."
    )
    with pytest.raises(InputError, match=f"^{re.escape(message)}$"):
        call_factory(Spec("factory_value:model"), "network")
    assert hasattr(call_factory(Spec("factory_value:Net"), "network"), method)  # a class is one


def test_a_factory_may_say_what_to_install(write_module: Callable[[str, str], None]) -> None:
    code = "from minnorm.errors import MissingLibraryError\n"
    write_module("factory_poor", f"{code}def make(): raise MissingLibraryError('pip install it')\n")
    with pytest.raises(MissingLibraryError, match=r"^pip install it$"):
        call_factory(Spec("factory_poor:make"), "data")


def test_a_factory_that_raises_or_takes_no_such_argument_is_refused(
    write_module: Callable[[str, str], None],
) -> None:
    write_module("factory_picky", "def make(size): raise OSError('no room')\n")
    with pytest.raises(InputError, match=r"calling it raised OSError: no room"):
        call_factory(parse("factory_picky:make(size=1)"), "data")
    with pytest.raises(InputError, match=r"calling it raised TypeError: .*'size'"):
        call_factory(parse("factory_picky:make"), "data")
    with pytest.raises(InputError, match=r"unknown parameter 'sise' of factory_picky:make"):
        call_factory(parse("factory_picky:make(sise=1)"), "data")


def test_a_factory_that_exits_is_refused(write_module: Callable[[str, str], None]) -> None:
    write_module("factory_exits", "import sys\ndef make(): sys.exit('no license')\n")
    with pytest.raises(InputError, match=r"calling it raised SystemExit: no license"):
        call_factory(Spec("factory_exits:make"), "data")
    write_module("factory_stops", "raise SystemExit(3)\n")
    with pytest.raises(InputError, match=r"importing factory_stops raised SystemExit: 3"):
        call_factory(Spec("factory_stops:make"), "data")


def test_parameters_that_the_caller_sets_are_refused() -> None:
    with pytest.raises(InputError, match=r"unknown parameter 'inputs' of ddn\. Available: steps"):
        check_arguments(_attack, {"inputs": 1}, "ddn", given=("inputs",))


def _needs(one: int, *, two: int, three: int = 3) -> int:
    return one + two + three


def test_missing_arguments_are_named() -> None:
    check_complete(_needs, "needs", {"one": 1, "two": 2})
    check_complete(_needs, "needs", {"one": 1}, given=("two",))
    message = r"'needs' requires two: write needs\(two=..., one=1\)."
    with pytest.raises(InputError, match=message):
        check_complete(_needs, "needs", {"one": 1})
    with pytest.raises(InputError, match="'needs' requires one, two: "):
        check_complete(_needs, "needs", {})


def test_the_current_folder_is_searched_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["elsewhere"])
    search_current_folder()
    search_current_folder()
    assert sys.path == [str(tmp_path), "elsewhere"]
    monkeypatch.setattr(sys, "path", ["elsewhere", ""])  # the current folder, for Python
    search_current_folder()
    assert sys.path == ["elsewhere", ""]
