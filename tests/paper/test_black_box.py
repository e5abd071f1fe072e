from pathlib import Path

import numpy as np
import pytest

from minnorm.attacks import load_attack
from minnorm.errors import InputError
from minnorm.evaluation.selection import values_of
from minnorm.paper.black_box import black_box
from minnorm.paper.experiment import AttackRow, Experiment, load_experiment
from minnorm.paper.measuring import Options, measure
from minnorm.paper.scales import SCALES, Scale
from paper.measured_by_hand import interrupted_after, shipped

PURSUIT = AttackRow(name="pursuit", attack="decision_pursuit(budget=30)")
TRANSFER = AttackRow(
    name="transfer", attack="transfer(surrogates='zoo:mnist-cnn-fgsm', refine=False)"
)
GRADIENTS = AttackRow(name="gradients", attack="normal_pursuit(budget=20)")


def experiment(**changes: object) -> Experiment:
    """Return a small experiment on a shipped network."""
    setting = shipped(PURSUIT, TRANSFER, GRADIENTS, images=3, experiment="black-box")
    content = {
        "name": "black-box",
        "scale": "paper",
        "title": "small",
        "kind": "black-box",
        "columns": ("success", "median", "queries"),
        "settings": (setting,),
        "options": {"defenses": ["MNIST"], "with_gradients": "gradients"},
        **changes,
    }
    return Experiment.model_validate(content)


def test_a_network_without_gradients_is_not_attacked_with_them(tmp_path: Path) -> None:
    without = experiment()
    model = "evaluation.tiny_models:decisions"
    setting = without.settings[0].model_copy(
        update={"model": model, "attacks": (PURSUIT, GRADIENTS)}
    )
    outcome = black_box(without.model_copy(update={"settings": (setting,)}), Options(tmp_path))
    (score,) = outcome.numbers["defenses"]
    assert score["with_gradients"] is None
    assert [row[0] for row in outcome.tables[0].rows] == ["pursuit"]
    assert "MNIST: gradients is left out, since the network has none." in outcome.notes


def test_the_score_of_a_run_that_goes_on_is_over_the_images_of_all_its_attacks(
    tmp_path: Path,
) -> None:
    small = experiment()
    setting = small.settings[0].model_copy(update={"batch_size": 2})
    small = small.model_copy(update={"settings": (setting,)})

    with pytest.raises(KeyboardInterrupt):
        black_box(small, Options(tmp_path, on_progress=interrupted_after(4)))
    (measured,) = measure(small, Options(tmp_path, so_far=True))
    assert measured.unfinished()
    outcome = black_box(small, Options(tmp_path, so_far=True))
    (score,) = outcome.numbers["defenses"]
    assert score["images"] == 2
    assert outcome.tables[-1].rows[0][2] == "2"
    gradients = values_of(measured.of(GRADIENTS.name), "l2")[:2]
    assert score["with_gradients"]["value"] == pytest.approx(np.median(gradients))
    pursuit, transfer = (values_of(measured.of(row.name), "l2")[:2] for row in (PURSUIT, TRANSFER))
    assert score["black_box"]["value"] == pytest.approx(np.median(np.minimum(pursuit, transfer)))


def test_the_score_of_a_network_is_the_median_over_the_best_attack(tmp_path: Path) -> None:
    options = Options(tmp_path)
    outcome = black_box(experiment(), options)
    (measured,) = measure(experiment(), options)  # the same runs
    pursuit, transfer, gradients = (
        values_of(measured.of(row.name), "l2") for row in (PURSUIT, TRANSFER, GRADIENTS)
    )
    (score,) = outcome.numbers["defenses"]
    assert score["black_box"]["value"] == pytest.approx(np.median(np.minimum(pursuit, transfer)))
    assert score["with_gradients"]["value"] == pytest.approx(np.median(gradients))
    first, last = outcome.tables
    assert first.columns == ("attack", "images", "success %", "median L2", "queries")
    assert [row[0] for row in first.rows] == ["pursuit", "transfer", "gradients"]
    assert last.rows[0][:2] == ("MNIST", "zoo:mnist-cnn")


def test_options_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the options of black-box cannot be read"):
        black_box(experiment(options={"defences": []}), Options(tmp_path))


@pytest.mark.parametrize("scale", SCALES)
def test_the_experiment_names_settings_rows_and_attacks_that_exist(scale: Scale) -> None:
    found = load_experiment("black-box", scale)
    assert found.settings
    for setting in found.settings:
        surrogates = []
        for row in setting.attacks:
            attack = load_attack(row.attack)
            surrogates += [str(one) for one in np.atleast_1d(attack.keywords.get("surrogates", []))]  # type: ignore[attr-defined]
        assert f"'{setting.model}'" not in surrogates
    if scale == "paper":
        names = {setting.name: setting for setting in found.settings}
        assert set(found.options["defenses"]) <= set(names)
        for claim in found.claims:
            assert claim.kind == "closer"
            rows = {row.name for row in names[claim.setting].attacks}
            assert {claim.attack, *claim.beside} <= rows
