"""The fixtures of the contract tests: an attack by the name of its variant, its case, its norm."""

import jaxtyping
import pytest

from attacks.cases import LINF, Attack, Case, attack_of, case_of
from minnorm.geometry import Norm

LONG = {"apgd_min_norm", "carlini_wagner", "lbfgs", "superdeepfool"}
"""The attacks whose contract takes half of the time of all: it is left to `make test`."""

CHECKED = "test_result.py"
"""The tests that check annotations at run time; in all, it takes two thirds of the time."""


@pytest.fixture(autouse=True)
def _annotations_in_one_file(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check annotations in one file, where each attack has inputs of all shapes and dtypes."""
    if request.path.name != CHECKED:
        monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of the long attacks as slow."""
    for item in items:
        callspec = getattr(item, "callspec", None)
        name = str(callspec.params.get("name", "")) if callspec is not None else ""
        if "contract" in item.path.parts and name.removesuffix(LINF) in LONG:
            item.add_marker(pytest.mark.slow)


@pytest.fixture
def attack(name: str) -> Attack:
    """The attack, with a budget that suits a test."""
    return attack_of(name)


@pytest.fixture
def case(name: str) -> Case:
    """The facts about the attack."""
    return case_of(name)


@pytest.fixture
def norm(name: str) -> Norm:
    """The norm that the attack minimizes."""
    return "linf" if name.endswith("linf") else "l2"
