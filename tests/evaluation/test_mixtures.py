"""Records of the same samples side by side: mixtures of data or of models."""

import pyarrow as pa
import pytest

from evaluation.record_tables import INF, table
from minnorm.evaluation import Records
from minnorm.evaluation.mixtures import differences_of_samples, doubts_about_mixtures


def changed(records: Records, **values: list[float]) -> Records:
    """Return records with other columns."""
    for name, column in values.items():
        place = records.column_names.index(name)
        records = records.set_column(
            place, records.schema.field(name), pa.array(column, records.schema.field(name).type)
        )
    return records


ONE = table([1.0, 2.0, 3.0])
SECOND = table([2.0, 2.0, 2.0], attack="fmn")


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({}, []),
        (
            {"label": [0, 2, 1]},
            ["2 of 3 samples have another label, for example sample 1: 0 and 2"],
        ),
        ({"gray_l2": [9.0, 9.0, 8.0]}, ["1 of 3 samples have other inputs, for example sample 2"]),
        ({"gray_l2": [9.0, 9.0, INF]}, ["1 of 3 samples have other inputs, for example sample 2"]),
        ({"gray_l2": [9.00001, 9.0, 9.0], "clean_prediction": [3, 3, 3]}, []),
    ],
)
def test_samples_are_compared_by_label_and_input(
    values: dict[str, list[float]], found: list[str]
) -> None:
    assert differences_of_samples(ONE, changed(ONE, **values), "torch.float32") == found
    # Another dtype rounds inputs differently.
    labels = [text for text in found if "label" in text]
    assert differences_of_samples(ONE, changed(ONE, **values), None) == labels


def test_half_precision_rounds_lengths() -> None:
    rounded = changed(ONE, gray_l2=[9.05, 9.0, 9.0])
    assert differences_of_samples(ONE, rounded, "torch.float16") == []
    assert len(differences_of_samples(ONE, rounded, "torch.float32")) == 1


def test_only_samples_of_both_are_compared_once_each() -> None:
    targeted = table([1.0] * 4, indices=[7, 1, 7, 1], targets=[1, 1, 2, 2])
    other = changed(table([1.0] * 2, indices=[1, 9]), label=[0, 5])
    assert differences_of_samples(targeted, other, "torch.float32") == []
    assert differences_of_samples(targeted, changed(other, label=[4, 5]), None) == [
        "1 of 1 samples have another label, for example sample 1: 0 and 4"
    ]


def test_infinite_bounds_have_no_gray_image() -> None:
    endless = table([1.0, 2.0], gray=INF)
    assert differences_of_samples(endless, endless, "torch.float32") == []
    assert doubts_about_mixtures(endless) == ()


@pytest.mark.parametrize(
    ("values", "kind", "start"),
    [
        ({"label": [0, 2, 0]}, "mixed-data", "1 of 3 samples have another label or another input"),
        ({"gray_l2": [1.0, 2.0, 9.0]}, "mixed-data", "2 of 3 samples have another label or"),
        ({"clean_prediction": [0, 0, 1]}, "mixed-models", "1 of 3 samples have another predicted"),
    ],
)
def test_attacks_on_other_data_or_another_model_are_a_doubt(
    values: dict[str, list[float]], kind: str, start: str
) -> None:
    [doubt] = doubts_about_mixtures(pa.concat_tables([ONE, changed(SECOND, **values)]))
    assert doubt.kind == kind
    assert doubt.text.startswith(start)


def test_attacks_on_the_same_samples_are_no_doubt() -> None:
    assert doubts_about_mixtures(pa.concat_tables([ONE, SECOND])) == ()
    assert doubts_about_mixtures(ONE.slice(0, 0)) == ()
