"""Compiled functions: what they compute, import and change."""

import pytest

from attacks.written import written_attack
from minnorm.attacks.code.bytecode import Code, read_code


def read(source: str) -> Code:
    return read_code(written_attack(source).__code__)


@pytest.mark.parametrize(
    ("source", "written", "attributes"),
    [
        ("N.append(1)", {"N"}, set()),
        ("N['n'] += 1", {"N"}, set()),
        ("N[x] = 1; del M[x]", {"N", "M"}, set()),
        ("N.add_(1)", {"N"}, set()),
        ("global N; N += 1", {"N"}, set()),
        ("[N.append(y) for y in x]", {"N"}, set()),
        ("f = lambda: N.clear(); f()", {"N"}, set()),
        ("N.n += 1", set(), {"n"}),
        ("x.n = 1; del x.m", set(), {"n", "m"}),
        ("x.m.append(1); x.q[3] = 4", set(), {"m", "q"}),
        ("N.x.append(1)", set(), {"x"}),
        ("return N.get(x), x.append(N), N + [1], N[0], N.__len__()", set(), set()),
        ("y = N; y.append(1)", set(), set()),  # not followed
    ],
)
def test_what_a_function_changes_is_found(
    source: str, written: set[str], attributes: set[str]
) -> None:
    code = read(f"def attack(x):\n    {source}\n")
    for found, names in ((code.written, written), (code.written_attributes, attributes)):
        assert found.assigned | found.in_place == names


def test_names_attributes_and_imports_are_those_of_inner_functions_too() -> None:
    code = read(
        "def attack(x):\n"
        "    from ..near import step\n"
        "    def inner(y):\n        import far.away\n        return outside(y.size, 'text')\n"
        "    return inner(len(x))\n"
    )
    assert code.names == {"outside", "len"}
    assert {"step", "size", "text"} <= code.attributes
    assert code.imports == {("near", 2), ("far.away", 0)}


LONG = "def attack(x):\n" + "".join(f"    x += {n}.5\n" for n in range(300)) + "    return x\n"
LOOP = "def attack(x):\n    while x:\n        if x > 3: continue\n        x -= 1\n    return x\n"


@pytest.mark.parametrize("source", [LONG, LOOP])
def test_operations_do_not_depend_on_the_place_and_the_docstring(source: str) -> None:
    documented = source.replace("(x):\n", "(x):\n    'Words.'\n", 1)
    assert read(source).operations == read("\n\n" + documented).operations


def test_jumps_are_part_of_the_operations() -> None:
    assert read(LOOP).operations != read(LOOP.replace("continue", "break")).operations


@pytest.mark.parametrize(
    "parameters", ["y", "x, y", "x=1, y=2", "*x", "**x", "*, x", "x, /", "*x, y", "x, *, y"]
)
def test_parameters_are_part_of_the_operations(parameters: str) -> None:
    assert (
        read("def attack(x): pass").operations != read(f"def attack({parameters}): pass").operations
    )
