"""The grammar of requirements: what it reads, and what it says about mistakes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minnorm.errors import InputError
from minnorm.report.decisions.requirements import (
    KINDS,
    Metric,
    Relation,
    Requirement,
    no_worse,
    read,
    read_confidence,
    read_margin,
    read_metric,
    read_requirement,
)


@pytest.mark.parametrize(
    ("text", "metric", "relation", "threshold"),
    [
        ("clean_accuracy >= 0.95", Metric("clean_accuracy"), ">=", 0.95),
        ("accuracy@0.5>=60%", Metric("accuracy", radius=0.5), ">=", 0.6),
        ("accuracy_linf@8/255 > 40 %", Metric("accuracy", "linf", 8 / 255), ">", 0.4),
        ("  accuracy_L2 @ 1e-1 ≥ 1/4", Metric("accuracy", "l2", 0.1), ">=", 0.25),
        ("median >= 0.8", Metric("median"), ">=", 0.8),
        ("mean_l1 > 3", Metric("mean", "l1"), ">", 3.0),
        ("median_linf >= 8/255", Metric("median", "linf"), ">=", 8 / 255),
        ("success of ddn <= 90%", Metric("success", attack="ddn"), "<=", 0.9),
        (
            "accuracy@1 of ddn(steps=300, levels=256) ≤ 1",
            Metric("accuracy", radius=1.0, attack="ddn(steps=300, levels=256)"),
            "<=",
            1.0,
        ),
    ],
)
def test_requirements_are_read(
    text: str, metric: Metric, relation: Relation, threshold: float
) -> None:
    requirement = read_requirement(text)
    assert (requirement.metric, requirement.relation) == (metric, relation)
    assert requirement.threshold == pytest.approx(threshold)
    assert read(text) == requirement


@given(
    st.sampled_from(KINDS),
    st.sampled_from([None, "l0", "l1", "l2", "linf"]),
    st.floats(0, 1).map(lambda value: float(f"{value:.4g}")),
    st.sampled_from([None, "ddn", "ddn(steps=3)"]),
)
def test_a_metric_is_read_as_it_is_written(
    kind: str, norm: str | None, radius: float, attack: str | None
) -> None:
    metric = Metric(
        kind,  # type: ignore[arg-type] # each is a kind
        None if kind == "clean_accuracy" else norm,  # type: ignore[arg-type] # and a norm
        radius if kind == "accuracy" else None,
        attack,
    )
    assert read_metric(str(metric)) == metric
    assert read(str(metric)) == metric


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("acuracy@0.5 >= 0.6", "unknown metric 'acuracy'. Did you mean 'accuracy'? Available: acc"),
        ("accuracy >= 0.6", "'accuracy' needs a radius: write accuracy@0.5"),
        ("accuracy_l2 >= 0.6", "'accuracy_l2' needs a radius: write accuracy_l2@0.5"),
        ("accuracy_l3@1 >= 0.6", "norm='l3'"),
        ("median@0.5 >= 0.6", "only accuracy has a radius, for example accuracy@0.5"),
        ("clean_accuracy_l2 >= 0.6", "unknown metric"),
        ("accuracy@x >= 0.6", "the radius of 'accuracy@x': 'x' is not a number"),
        ("accuracy@-1 >= 0.6", "the radius of 'accuracy@-1': expected a finite number of"),
        ("accuracy@inf >= 0.6", "expected a finite number of at least 0"),
        ("accuracy@nan >= 0.6", "expected a finite number of at least 0"),
        ("accuracy@0.5 >= 60", "a share from 0 to 1, or from 0% to 100%. Did you mean 60%?"),
        ("accuracy@0.5 >= 600", "a share from 0 to 1, or from 0% to 100%."),
        ("accuracy@0.5 >= high", "'high' is not a number"),
        ("accuracy@0.5 >=", "'' is not a number"),
        ("median >= 60%", "expected a finite distance of at least 0"),
        ("median >= -1", "expected a finite distance of at least 0"),
        ("median >= nan", "expected a finite distance of at least 0"),
        ("median >= inf", "expected a finite distance of at least 0"),
        ("median => 1", "compares with =>: expected >=, >, <= or <. Did you mean 'median >= 1'?"),
        ("median=>1", "Did you mean 'median >= 1'?"),
        ("accuracy@0.1 => 10%", "Did you mean 'accuracy@0.1 >= 10%'?"),
        ("median =< 1", "Did you mean 'median <= 1'?"),
        ("median of ddn(steps=3)=<1", "Did you mean 'median of ddn(steps=3) <= 1'?"),
        ("accuracy@0.1=10%", "Did you mean 'accuracy@0.1 >= 10%'?"),
        ("accuracy@0.1 >> 10%", "compares with >>"),
        ("accuracy@0.1 <> 10%", "compares with <>"),
        ("accuracy@0.1 10%", "has no relation: expected >=, >, <= or <. Did you mean 'acc"),
        ("median at least 0.8", "Did you mean 'median >= 0.8'?"),
        ("success is at most 8 %", "Did you mean 'success <= 8 %'?"),
        ("10% <= accuracy@0.1", "the metric stands first. Did you mean 'accuracy@0.1 >= 10%'?"),
        ("0.5 < accuracy@0.1 < 0.7", "compares more than once"),
        ("accuracy@0.1 >= 1% and mean > 1", "write a requirement for each"),
        ("accuracy@0.1 >= 10 percent", "'10 percent' is not a number: write a share such as 0.6"),
        ("median >= 0.8 px", "'0.8 px' is not a number: write a distance such as 0.8 or 8/255"),
        ("accuracy@0.1 >= 0.6%", "Did you mean 0.6, which is 60%? If not, write 0.006."),
        (">= 0.5", "'' names no metric"),
        ("accuracy@0.5 = 0.6", "compares with =: expected >=, >, <= or <. Did you mean 'acc"),
        ("accuracy@0.5==0.6", "Did you mean 'accuracy@0.5 >= 0.6'?"),
        (
            "accuracy@0.5 >= 0.6 of ddn",
            "the attack stands before the >=. Did you mean 'accuracy@0.5 of ddn >= 0.6'?",
        ),
    ],
)  # fmt: skip
def test_a_mistake_is_explained(text: str, message: str) -> None:
    with pytest.raises(InputError) as error:
        read(text)
    assert message in str(error.value)


def test_a_requirement_needs_a_limit() -> None:
    with pytest.raises(InputError, match=r"'median' has no limit: expected >=, >, <= or < and a"):
        read_requirement("median")


@pytest.mark.parametrize("relation", [">=", ">", "<=", "<"])
@pytest.mark.parametrize("value", [0.4, 0.5, 0.6, float("nan")])
def test_a_requirement_compares_numbers(relation: Relation, value: float) -> None:
    requirement = Requirement(Metric("median"), relation, 0.5)
    assert requirement.holds_for(value) == eval(f"{value} {relation} 0.5", {"nan": value})  # noqa: S307 - our text


def test_what_is_worse_than_a_baseline_depends_on_the_metric() -> None:
    accuracy, success = Metric("accuracy", radius=0.5), Metric("success")
    assert str(no_worse(accuracy, 0.02)) == "accuracy@0.5 at most 2 points below the baseline"
    assert str(no_worse(success, 0.02)) == "success at most 2 points above the baseline"
    assert str(no_worse(Metric("median"), 0.025)) == "median at most 2.5% below the baseline"
    assert no_worse(accuracy, 0.02).holds_for(-0.02)
    assert not no_worse(accuracy, 0.02).holds_for(-0.03)
    assert no_worse(success, 0.02).holds_for(-0.5)
    assert not no_worse(success, 0.02).holds_for(0.03)


def test_margins_and_confidences_are_shares() -> None:
    assert read_margin("2%") == read_margin("0.02") == 0.02
    assert read_confidence("95 %") == read_confidence("0.95") == 0.95
    assert read_confidence("none") is None
    for reader, text, hint in (
        (read_margin, "2", "Did you mean 2%?"),
        (read_margin, "-1%", "expected a share"),
        (read_margin, "2 points", "expected a share such as 0.02 or 2%."),
        (read_margin, "100%", "expected a share such as 0.02 or 2%."),
        (read_confidence, "95", "Did you mean 95%?"),
        (read_confidence, "0", "expected a share such as 0.95 or 95%, or none."),
        (read_confidence, "1", "expected a share such as 0.95 or 95%, or none."),
        (read_confidence, "1.5", "expected a share such as 0.95 or 95%, or none."),
        (read_confidence, "100%", "expected a share"),
        (read_confidence, "sure", "expected a share such as 0.95"),
    ):
        with pytest.raises(InputError) as error:
            reader(text)
        assert hint in str(error.value)
