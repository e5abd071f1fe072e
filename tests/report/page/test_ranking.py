"""The comparison of several runs in one sentence: true, and only where they can be compared."""

from typing import Any

import pyarrow as pa

from evaluation.record_tables import INF, table
from minnorm.doubts import Doubt
from minnorm.evaluation import Records
from minnorm.report import label_runs
from minnorm.report.page.page import page_html
from minnorm.report.page.ranking import ranking
from minnorm.report.runs import have_same_samples
from minnorm.report.tables.result_notes import notes_on_several
from report.made_runs import made_run


def ranked(*records: Records, radii: tuple[float, ...] = (1.0,), **changes: Any) -> str:
    """Return what is said of runs of the models a, b and so on; the last one has changes."""
    models = "abcdef"[: len(records)]
    others: list[dict[str, Any]] = [{}] * (len(records) - 1)
    made = [
        made_run(part, **{"model": f"zoo:{model}", **more})
        for part, model, more in zip(records, models, [*others, changes], strict=True)
    ]
    return " ".join(ranking(label_runs(made), {"l2": radii}))


WEAK, STRONG = table([0.0, 0.5, 0.5, 2.0] * 10), table([0.5, 2.0, 2.0, 2.0] * 10)


def test_the_best_is_named_with_its_lead() -> None:
    assert ranked(WEAK, STRONG, table([0.0] * 40)) == (
        "b keeps the highest robust accuracy of the 3 models: 75.0 % within an L2 distance of 1, "
        "50.0 points more than a."
    )


def test_runs_of_one_model_are_called_runs() -> None:
    text = ranked(WEAK, STRONG, model="zoo:a", data="other")
    assert text.startswith("a, other keeps the highest robust accuracy of the 2 runs: 75.0 %")


def test_a_small_difference_may_be_chance() -> None:
    few = [table(one) for one in ([0.5] * 5, [2.0] * 5)]  # 5 wins of 5: p = 2 / 32
    assert ranked(*few).endswith("With 5 samples, this difference may be chance.")
    more = [table(one) for one in ([0.5] * 6, [2.0] * 6)]
    assert "chance" not in ranked(*more)


def test_other_attacks_are_said() -> None:
    assert "different attacks" not in ranked(WEAK, STRONG)
    assert "The runs have different attacks" in ranked(WEAK, STRONG, attacks=())


def test_a_doubtful_winner_is_named_as_such() -> None:
    runs = label_runs([made_run(WEAK, model="zoo:a"), made_run(STRONG, model="zoo:b")])
    for doubtful, count in (["b"], 1), (["a"], 0), ([], 0):
        [text] = ranking(runs, {"l2": [1.0]}, doubtful)
        assert text.count("But there are problems with its numbers") == count


def test_a_page_passes_on_what_is_doubtful() -> None:
    random = Doubt("random", "The model is random.")
    strong = made_run(STRONG, model="zoo:b", doubts=[random])
    text = page_html(label_runs([made_run(WEAK, model="zoo:a"), strong]), epsilons=[1.0])
    assert "b keeps the highest robust accuracy" in text
    assert "But there are problems with its numbers" in text


def test_equal_runs_are_equal() -> None:
    assert ranked(WEAK, WEAK) == (
        "2 of the 2 models keep the same highest robust accuracy: 25.0 % within an L2 distance of "
        "1."
    )


def test_the_radius_is_known_to_all() -> None:
    limited = table([INF, INF, 0.1, INF] * 10, radius_limit=0.3)
    text = ranked(WEAK, limited, radii=(0.2, 1.0, 2.0))
    assert text.startswith("2 of the 2 models keep")
    assert "within an L2 distance of 0.2" in text
    assert ranked(WEAK, limited, radii=(1.0, 2.0)) == ""
    assert ranked(WEAK, STRONG, radii=()) == ""
    assert "within an L2 distance of 1, " in ranked(WEAK, STRONG, radii=(1.0, 3.0))
    assert ranked(WEAK, STRONG, radii=(3.0,)) == ""  # both are at 0 %


def test_what_cannot_be_compared_is_not() -> None:
    assert ranked(WEAK) == ""
    assert ranked(WEAK, STRONG, data_fingerprint="b" * 64) == ""
    assert ranked(WEAK, STRONG, bounds=(0.0, 255.0)) == ""
    assert ranked(WEAK, table([2.0] * 40, indices=range(1, 41))) == ""
    assert ranked(WEAK, table([2.0] * 40, norm="linf")) == ""
    assert ranked(WEAK, table([])) == ""
    targeted = table([2.0] * 40, targets=[1] * 40)
    assert ranked(targeted, targeted) == ""


def test_relabelled_samples_are_not_the_same_ones() -> None:
    column = STRONG.schema.get_field_index("label")
    labels = pa.array([7, *[0] * 39], STRONG.schema.field(column).type)
    relabelled = STRONG.set_column(column, STRONG.schema.field(column), labels)
    assert ranked(WEAK, relabelled) == ""
    same, other = (
        label_runs([made_run(WEAK, model="zoo:a"), made_run(part, model="zoo:b")])
        for part in (STRONG, relabelled)
    )
    assert have_same_samples(same)
    assert not have_same_samples(other)
    assert notes_on_several(other)
    assert "or have other labels of the same ones" in page_html(other)


def test_the_order_of_the_records_does_not_matter() -> None:
    shuffled = STRONG.take([*range(20, 40), *range(20)])
    assert ranked(WEAK, shuffled) == ranked(WEAK, STRONG)


def test_accuracies_that_may_be_lower_rank_no_model() -> None:
    fixed = table([0.3] * 20 + [INF] * 20, radius_limit=0.3, fixed_radii="0.3")
    assert ranked(WEAK, fixed, radii=(0.2,)) == ""
    assert "within an L2 distance of 0.3" in ranked(WEAK, fixed, radii=(0.2, 0.3))
