"""The notes below a table: what differs from the paper, and what did not run."""

from evaluation.record_tables import table
from minnorm.evaluation import Evaluation
from minnorm.evaluation.records import join_records
from minnorm.paper.experiment import load_experiment
from minnorm.paper.measuring import MeasuredSetting
from minnorm.paper.rows import result_rows
from minnorm.paper.tables import table_of


def notes(setting: str, *, images: int = 6, **data: str) -> list[str]:
    """Return the notes of table 1 with a part of its rows, of which one has fewer images."""
    experiment = load_experiment("table1", "cpu", data=data)
    parts = [
        table([1.0] * images, attack="DDN 100"),
        table([1.0] * (images - 2), attack="C&W 9x10,000"),
    ]
    manifest = {"run": "r", "configuration": {"indices": [0, images, 1]}}
    measured = MeasuredSetting(
        experiment.setting(setting),
        (Evaluation(join_records(parts), manifest, None),),
        {"DDN 300": "It has not begun."},
    )
    return list(table_of(experiment, measured, result_rows(experiment, measured)).notes)


def test_the_notes_name_what_is_missing() -> None:
    found = notes("CIFAR-10")
    assert any(note.startswith("C&W 4x25, C&W 1x100: the learning rate") for note in found)
    assert "Not run: DDN 300. It has not begun." in found
    assert "C&W 9x10,000 is not finished: 4 of 6 images." in found
    assert any(note.startswith("Compare such rows") for note in found)
    assert not [note for note in found if note.startswith("Rows on fewer images")]


def test_images_that_the_user_named_are_no_difference_of_the_scale() -> None:
    experiment = load_experiment("table6", "cpu")
    setting = experiment.settings[0]
    full = load_experiment("table6", "paper").setting(setting.name)
    assert setting.data != full.data
    scale = f"The images are {setting.data} instead of {full.data}."
    for data, expected in ({}, True), ({setting.name: "cifar10[:7]"}, False):
        changed = load_experiment("table6", "cpu", data=data)
        measured = MeasuredSetting(
            changed.settings[0],
            (
                Evaluation(
                    table([1.0], attack=setting.attacks[0].name),
                    {"run": "r", "configuration": {"indices": [0, 1, 1]}},
                    None,
                ),
            ),
        )
        found = table_of(changed, measured, result_rows(changed, measured)).notes
        assert (scale in found) == expected
        assert ("The images are not those" in " ".join(found)) != expected
