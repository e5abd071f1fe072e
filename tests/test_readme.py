"""The README: its numbers and its picture are those of the committed results."""

import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from minnorm.attacks import ENTRIES
from scripts import script

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
RESULTS = ROOT / "benchmarks" / "results"
LIBRARIES = ("minnorm", "adv-lib", "foolbox", "torchattacks")
PAIRINGS = {
    "DDN, 100 steps": "ddn, 100 steps",
    "FMN, 100 steps": "fmn, 100 steps",
    "ALMA, 300 steps": "alma, 300 steps",
    "C&W, 4 x 100 steps": "carlini_wagner, 4 x 100",
    "FAB, 20 steps": "fab, 20 steps",
    "DeepFool": "deepfool",
}
"""The rows of the README's table, and their names in the results."""


def measured(name: str) -> Any:
    """Return committed results."""
    return json.loads((RESULTS / name).read_text())["measured"]


def rows() -> dict[str, list[str]]:
    """Return the cells of the README's table by the name of the attack."""
    lines = [line for line in README.splitlines() if re.match(r"\| .*\| *[\d-]+.* \|", line)]
    cells = [[cell.strip(" *") for cell in line.strip("|").split("|")] for line in lines]
    return {first.replace("**", ""): rest for first, *rest in cells}


def shown(result: Any) -> str:
    """Return a cell of the README's table: the mean, and the success if it is not 100 %."""
    success = round(result["success"])
    return f"{result['mean']:.3f}" + (f" ({success} %)" if success < 100 else "")


def figures() -> ModuleType:
    """Return the module that draws the picture."""
    return script("benchmarks/cost_figure.py")


@pytest.mark.parametrize("attack", PAIRINGS)
def test_a_row_of_the_table_is_that_of_the_results(attack: str) -> None:
    results = measured("peers-mnist.json")[PAIRINGS[attack]]
    gradients, *means = rows()[attack]
    assert means == [shown(results[name]) if name in results else "" for name in LIBRARIES]
    counts = [round(results[name]["gradients"]) for name in results]
    ends = f"{min(counts)} to {max(counts)}" if min(counts) < max(counts) else str(counts[0])
    assert gradients == ends


@pytest.mark.parametrize("budget", [30, 100])
def test_the_rows_of_normal_pursuit_are_those_of_the_results(budget: int) -> None:
    (found,) = [
        row
        for row in measured("anytime.json")["mnist-cnn"]["rows"]
        if row["name"] == "normal_pursuit" and row["budget"] == budget
    ]
    assert found["success"] == 1
    assert rows()[f"normal pursuit, budget {budget}"][:2] == [str(budget), f"{found['mean']:.3f}"]


def test_the_picture_leaves_out_what_found_fewer_adversarials() -> None:
    result = {
        "envelope": 2.0,
        "rows": [
            {"name": "ddn", "cost": 100.0, "mean": 2.2, "success": 1.0},
            {"name": "ddn", "cost": 30.0, "mean": 3.0, "success": 1.0},
            {"name": "ddn", "cost": 10.0, "mean": 1.0, "success": 0.5},
            {"name": "fmn", "cost": 10.0, "mean": 2.0, "success": 1.0},
        ],
    }
    points = figures().points
    assert points(result, "ddn") == [(30.0, 50.0), (100.0, pytest.approx(10.0))]
    assert points(result, "alma") == []


def test_the_picture_shows_what_its_description_says() -> None:
    drawn = figures()
    assert "seven attacks on three networks" in README
    assert len(drawn.ATTACKS) == 7
    assert len(drawn.PANELS) == 3
    for network in drawn.PANELS:
        result = measured("anytime.json")[network]
        ours = drawn.points(result, "normal_pursuit")
        for other in set(drawn.ATTACKS) - {"normal_pursuit"}:
            for cost, above in drawn.points(result, other):
                if cost >= 25:
                    # The nearest of our points that is no more expensive.
                    assert above > [mine for price, mine in ours if price <= 1.05 * cost][-1]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_picture_can_be_drawn_again(theme: str, tmp_path: Path) -> None:
    drawn = figures()
    file = tmp_path / "cost.svg"
    drawn.draw(measured("anytime.json"), file, drawn.PANELS, drawn.THEMES[theme])
    assert (ROOT / f"docs/images/cost-{theme}.svg").exists()
    assert file.read_text().count(drawn.THEMES[theme].colors[0]) > len(drawn.PANELS)


def test_the_readme_counts_the_attacks() -> None:
    assert len(ENTRIES) == 21
    assert "it and twenty others" in README
