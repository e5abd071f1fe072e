"""Fingerprints: what changes them, and what does not."""

import functools
import random
import sys
import threading
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from attacks.written import written_attack
from minnorm.attacks import (
    AttackResult,
    attack_fingerprint,
    ddn,
    fmn,
    with_bisection,
    worst_case,
)
from minnorm.attacks.fingerprints import fingerprint_attack


def of(source: str) -> str:
    """Return the fingerprint of the function `attack` in the source of a module."""
    return attack_fingerprint(written_attack(source))


SAME = [
    pytest.param("def attack(x): return x", "def attack(x):\n\n    return x", id="lines"),
    pytest.param(
        "def attack(x): return x.abs()", "def attack(x):\n    'Words.'\n    return x.abs()",
        id="docstring",
    ),
    pytest.param(
        "def attack(x):\n    'Words.'\n    return None",
        "def attack(x):\n    'Others.'\n    return",
        id="other docstring",
    ),
    pytest.param("def attack(x): return x  # old", "def attack(x): return x  # new", id="comment"),
    pytest.param(
        "def attack(x):\n    class A:\n        'Old.'\n    return A",
        "\n\ndef attack(x):\n    class A:\n        'New.'\n    return A",
        id="a class inside",
    ),
    pytest.param(
        "def other(x): return 1\ndef attack(x): return x",
        "def other(x): return 2\ndef attack(x): return x",
        id="a function that is not used",
    ),
    pytest.param("def attack(x): return x", "UNUSED = 3\ndef attack(x): return x", id="constant"),
    pytest.param(
        "LIMITS = {'a': 1, 'b': 2}\ndef attack(x): return LIMITS",
        "LIMITS = {'b': 2, 'a': 1}\ndef attack(x): return LIMITS",
        id="order of a dictionary",
    ),
]  # fmt: skip

CHANGED = {
    "method": ('def attack(x): return x.abs()', 'abs', 'exp'),
    "constant": ('def attack(x): return x + 1', '1', '2'),
    "type": ('def attack(x): return x + 1', '1', '1.0'),
    "operator": ('def attack(x): return x + 1', '+', '-'),
    "comparison": ('def attack(x): return x < 1', '<', '<='),
    "branch": (
        'def attack(x): return x if x > 0 else -x',
        'x if x > 0 else -', '-x if x > 0 else ',
    ),
    "inner lambda": ('def attack(x): return map(lambda y: y + 1, x)', '1', '2'),
    "inner function": (
        'def attack(x):\n    def f(y): return y.cos()\n    return f(x)',
        'cos', 'sin',
    ),
    "comprehension": ('def attack(x): return [y + 1 for y in x]', '1', '2'),
    "helper": ('def f(x): return 1\ndef attack(x): return f(x)', '1', '2'),
    "helper of a helper": (
        'def g(x): return 1\ndef f(x): return g(x)\ndef attack(x): return f(x)',
        '1', '2',
    ),
    "helpers that call each other": (
        'def g(x, n=2): return n and f(x, n - 1)\ndef f(x, n=2): return n and g(x, n - 1)\n'
        'attack = f',
        'g(x, n=2', 'g(x, n=3',
    ),
    "helper in a table": ("F = {'a': lambda x: 1}\ndef attack(x): return F['a'](x)", '1', '2'),
    "global": ('S = 1\ndef attack(x): return x * S', '1', '2'),
    "global list": ('S = [1, [2]]\ndef attack(x): return S', '2', '3'),
    "global tensor": (
        'import torch\nS = torch.zeros(9)\ndef attack(x): return S',
        ')\n', ')\nS[8] = 1e-9\n',
    ),
    "global set": ('S = {1, 2}\ndef attack(x): return S', '2', '3'),
    "default": ('def attack(x, s=1): return s', '1', '2'),
    "keyword default": ('def attack(x, *, s=1): return s', '1', '2'),
    "parameters": ('def attack(x, y): return x', 'x, y', 'y, x'),
    "callable object": ('class A:\n    def __call__(self, x): return 1\nattack = A()', '1', '2'),
    "method of a callable object": (
        'class A:\n    def f(self): return 1\n    def __call__(self, x): return self.f()\n'
        'attack = A()',
        '1', '2',
    ),
    "base class of a callable object": (
        'class B:\n    s = 1\nclass A(B):\n    def __call__(self, x): return self.s\n'
        'attack = A()',
        '1', '2',
    ),
    "attribute of a callable object": (
        'class A:\n    def __init__(self): self.s = 1\n    def __call__(self, x): return 1\n'
        'attack = A()',
        '= 1', '= 2',
    ),
    "bound method": ('class A:\n    def run(self, x): return 1\nattack = A().run', '1', '2'),
    "decorator": (
        'def d(f):\n    def w(x): return f(x) + 1\n    return w\n@d\ndef attack(x): return x',
        '1', '2',
    ),
    "decorated with PyTorch": ('import torch\n@torch.no_grad()\ndef attack(x): return 1', '1', '2'),
    "cached helper": (
        'import functools\n@functools.cache\ndef f(): return 1\ndef attack(x): return f()',
        '1', '2',
    ),
    "configuration in a data class": (
        'from dataclasses import dataclass\n@dataclass\nclass C:\n    s: int = 1\nC1 = C()\n'
        'def attack(x): return C1.s',
        'C(', 'C(2',
    ),
    "another library under the same name": (
        'import math\ndef attack(x): return math.sin(x)',
        't ', 't cmath as ',
    ),
}  # fmt: skip


