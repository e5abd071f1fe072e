"""Figures 1 and 5: the norms and classes that are written are those of the images shown."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from minnorm import ddn, evaluate, load_data, load_model
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation, of_attack
from minnorm.evaluation.estimates import Array
from minnorm.paper.experiment import AttackRow, Setting, load_experiment, options_of
from minnorm.paper.figures.example import example
from minnorm.paper.figures.example_axes import Example, ExamplePanel, draw_rows
from minnorm.paper.figures.examples import ExamplesOptions, example_row, examples
from minnorm.paper.measuring import MeasuredSetting, Options
from minnorm.paper.scales import SCALES, Scale
from minnorm.paper.shared_runs import run_folders
from minnorm.report.figures.drawing import shown_distance
from paper.measured_by_hand import experiment, shipped

DDN = "ddn(steps=20, levels=256)"


def pixels_of(one: Example) -> Array:
    """Return the pixels of the picture of an example."""
    return np.asarray(Image.open(io.BytesIO(one.picture)))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Return a run with two attacks, of which one does not count."""
    return evaluate(
        "zoo:mnist-cnn",
        "mnist-sample[:10]",
        {"DDN": DDN, "other": "ddn(steps=2)"},
        out=tmp_path_factory.mktemp("run") / "run",
        batch_size=10,
        accelerate="off",
    )


@pytest.fixture(scope="module")
def measured(run: Evaluation) -> MeasuredSetting:
    row = AttackRow(name="DDN", attack=DDN)
    return MeasuredSetting(Setting(name="s", model="m", data="d", attacks=(row,)), (run,))


def test_norms_and_classes_are_those_of_the_pictures(
    run: Evaluation, measured: MeasuredSetting
) -> None:
    shown = example_row(measured, "DDN", "plain", 4)
    model, data = load_model("zoo:mnist-cnn"), load_data("mnist-sample[:10]")
    assert shown.of == 10
    for one in shown.examples:
        inputs, labels = data.batch([one.index])
        adversarial = run.adversarials("DDN", indices=[one.index]).adversarials
        assert one.norm == pytest.approx(float((adversarial - inputs).double().norm()))
        assert one.before == str(int(labels))
        assert one.after == str(int(model(adversarial).argmax())) != one.before
        assert np.array_equal(
            pixels_of(one), (255 * adversarial[0, 0]).round().numpy().astype(np.uint8)
        )


def test_they_are_evenly_chosen_from_the_nearest_to_the_farthest(
    run: Evaluation, measured: MeasuredSetting
) -> None:
    shown = example_row(measured, "DDN", "plain", 4)
    norms = sorted(of_attack(run.records, "DDN").column("l2").to_pylist())
    assert [one.norm for one in shown.examples] == [norms[place] for place in (0, 3, 6, 9)]
    assert [one.norm for one in example_row(measured, "DDN", "plain", 50).examples] == norms


def test_each_picture_has_its_norm_and_its_class(measured: MeasuredSetting) -> None:
    row = example_row(measured, "DDN", "a $network", 3)
    axes = draw_rows([ExamplePanel("MNIST", (row, row))]).axes[0]
    texts = [one.get_text() for one in axes.texts]
    written = [text for one in row.examples for text in (shown_distance(one.norm), one.after)]
    assert texts == 2 * ["a $network", *written]
    assert len(axes.images) == 6
    for image, one in zip(axes.images, (*row.examples, *row.examples), strict=True):
        pixels = np.asarray(image.get_array())
        times = pixels.shape[0] // 28
        assert np.array_equal(pixels[::times, ::times], pixels_of(one))


def test_a_network_without_adversarials_is_said_to_be_so(tmp_path: Path) -> None:
    plain = shipped(AttackRow(name="DDN", attack=DDN), images=2, name="plain", keep=True)
    trained = plain.model_copy(update={"name": "trained", "model": "zoo:mnist-cnn-ddn"})
    short = AttackRow(name="DDN", attack="ddn(steps=1, initial_norm=0.01)")
    trained = trained.model_copy(update={"attacks": (short,)})
    networks = {"plain": "no defense", "trained": "DDN"}
    panel = {"title": "MNIST", "networks": networks}
    outcome = examples(
        experiment(
            settings=(plain, trained),
            options={"attack": "DDN", "columns": 2, "panels": [panel]},
        ),
        Options(out=tmp_path),
    )
    assert [row[0] for row in outcome.tables[0].rows] == ["no defense"]
    assert outcome.notes[0] == "MNIST, DDN: DDN has found no adversarial to show."


@pytest.mark.parametrize("scale", SCALES)
def test_figure_5_names_settings_and_rows_that_exist(scale: Scale) -> None:
    experiment = load_experiment("figure5", scale)
    options = options_of(experiment, ExamplesOptions)
    drawn = [name for panel in options.panels for name in panel.networks]
    assert drawn == [setting.name for setting in experiment.settings]
    for setting in experiment.settings:
        assert options.attack in {row.name for row in setting.attacks}
        assert setting.keep


@pytest.mark.parametrize("scale", SCALES)
def test_figure_5_has_the_networks_and_the_attack_of_tables_5_and_6(scale: Scale) -> None:
    tables = [load_experiment(name, scale) for name in ("table5", "table6")]
    theirs = {setting.name: setting for table in tables for setting in table.settings}
    for setting in load_experiment("figure5", scale).settings:
        other = theirs[setting.name]
        (row,) = setting.attacks
        assert (setting.model, setting.install) == (other.model, other.install)
        assert setting.differences == other.differences
        assert row.attack in {one.attack for one in other.attacks if one.name == row.name}
        assert (setting.runs_of, setting.combined, row.paper) == (None, None, None)
        assert run_folders(setting)[0].startswith("runs/figure5/")


def test_figure_1_says_what_the_network_says(tmp_path: Path) -> None:
    outcome = example(load_experiment("figure1", "smoke"), Options(out=tmp_path))
    assert outcome.figures == ("figure1.svg", "figure1.png")
    cells = {row[0]: row[1] for row in outcome.tables[0].rows}
    assert cells["class after the attack"] == cells["target class"] == "3"
    images, _ = load_data("mnist-sample").batch([0])
    model = load_model("zoo:mnist-cnn")
    assert cells["class before the attack"] == str(int(model(images).argmax()))
    found = ddn(model, images, torch.tensor([3]), targeted=True, steps=50)
    assert outcome.numbers["norm"] == pytest.approx(float(found.distances))
    assert cells["L2 norm of the perturbation"] == f"{float(found.distances):.4f}"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 1000, "target": 3}, "has 1,000 images"),
        ({"sample": 0, "target": "thre"}, "'thre'"),
        ({"sample": 0, "target": 10}, "a class below 10"),
    ],
)
def test_options_of_figure_1_that_cannot_be_used(
    options: dict[str, object], message: str, tmp_path: Path
) -> None:
    experiment = load_experiment("figure1", "smoke").model_copy(update={"options": options})
    with pytest.raises(InputError, match=message):
        example(experiment, Options(out=tmp_path))


def test_figure_1_without_its_images_says_what_to_do(tmp_path: Path) -> None:
    experiment = load_experiment("figure1", "paper", models={"example": "zoo:mnist-cnn"})
    outcome = example(experiment, Options(out=tmp_path))
    assert outcome.figures == ()
    (setting,) = outcome.numbers["settings"]
    assert "--data" in setting["not_run"]["DDN"]
