"""The files of the experiments: all can be read at all scales, and say what the paper says."""

import json
from pathlib import Path

import pytest

from minnorm.attacks import load_attack
from minnorm.errors import InputError
from minnorm.paper import experiment_names, load_experiment, published_row
from minnorm.paper.kinds import KINDS
from minnorm.paper.scales import SCALES, Scale
from minnorm.paper.shared_runs import run_folders
from minnorm.specs import parse

TABLES = tuple(f"table{number}" for number in range(1, 7))

RESULT = Path(__file__).parents[2] / "experiments" / "results" / "cpu" / "cw-search"


@pytest.mark.parametrize("scale", SCALES)
def test_every_experiment_can_be_read_at_every_scale(scale: Scale) -> None:
    for name in experiment_names():
        experiment = load_experiment(name, scale)
        assert experiment.kind in KINDS
        assert experiment.settings or experiment.options
        rows = [row for setting in experiment.settings for row in setting.attacks]
        for row in rows:
            load_attack(row.attack)
        for setting in experiment.settings:
            names = [row.name for row in setting.attacks]
            assert len(set(names)) == len(names)
            assert setting.combined is None or set(setting.combined.over) <= set(names)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", TABLES)
def test_the_claims_are_about_settings_and_rows_of_the_table(name: str, scale: Scale) -> None:
    experiment = load_experiment(name, scale)
    assert experiment.claims
    for claim in experiment.claims:
        setting = experiment.setting(claim.setting)
        rows = {row.name for row in setting.attacks} | ({"All"} if setting.combined else set())
        values = claim.model_dump()
        assert values["attack"] in rows
        beside = values.get("beside")
        if "other" in values:
            experiment.setting(values["other"])
        if beside is not None:
            assert {beside} <= rows if isinstance(beside, str) else set(beside) <= rows


@pytest.mark.parametrize("name", TABLES)
def test_at_the_scale_of_the_paper_the_budgets_are_those_of_the_names(name: str) -> None:
    for setting in load_experiment(name, "paper").settings:
        for row in setting.attacks:
            spec = parse(row.attack)
            words = row.name.replace(",", "").split()
            if words[0] == "C&W":
                budget = f"{spec.arguments['searches']}x{spec.arguments['steps']}"
                assert words[1] == budget
            if words[0] == "DDN":
                assert spec.arguments["steps"] == int(words[1])
                rounded = "without rounding" not in row.name
                assert spec.arguments.get("levels") == (256 if rounded else None)
            if words[0] == "normal":
                assert spec.arguments["budget"] == int(words[2])


def published() -> dict[str, list[float | None]]:
    """Return the figures in `published.txt` by table, setting and row."""
    lines = (Path(__file__).parent / "published.txt").read_text().splitlines()
    rows = (line.rpartition(" | ") for line in lines if not line.startswith("#"))
    return {
        place: [None if cell == "-" else float(cell) for cell in cells.split()]
        for place, _, cells in rows
    }


def test_every_figure_of_the_tables_is_that_of_the_paper() -> None:
    found: dict[str, list[float | None]] = {}
    for table in TABLES:
        for setting in load_experiment(table, "paper").settings:
            rows = {row.name: row.paper for row in setting.attacks}
            if setting.combined is not None:
                rows["All"] = setting.combined.figures
            for name, row in rows.items():
                if row is None:
                    continue
                found[f"{table} | {setting.name} | {name}"] = [
                    *(row.success, row.mean, row.median, row.gradients, row.seconds),
                    *(row.hardest_success, row.hardest_mean),
                    *(value for pair in row.accuracy.items() for value in pair),
                ]
    assert found == published()


def test_a_figure_of_the_paper_is_found_by_its_place() -> None:
    row = published_row("table1", "MNIST", "C&W 9x10,000")
    assert (row.success, row.mean, row.median) == (100.0, 1.3961, 1.4121)
    with pytest.raises(InputError, match="the paper has no row 'FMN 100' for MNIST in table1"):
        published_row("table1", "MNIST", "FMN 100")


def test_tables_come_first_in_their_order() -> None:
    names = experiment_names()
    assert names[:6] == TABLES
    figures = [name for name in names if name.startswith("figure")]
    assert figures == sorted(figures)
    assert list(names[6 : 6 + len(figures)]) == figures


def test_other_networks_and_images_take_the_place_of_those_of_a_setting() -> None:
    experiment = load_experiment(
        "table1", "cpu", models={"CIFAR-10": "zoo:x"}, data={"CIFAR-10": "cifar10[:7]"}
    )
    setting = experiment.setting("CIFAR-10")
    assert (setting.model, setting.data) == ("zoo:x", "cifar10[:7]")
    assert all(row.data is None for row in setting.attacks)
    assert setting.differences[:2] == (
        "The network is not that of the experiment, zoo:cifar10-cnn, which the other notes and the "
        "claims are about.",
        "The images are not those of the experiment, cifar10[:1000].",
    )
    assert experiment.setting("MNIST") == load_experiment("table1", "cpu").setting("MNIST")


@pytest.mark.parametrize("scale", SCALES)
def test_the_baseline_of_table_5_is_that_of_table_1(scale: Scale) -> None:
    setting = load_experiment("table5", scale).setting("MNIST baseline")
    other = load_experiment("table1", scale).setting("MNIST")
    assert setting.runs_of == other
    assert (setting.model, setting.data) == (other.model, other.data)
    rows = {row.name: row for row in other.attacks}
    for row in setting.attacks:
        theirs = rows[row.name]
        assert (row.attack, row.apart, row.data) == (theirs.attack, theirs.apart, theirs.data)
    figures = setting.attacks[0].paper
    assert figures is not None
    assert figures.accuracy == {1.5: 42.1}


def test_another_network_has_runs_of_its_own() -> None:
    experiment = load_experiment("table5", "smoke", models={"MNIST baseline": "zoo:x"})
    setting = experiment.setting("MNIST baseline")
    assert setting.runs_of is None
    assert setting.model == "zoo:x"
    assert run_folders(setting)[0].startswith("runs/table5/")


@pytest.mark.parametrize(
    ("name", "scale", "models", "message"),
    [
        ("tabel1", "cpu", {}, r"unknown experiment 'tabel1'\. Did you mean 'table1'"),
        ("table1", "gpu", {}, r"unknown scale 'gpu'\. Did you mean 'cpu'"),
        ("table1", "cpu", {"CIFAR": "x"}, r"of table1 at the scale cpu\. Did you mean"),
        ("figure3", "smoke", {"MNIST": "x"}, "figure3 has no setting 'MNIST'"),
    ],
)
def test_a_name_that_does_not_exist_is_refused(
    name: str, scale: Scale, models: dict[str, str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        load_experiment(name, scale, models=models)


def test_the_parameters_of_cw_in_table_1_are_the_winners_of_the_search() -> None:
    winners = json.loads((RESULT / "results.json").read_text())["winners"]
    for table, setting in (("table1", "MNIST"), ("table1", "CIFAR-10"), ("table2", "MNIST")):
        rows = {row.name: row for row in load_experiment(table, "cpu").setting(setting).attacks}
        for name, parameters in winners[setting].items():
            arguments = parse(rows[name].attack).arguments
            assert {key: arguments[key] for key in parameters} == parameters
    rows = {row.name: row for row in load_experiment("table3", "paper").settings[0].attacks}
    for name, parameters in winners["CIFAR-10"].items():
        arguments = parse(rows[name].attack).arguments
        assert {key: arguments[key] for key in parameters} == parameters