@pytest.mark.parametrize(("before", "after"), SAME)
def test_the_place_and_the_words_of_code_do_not_matter(before: str, after: str) -> None:
    assert of(before) == of(after) != ""


@pytest.mark.parametrize(("source", "old", "new"), CHANGED.values(), ids=CHANGED)
def test_a_change_of_the_code_or_of_what_it_uses_is_noticed(
    source: str, old: str, new: str
) -> None:
    assert of(source) == of(source)
    assert of(source) != of(source.replace(old, new))


COUNTERS = [
    pytest.param("N = 0\ndef attack():\n    global N\n    N += 1", id="number"),
    pytest.param("N = []\ndef attack(): N.append(1)", id="list"),
    pytest.param("N = {'n': 0}\ndef attack(): N['n'] += 1", id="dictionary"),
    pytest.param("import torch\nN = torch.zeros(2)\ndef attack(): N.add_(1)", id="tensor"),
    pytest.param("def attack(): attack.n = getattr(attack, 'n', 0) + 1", id="function"),
    pytest.param(
        "class A:\n    n = 0\n    def __init__(self): self.m = []\n"
        "    def __call__(self):\n        self.n += 1; self.m.append(self.n); self.f()\n"
        "    def f(self): A.k = self.n\nattack = A()",
        id="object",
    ),
    pytest.param(
        "class C:\n    n = 0\n    def step(self): self.n += 1\nN = C()\ndef attack(): N.step()",
        id="object of another class",
    ),
    pytest.param(
        "import types\nN = types.SimpleNamespace(n=0)\ndef attack(): N.n += 1", id="field"
    ),
    pytest.param(
        "def make():\n    n = 0\n    def f():\n        nonlocal n\n        n += 1\n    return f\n"
        "attack = make()",
        id="closure",
    ),
    pytest.param(
        "def make():\n    n = []\n    def f(): n.append(1)\n    return f\nattack = make()",
        id="list in a closure",
    ),
]


@pytest.mark.parametrize("source", COUNTERS)
def test_what_an_attack_counts_is_not_part_of_its_code(source: str) -> None:
    attack = written_attack(source)
    before = attack_fingerprint(attack)
    attack()
    assert attack_fingerprint(attack) == before


