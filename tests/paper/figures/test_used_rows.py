"""Which rows a figure runs, and what it says about the others."""

from dataclasses import replace

import pytest

from minnorm.errors import InputError
from minnorm.paper.experiment import AttackRow
from minnorm.paper.figures.used_rows import check_same_images, notes_of, only_rows
from minnorm.paper.measuring import MeasuredSetting
from paper.measured_by_hand import experiment, measured


def test_rows_of_a_shared_run_stay_together_and_other_ones_apart_are_left_out() -> None:
    made = measured({"a": [1.0], "b": [1.0]}, name="one").setting
    apart = tuple(AttackRow(name=name, attack="ddn", apart=True) for name in ("c", "d"))
    one = made.model_copy(update={"attacks": (*made.attacks, *apart)})
    other = one.model_copy(update={"name": "other"})
    both = experiment(settings=(one, other))

    def chosen(**rows: tuple[str, ...]) -> dict[str, list[str]]:
        found = only_rows(both, rows).settings
        return {setting.name: [row.name for row in setting.attacks] for setting in found}

    assert chosen(one=("a",)) == {"one": ["a", "b"]}
    assert chosen(one=("c",)) == {"one": ["c"]}
    assert chosen(one=("b", "d"), other=("c",)) == {"one": ["a", "b", "d"], "other": ["c"]}
    assert chosen(other=("e",)) == {}


def test_notes_say_each_difference_once_and_what_did_not_run() -> None:
    first = measured({"a": [1.0]}, name="first", differences=("Both.", "One."))
    second = measured({"a": [1.0]}, name="second", differences=("Both.",))
    lacking = MeasuredSetting(second.setting, (), {"a": "Install it."})
    run = first.runs[0]
    configuration = {"configuration": {"indices": [0, 7, 1]}}
    part = replace(first, runs=(replace(run, manifest={**run.manifest, **configuration}),))
    assert notes_of([part, lacking], {"first": ("a",), "second": ("a",)}) == (
        "Both.",
        "first: One.",
        "first: a is not finished: 1 of 7 images.",
        "second: a is not run. Install it.",
    )
    assert notes_of([part, lacking], {"first": ("b",), "second": ()}) == ("Both.", "first: One.")


def test_settings_with_other_images_are_not_compared_image_by_image() -> None:
    first, second = (measured({"a": [1.0]}, name=name).setting for name in ("first", "second"))
    part, other = (second.model_copy(update={"data": data}) for data in ("d[:9]", "other[:9]"))
    check_same_images(experiment(settings=(first, part)), ("first", "second"))
    check_same_images(experiment(settings=(first, other)), ("first",))
    with pytest.raises(InputError, match="table1 compares first and second image by image"):
        check_same_images(experiment(settings=(first, other)), ("first", "second"))
