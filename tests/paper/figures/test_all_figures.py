"""All figures at their smallest scale: they run, share their runs, and write what they name."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from PIL import Image

from minnorm.paper.experiment import load_experiment
from minnorm.paper.kinds import load_kind
from minnorm.paper.measuring import Options

NAMES = ("figure1", "figure2", "figure3", "figure4", "figure5", "curves")


@pytest.mark.slow
def test_all_figures_run_at_the_smallest_scale(tmp_path: Path) -> None:
    options = Options(out=tmp_path)
    for name in NAMES:
        experiment = load_experiment(name, "smoke")
        outcome = load_kind(experiment.kind)(experiment, options)
        assert outcome.tables, name
        files = [options.folder(experiment) / file for file in outcome.figures]
        assert files, name
        for file in files:
            if file.suffix == ".svg":
                assert ET.parse(file).getroot().tag.endswith("svg")  # noqa: S314
            else:
                with Image.open(file) as image:
                    assert min(image.size) > 500
    runs = {path.parent.name for path in tmp_path.glob("runs/**/manifest.json")}
    assert {"mnist", "mnist-ddn", "mnist-madry"} < runs  # the baseline is that of table 1
    assert not any("normal-pursuit" in name for name in runs)  # a setting that no figure draws
