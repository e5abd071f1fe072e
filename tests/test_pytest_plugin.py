"""The pytest plugin, in a test suite of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from minnorm import pytest_plugin

pytest_plugins = ["pytester"]


TESTS = Path(__file__).parent


def example() -> str:
    """Return the test in the docstring of the plugin."""
    docstring = str(pytest_plugin.__doc__)
    start = docstring.index("    def test_")
    return docstring[start : docstring.index("\nThe fixture")]


def test_the_plugin_loads_nothing_heavy() -> None:
    program = "import minnorm.pytest_plugin, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.split())
    assert "minnorm.pytest_plugin" in loaded
    assert not loaded & {"torch", "numpy", "scipy"}


@pytest.mark.slow
def test_a_test_fails_with_the_table_of_the_gate(pytester: pytest.Pytester) -> None:
    pytester.makeconftest(
        f"""
        import sys

        sys.path.insert(0, {str(TESTS)!r})
        pytest_plugins = ["minnorm.pytest_plugin"]
        """
    )
    others = textwrap.dedent(
        """
        import pytest

        MODEL, DATA = "evaluation.tiny_models:linear", "mnist-sample[:20]"

        def check(robustness_gate, requirement, **options):
            return robustness_gate(MODEL, DATA, [requirement], attacks="ddn(steps=2)", **options)

        def test_not_met(robustness_gate):
            check(robustness_gate, "clean_accuracy >= 99%")

        def test_undecided(robustness_gate):
            check(robustness_gate, "accuracy@0 <= 45%")

        def test_mistake(robustness_gate):
            robustness_gate("banana", DATA, ["median >= 0"])

        def test_allowed(robustness_gate, tmp_path):
            found = check(
                robustness_gate, "accuracy@0 <= 45%", allow_undecided=True, out=tmp_path / "mine"
            )
            assert found.outcome == "undecided"
            assert (tmp_path / "mine" / "manifest.json").exists()

        def test_measured(robustness_gate, tmp_path):
            with pytest.warns(UserWarning, match="All attacks are very short"):
                check(robustness_gate, "accuracy@0 <= 45%", confidence=None)
            check(
                robustness_gate, "success", baseline=tmp_path / "run", no_worse_than=0.0,
                confidence=None, out=tmp_path / "again",
            )
        """
    )
    pytester.makepyfile(f"{textwrap.dedent(example())}\n{others}")
    # In a process of its own, since PyTorch cannot be loaded twice in one.
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(passed=3, failed=3)
    output = result.stdout.str()
    assert "at least one requirement is not met" in output
    assert "clean_accuracy >= 99%" in output
    assert "too few samples to tell" in output
    assert "cannot read 'banana' as a model" in output
