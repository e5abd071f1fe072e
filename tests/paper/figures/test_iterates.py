"""Figure 3 and its animation: what the files show is what was measured."""

import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from minnorm.errors import InputError
from minnorm.paper.experiment import load_experiment, options_of
from minnorm.paper.figures.iterates import IterateOptions, iterates
from minnorm.paper.measuring import Options
from minnorm.paper.outcome import Outcome

ROOT = Path(__file__).parents[3]
SVG = "{http://www.w3.org/2000/svg}"
NUMBER = re.compile(r"-?\d+(?:\.\d+)?")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("out")


@pytest.fixture(scope="module")
def outcome(folder: Path) -> Outcome:
    return iterates(load_experiment("figure3", "smoke"), Options(out=folder))


@pytest.fixture(scope="module")
def animation(outcome: Outcome, folder: Path) -> str:
    return (folder / "figure3" / outcome.figures[-1]).read_text()


def test_all_files_are_there(outcome: Outcome, folder: Path) -> None:
    assert outcome.figures == ("figure3.svg", "figure3.png", "figure3-animation.svg")
    assert {path.name for path in (folder / "figure3").iterdir()} == set(outcome.figures)


def test_the_table_has_the_measured_distances(outcome: Outcome) -> None:
    numbers = outcome.numbers
    (x, y), (u, v) = numbers["input"], numbers["closest"]["point"]
    closest = ((x - u) ** 2 + (y - v) ** 2) ** 0.5
    assert numbers["closest"]["distance"] == pytest.approx(closest)
    cells = [row[2] for row in outcome.tables[0].rows]
    found = (numbers["ddn"]["distance"], numbers["normal_pursuit"]["distance"], closest)
    assert cells == [f"{distance:.4f}" for distance in found]
    assert closest <= min(found) < 1.01 * closest


def test_the_animation_shows_every_step(outcome: Outcome, animation: str) -> None:
    root = ET.fromstring(animation)  # noqa: S314
    points, norms = outcome.numbers["ddn"]["points"], outcome.numbers["ddn"]["norms"]
    center, scale = None, 0.0
    for number, norm in enumerate(norms, start=1):
        (now,) = [one for one in root if one.get("class") == f"once now{number}"]
        (after,) = [one for one in now.iter(f"{SVG}circle") if one.get("class") == "sphere next"]
        place = float(after.get("cx", "")), float(after.get("cy", ""))
        scale = scale or float(after.get("r", "")) / norm
        center = center or place
        assert place == center
        assert float(after.get("r", "")) == pytest.approx(norm * scale, abs=0.2)
        (text,) = now.iter(f"{SVG}text")
        assert f"to {norm:.2f}." in "".join(text.itertext())
        (later,) = [one for one in root if one.get("class") == f"from{number}"]
        (end,) = later.iter(f"{SVG}circle")
        x, y = (points[number][axis] - points[0][axis] for axis in (0, 1))
        assert float(end.get("cx", "")) == pytest.approx(center[0] + scale * x, abs=0.5)
        assert float(end.get("cy", "")) == pytest.approx(center[1] - scale * y, abs=0.5)


def test_the_animation_is_small_and_stands_still_for_who_wants_that(animation: str) -> None:
    assert len(animation) < 300_000
    assert "prefers-reduced-motion" in animation
    assert "<script" not in animation
    assert "href" not in animation


def test_the_picture_of_the_documentation_is_that_of_the_experiment(animation: str) -> None:
    # After a change, copy there the animation that `minnorm reproduce figure3` writes.
    shown = (ROOT / "docs" / "images" / "ddn-steps.svg").read_text()
    assert NUMBER.sub("0", shown) == NUMBER.sub("0", animation)
    found, expected = ([float(one) for one in NUMBER.findall(text)] for text in (shown, animation))
    assert found == pytest.approx(expected, abs=0.5)


def test_options_that_cannot_be_used_are_an_error_of_the_file() -> None:
    experiment = load_experiment("figure3", "smoke")
    wrong = experiment.model_copy(update={"options": {**experiment.options, "stepps": 3}})
    with pytest.raises(InputError, match=r"(?s)options of figure3.*stepps"):
        options_of(wrong, IterateOptions)
