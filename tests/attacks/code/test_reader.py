"""What the reader compares of code that changes its values, and of unusual kinds of code."""

import types
from typing import Any

import pytest

from attacks.written import written_attack
from minnorm.attacks.fingerprints import Fingerprint, fingerprint_attack


def read(source: str) -> Fingerprint:
    return fingerprint_attack(written_attack(source))


RULE = "class Rule:\n    s = 2\n    def update(self, x): return x * self.s\n"

NOTICED = {
    "method with the name of a change": RULE + "R = Rule()\ndef attack(x): return R.update(x)",
    "class method of that name": RULE + "def attack(x): return Rule.update(None, x)",
    "object in a closure": RULE
    + "def make():\n    r = Rule()\n    return lambda x: r.update(x)\nattack = make()",
    "object in an attribute": RULE
    + "class A:\n    def __init__(self): self.r = Rule()\n"
    + "    def __call__(self, x): return self.r.update(x)\nattack = A()",
    "item of an object": "class T:\n    def __setitem__(self, i, x): x *= 2\nT1 = T()\n"
    + "def attack(x): T1[0] = x",
    "global name of an inner variable": "s = 2\ndef attack(x):\n    def f():\n        s = 3\n"
    + "        return lambda: s\n    return f, (lambda: s)",
    "metaclass": "class M(type):\n    def __call__(cls, x): return x * 2\n"
    + "class A(metaclass=M): pass\ndef attack(x): return A(x)",
    "method of an enumeration": "import enum\nclass E(enum.Enum):\n    A = 1\n"
    + "    def f(self): return 2\nE1 = E.A\ndef attack(x): return E1.f()",
    "default of a dictionary": "import collections\nD = collections.defaultdict(lambda: 2)\n"
    + "def attack(x): return D[x]",
    "hook of a module": "import torch\nN = torch.nn.Identity()\n"
    + "N.register_forward_hook(lambda m, i, o: o * 2)\ndef attack(x): return N(x)",
    "partial method": "import functools\nclass A:\n    def f(self, x, s): return x * s\n"
    + "    g = functools.partialmethod(f, s=2)\nA1 = A()\ndef attack(x): return A1.g(x)",
    "arguments of compiled code": "import operator\nF = operator.methodcaller('mul', 2)\n"
    + "def attack(x): return F(x)",
    "object without a dictionary": "class A:\n    __slots__ = ('s',)\n"
    + "    def __init__(self): self.s = 2\n    def __call__(self, x): return self.s\nattack = A()",
}


@pytest.mark.parametrize("source", NOTICED.values(), ids=NOTICED)
def test_a_change_is_noticed_in(source: str) -> None:
    before = read(source)
    assert before == read(source)
    assert before.unseen == ()
    assert before.code != read(source.replace("2", "5")).code


@pytest.mark.parametrize("value", ["x.f = 2", "def __getattr__(name): return 2"])
def test_a_change_of_a_module_is_noticed(value: str) -> None:
    def of(source: str) -> str:
        module: Any = types.ModuleType("helpers")
        module.__file__ = "helpers.py"
        exec(source, vars(module) | {"x": module})  # noqa: S102 - code of this test
        if "__getattr__" in source:
            exec(source, vars(module))  # noqa: S102 - code of this test
        attack = eval("lambda: helpers.update(helpers.f)", {"helpers": module})  # noqa: S307
        return fingerprint_attack(attack).code

    assert of(value) == of(value) != of(value.replace("2", "5"))


@pytest.mark.parametrize(
    "source",
    [
        "n = 2\ndef attack():\n    global n\n    n += 1",
        "n = [2]\ndef attack(): n.append(1)",
        "def make():\n    n = 2\n    def f():\n        nonlocal n\n        n += 1\n    return f\n"
        "attack = make()",
        "class A:\n    def __init__(self, n): self.n = n\n    def __call__(self): self.n += 1\n"
        "attack = A(2)",
    ],
)
def test_values_that_the_code_changes_are_named_unless_they_are_empty(source: str) -> None:
    assert read(source).unseen == ("'n', which its code changes",)
    assert read(source.replace("[2]", "[]").replace("2", "0")).unseen == ()


@pytest.mark.parametrize(
    "source",
    [
        "class L(list): pass\nN = L()\ndef attack(): N.append(1)",
        "class A:\n    def __init__(self): self.n = {}\n"
        "    def __call__(self): self.n['a'] = 1\nattack = A()",
        "class R:\n    def __init__(self): self.n = 0\n    def __call__(self): return self.n\n"
        "    def update(self): self.n += 1\nN = R()\ndef attack(): N.update()",
        "import functools\nclass A:\n    @functools.cached_property\n    def n(self): return 1\n"
        "    def __call__(self): return self.n\nattack = A()",
    ],
)
def test_what_objects_collect_is_not_part_of_their_code(source: str) -> None:
    attack = written_attack(source)
    before = fingerprint_attack(attack).code
    attack()
    assert fingerprint_attack(attack).code == before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("import importlib\nattack = lambda: importlib.import_module('x')", "import_module()"),
        ("from importlib import import_module\nattack = lambda: import_module('x')", "_module()"),
        ("attack = lambda: open('x').read()", "files that it reads with open()"),
        ("import pathlib\nattack = lambda: pathlib.Path('x').read_text()", "read_text()"),
        ("import os\nattack = lambda: os.environ['X']", "environment variables"),
        ("import numpy\nF = numpy.frompyfunc(abs, 1, 1)\nattack = lambda x: F(x)", "ufunc abs"),
    ],
)
def test_what_code_finds_elsewhere_is_named(source: str, expected: str) -> None:
    [unseen] = read(source).unseen
    assert expected in unseen


def test_a_function_of_the_user_is_not_taken_for_one_of_python() -> None:
    assert read("def open(x): return x\ndef attack(x): return open(x)").unseen == ()
