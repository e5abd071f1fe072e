"""Labels of runs: short, and different."""

from pathlib import Path

import pyarrow as pa
import pytest

from evaluation.record_tables import same, table
from evaluation.small_runs import run
from minnorm.errors import InputError
from minnorm.evaluation import WORST_CASE, breakdown
from minnorm.report.runs import label_runs, load_runs, of_attacks
from report.made_runs import made_run


@pytest.mark.parametrize(
    ("runs", "labels"),
    [
        ([], []),
        ([("zoo:a", "mnist", None)], ["a"]),
        ([("zoo:a", "mnist", None), ("b", "cifar10", None)], ["a", "b"]),
        ([("zoo:a", "x", None), ("zoo:a", "y", None), ("b", "x", None)], ["a, x", "a, y", "b"]),
        ([("a", "x", "runs/1"), ("a", "x", "runs/2")], ["a, 1", "a, 2"]),
        ([("a", "x", "runs/1"), ("a", "y", "runs/2")], ["a, x", "a, y"]),
        ([("a", "x", "k/1"), ("a", "x", "l/1")], ["a, k/1", "a, l/1"]),
        ([("a", "x", "1"), ("a", "x", "1"), ("b", "x", "1")], ["a, 1", "a, 2", "b, 3"]),
        ([("a", "x", None), ("a", "x", "1")], ["a, in memory", "a, 1"]),
        (
            [("k/c.pt + m:N(mean=0)", "x", None), ("k/c.pt + m:N(mean=0)", "y", None)],
            ["c.pt, x", "c.pt, y"],
        ),
    ],
)
def test_labels_hold_what_tells_the_runs_apart(
    runs: list[tuple[str, str, str | None]], labels: list[str]
) -> None:
    made = [
        made_run(model=model, data=data, directory=None if folder is None else Path(folder))
        for model, data, folder in runs
    ]
    labeled = label_runs(made)
    assert [one.label for one in labeled] == labels
    assert [one.run for one in labeled] == made


def test_labels_of_ones_own_are_kept() -> None:
    runs = [made_run(), made_run()]
    assert [one.label for one in label_runs(runs, ["plain", "defended"])] == ["plain", "defended"]


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (["a"], "1 label for 2 runs: give one label for each run"),
        (["a", "b", "c"], "3 labels for 2 runs"),
        (["a", "a"], "2 runs have the label 'a'"),
        (["a", " "], "a label is empty"),
    ],
)
def test_labels_that_are_not_one_for_each_run_are_refused(labels: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        label_runs([made_run(), made_run()], labels)
    with pytest.raises(InputError, match=message):  # before the runs are read
        load_runs(["nowhere", "nowhere"], labels)


def test_a_run_names_its_model_and_its_data() -> None:
    (one,) = label_runs([made_run(model="zoo:a", data="mnist[:5]")])
    assert (one.model, one.data) == ("a", "mnist[:5]")


def test_the_parts_of_a_run_are_those_of_its_breakdown_and_found_once() -> None:
    records = pa.concat_tables([table([1.0, 3.0]), table([2.0, 1.0], attack="b", norm="linf")])
    (one,) = label_runs([made_run(records)])
    for norm in (None, "l1"):
        expected = breakdown(records, norm)
        assert list(one.parts(norm)) == list(expected)
        assert all(same(one.parts(norm)[name], part) for name, part in expected.items())
        assert one.parts(norm) is one.parts(norm)


def test_run_directories_are_read(tmp_path: Path) -> None:
    for name in ("one", "two"):
        run(tmp_path / name, attacks=["fgsm(epsilon=0.1)"], data="mnist-sample[:2]")
    found = load_runs([tmp_path / "one", str(tmp_path / "two")])
    assert [one.label.split(", ")[-1] for one in found] == ["one", "two"]
    assert [len(one.run.records) for one in found] == [2, 2]
    with pytest.raises(InputError, match="not a run directory"):
        load_runs([tmp_path])


SPEC = "ddn(steps=5)"

ATTACKS = pa.concat_tables(
    [table([1.0, 3.0], attack=SPEC), table([2.0, 1.0], attack="b"), table([5.0, 5.0], attack="c")]
)


@pytest.mark.parametrize(
    ("attacks", "names", "worst"),
    [
        (["b"], ["b"], [2.0, 1.0]),
        (["ddn( steps = 5 )", "c", SPEC], [SPEC, "c"], [1.0, 3.0]),
        ([WORST_CASE], [WORST_CASE], [1.0, 1.0]),
    ],
)
def test_attacks_are_chosen_by_name_or_spec(
    attacks: list[str], names: list[str], worst: list[float]
) -> None:
    (one,) = of_attacks(label_runs([made_run(ATTACKS)]), attacks)
    assert one.label == "it"
    assert one.run.records.column("attack").unique().to_pylist() == names
    assert list(one.parts().values())[-1].column("l2").to_pylist() == worst


def test_runs_without_the_attack_are_left_out() -> None:
    runs = label_runs([made_run(ATTACKS), made_run(table([1.0]), data="other")])
    assert [one.label for one in of_attacks(runs, ["c"])] == ["it, mnist"]
    assert len(of_attacks(runs, ["ddn", "c"])) == 2
    with pytest.raises(InputError, match="Available: "):
        of_attacks(runs, ["c", "nothing"])
    several = pa.concat_tables([table([1.0], attack=f"fmn(steps={steps})") for steps in (1, 2)])
    with pytest.raises(InputError, match="several attacks in these records are 'fmn'"):
        of_attacks([*runs, *label_runs([made_run(several)])], ["c", "fmn"])
    assert of_attacks([], ["c"]) == []
