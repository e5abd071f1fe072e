"""A pytest fixture that evaluates a model and fails the test if it is not robust enough.

In `conftest.py`:

    pytest_plugins = ["minnorm.pytest_plugin"]

In a test:

    def test_the_network_is_robust(robustness_gate):
        robustness_gate(
            "zoo:mnist-cnn-ddn",
            "mnist-sample[:200]",
            ["clean_accuracy >= 95%", "accuracy@1 >= 80%"],
            attacks="ddn(steps=50)",
        )

The fixture runs the code of `minnorm evaluate` and `minnorm gate`. Too few samples to tell fail the
test too, unless `allow_undecided` is set. Warnings about the run are warnings of the test, and fail
it if `strict` is set.
"""

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from minnorm.evaluation import Evaluation
    from minnorm.report import Verdicts


@pytest.fixture
def robustness_gate(tmp_path: Path) -> "Callable[..., Verdicts]":
    """Return a function that evaluates a model, and fails the test if it is not robust enough.

    See `check_robustness` for its arguments; the run directory is in `tmp_path` by default.
    """

    def gate(model: Any, data: Any, requirements: Sequence[str] = (), **options: Any) -> "Verdicts":
        __tracebackhide__ = True
        options.setdefault("out", tmp_path / "run")
        return check_robustness(model, data, requirements, **options)

    return gate


def check_robustness(
    model: Any,
    data: Any,
    requirements: Sequence[str] = (),
    *,
    out: Path,
    attacks: Any = None,
    baseline: "Evaluation | str | Path | None" = None,
    no_worse_than: float | None = None,
    confidence: float | None = 0.95,
    strict: bool = False,
    allow_undecided: bool = False,
    **options: Any,
) -> "Verdicts":
    """Evaluate a model, and fail the test with the table of the gate if it is not robust enough.

    Args:
        model: The model, as `minnorm.evaluate` takes it.
        data: The data, as `minnorm.evaluate` takes it.
        requirements: The requirements, as `minnorm.report.check` takes them.
        out: The run directory; a run in it is continued.
        attacks: The attacks; by default the best one for what the model offers, for a network
            normal pursuit.
        baseline: A run to compare with, or its directory.
        no_worse_than: By how much the model may be worse than the baseline.
        confidence: The confidence of the answers; `None` compares the measured numbers.
        strict: Whether a warning fails the test: one of the run, or a problem that
            its numbers show.
        allow_undecided: Whether too few samples to tell pass the test.
        **options: Further arguments of `minnorm.evaluate`, for example `batch_size=50` and
            `accelerate="off"`.

    Returns:
        The answers.
    """
    __tracebackhide__ = True
    from minnorm.evaluation import evaluate, load_run
    from minnorm.report import check
    from minnorm.report.decisions.gate_texts import gate_text
    from minnorm.runtime.terminal import printable

    run = evaluate(model, data, attacks, out=out, **options)
    verdicts = check(
        run,
        requirements,
        baseline=load_run(baseline) if isinstance(baseline, str | Path) else baseline,
        no_worse_than=no_worse_than,
        confidence=confidence,
        strict=strict,
    )
    if verdicts.outcome == "not met" or (verdicts.outcome == "undecided" and not allow_undecided):
        pytest.fail(f"{gate_text(verdicts)}\nrun: {out}", pytrace=False)
    for text in verdicts.warnings:
        warnings.warn(f"{verdicts.run}: {printable(text)}", stacklevel=3)  # the line of the test
    return verdicts
