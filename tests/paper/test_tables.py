"""The notes below a table: what differs from the paper, and what did not run."""

from evaluation.record_tables import table
from minnorm.evaluation import Evaluation
from minnorm.paper.experiment import load_experiment
from minnorm.paper.measuring import MeasuredSetting
from minnorm.paper.rows import result_rows
from minnorm.paper.tables import outcome_of, table_of


def notes(
    setting: str, *, images: int = 6, accelerated: tuple[str, str] = ("off", "off")
) -> list[str]:
    """Return the notes of table 1 with a part of its rows, of which one has fewer images."""
    experiment = load_experiment("table1", "cpu")
    parts = [
        table([1.0] * images, attack="DDN 100"),
        table([1.0] * (images - 2), attack="C&W 9x10,000"),
    ]
    runs = tuple(
        Evaluation(
            part,
            {"run": "r", "configuration": {"indices": [0, images, 1], "acceleration": use}},
            None,
        )
        for part, use in zip(parts, accelerated, strict=True)
    )
    measured = MeasuredSetting(
        experiment.setting(setting),
        runs,
        {"DDN 300": "It has not begun."},
    )
    rows = result_rows(experiment, measured)
    made = table_of(experiment, measured, rows)
    assert made.title.endswith(f" % of {images} images")
    return list(made.notes)


def test_the_notes_name_what_is_missing() -> None:
    found = notes("CIFAR-10")
    assert not [note for note in found if note.startswith("C&W 4x25")]
    assert "Not run: DDN 300. It has not begun." in found
    assert "C&W 9x10,000 is not finished: 4 of 6 images." in found
    assert any(note.startswith("Compare such rows") for note in found)
    assert not [note for note in found if note.startswith("Rows on fewer images")]


def test_the_notes_name_the_attacks_with_gradients_in_bfloat16() -> None:
    text = "Gradients in bfloat16; adversarials are checked with the network as it is."
    assert text in notes("CIFAR-10", accelerated=("narrow+autocast", "bfloat16"))
    assert f"DDN 100: {text}" in notes("CIFAR-10", accelerated=("bfloat16", "narrow"))
    assert not [note for note in notes("CIFAR-10") if "bfloat16" in note]


def test_rows_share_a_note() -> None:
    setting = load_experiment("table1", "cpu").setting("MNIST")
    both = setting.row_notes(["C&W 4x25", "C&W 1x100"])
    assert [note.partition(": ")[0] for note in both] == ["C&W 4x25, C&W 1x100"]
    assert setting.row_notes([]) == ()


def test_a_setting_without_runs_has_a_note() -> None:
    experiment = load_experiment("table1", "cpu")
    settings = [
        MeasuredSetting(one, (), dict.fromkeys((row.name for row in one.attacks), "Get it."))
        for one in experiment.settings[:2]
    ]
    outcome = outcome_of(experiment, settings)
    assert outcome.tables == ()
    assert list(outcome.notes[-2:]) == ["MNIST is not run. Get it.", "CIFAR-10 is not run. Get it."]


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
                    {"run": "r", "configuration": {"indices": [0, 1, 1], "acceleration": "off"}},
                    None,
                ),
            ),
        )
        found = table_of(changed, measured, result_rows(changed, measured)).notes
        assert (scale in found) == expected
        assert ("The images are not those" in " ".join(found)) != expected