def test_presets_that_a_spec_cannot_say_are_noticed() -> None:
    def mine(*_: Any, **__: Any) -> AttackResult:
        raise AssertionError

    class Config:
        def __init__(self, steps: int) -> None:
            self.steps = steps

    class Count(int):
        pass

    def preset(value: object) -> str:
        return attack_fingerprint(partial(mine, value=value))

    network = nn.Linear(3, 2)
    other = nn.Linear(3, 2)
    values = [
        *(1, 1.0, "1", True, None, [1], (1,), {"a": 1}, {1}, Config(1), Config(2)),
        *(Count(1), Count(2), int | float, int | str),
        *(torch.ones(2), torch.zeros(2), torch.zeros(1, 2), torch.zeros(2).double()),
        *(np.ones(2), np.float32(1), torch.float32, Path("a"), range(3), network, other),
        *(lambda x: x, lambda x: -x, torch.sin, torch.cos),
    ]
    assert len({preset(value) for value in values}) == len(values)
    assert preset(Config(1)) == preset(Config(1))
    assert preset(torch.ones(2)) == preset(torch.ones(2))
    with torch.no_grad():
        before = preset(network)
        network.weight[0, 0] += 1
    assert preset(network) != before


def test_what_changes_while_a_program_runs_is_not_part_of_the_code() -> None:
    generator, numbers = torch.Generator(), random.Random(0)  # noqa: S311 - no secret
    lock = threading.Lock()

    def attack() -> object:
        return generator, numbers, lock

    before = fingerprint_attack(attack)
    torch.rand(1, generator=generator)
    numbers.random()
    assert fingerprint_attack(attack) == before
    assert before.unseen == ()


def test_attacks_of_the_package_have_no_fingerprint() -> None:
    def mine(*_: Any, **__: Any) -> AttackResult:
        raise AssertionError

    assert attack_fingerprint(partial(ddn, steps=3)) == ""
    assert attack_fingerprint(worst_case([ddn, with_bisection(partial(fmn, steps=7))])) == ""
    assert attack_fingerprint(worst_case([ddn, mine])) != ""

    @functools.wraps(ddn)
    def wrapper(*args: Any, **given: Any) -> AttackResult:
        return ddn(*args, **given)

    assert attack_fingerprint(wrapper) != ""


def test_attacks_inside_others_are_told_apart() -> None:
    def one(*_: Any, **__: Any) -> AttackResult:
        raise AssertionError

    def other(*_: Any, **__: Any) -> AttackResult:
        raise RuntimeError

    found = [attack_fingerprint(worst_case([ddn, attack])) for attack in (one, other)]
    assert found[0] != found[1]


def test_libraries_are_known_by_their_versions() -> None:
    found = fingerprint_attack(written_attack("import torch\nattack = lambda x: torch.sin(x)"))
    assert found.libraries == {"torch": torch.__version__.partition("+")[0]} or (
        found.libraries["torch"] == torch.__version__
    )
    assert found.unseen == ()
    named = written_attack("import yaml\nattack = lambda x: yaml.dump(x)")
    assert list(fingerprint_attack(named).libraries) == ["PyYAML"]  # its name is another


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("attack = lambda x: eval('x')", "code that it finds with eval()"),
        ("import itertools\nN = iter([1])\nattack = lambda x: N", "builtins.list_iterator"),
        ("import queue\nN = queue.Queue()\nattack = lambda x: N", "queue.Queue"),
        ("import torch\nN = torch.eye(2).to_sparse()\nattack = lambda x: N", "torch.Tensor"),
    ],
)
def test_what_cannot_be_seen_is_named(source: str, expected: str) -> None:
    [unseen] = fingerprint_attack(written_attack(source)).unseen
    assert expected in unseen


def test_values_that_contain_themselves_and_deep_ones_have_a_fingerprint() -> None:
    circle: list[Any] = []
    circle.append(circle)
    deep: list[Any] = []
    for _ in range(5000):
        deep = [deep]
    assert fingerprint_attack(partial(print, circle)).unseen == ()
    [unseen] = fingerprint_attack(partial(lambda x: x, deep)).unseen
    assert unseen == "values that are nested too deeply"


def test_libraries_that_a_function_imports_are_named_but_not_imported() -> None:
    sys.modules.pop("this", None)
    source = "def attack():\n    import this\n    import no_such_module"
    assert of(source) == of(source) != of(source.replace("import this", "import os"))
    assert fingerprint_attack(written_attack(source)).unseen == ()
    assert "this" not in sys.modules
