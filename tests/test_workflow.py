"""The workflow for GitHub Actions: its commands, run in a scratch repository as the runner does."""

import os
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from isolation import environment
from prepared_minnorm import command_in

FILE = Path(__file__).parents[1] / "docs" / "examples" / "robustness.yml"


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Put the commands of this environment into the `PATH`."""
    with (
        command_in(tmp_path_factory.mktemp("bin")) as path,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("PATH", path)
        yield


def workflow() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return content


def steps() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workflow()["jobs"]["robustness"]["steps"]
    return found


def job(folder: Path, skipped: set[str], **changes: str) -> tuple[dict[str, int], str]:
    """Run the commands of the workflow; return the exit code of each that ran, and the summary.

    Args:
        folder: The folder of the scratch repository.
        skipped: The names of steps that are not run.
        **changes: Other values of the variables of the workflow.
    """
    subprocess.run(["git", "init", "--quiet", str(folder)], check=True)
    target = folder / ".github" / "workflows" / FILE.name
    target.parent.mkdir(parents=True)
    shutil.copy(FILE, target)
    summary = folder / "summary.md"
    variables = {
        **os.environ,
        **environment(folder / "home"),
        **workflow()["env"],
        **changes,
        "GITHUB_STEP_SUMMARY": str(summary),
    }
    codes: dict[str, int] = {}
    for step in steps():
        failed = any(codes.values())
        if "run" not in step or step["name"] in skipped or (failed and "if" not in step):
            continue
        script = folder / "step.sh"
        script.write_text(step["run"])
        done = subprocess.run(
            ["bash", "-e", str(script)],
            cwd=folder, env=variables, capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        codes[step["name"]] = done.returncode
        assert "Traceback" not in done.stderr, done.stderr
    return codes, summary.read_text()


def test_the_report_is_written_and_kept_also_if_the_gate_fails() -> None:
    named = {step["name"]: step for step in steps() if "name" in step}
    assert list(named) == ["Install", "Evaluate", "Gate", "Report", "Keep the report"]
    assert "if" not in named["Gate"]
    condition = named["Report"]["if"]
    assert condition == named["Keep the report"]["if"]
    # A step runs after a failure if its condition names the state of the job, as this one does.
    assert condition.startswith("${{ !")
    assert condition.endswith("steps.evaluate.outcome == 'success' }}")
    assert named["Keep the report"]["with"]["path"].split() == ["gate.xml", "report.html"]


@pytest.mark.slow
@pytest.mark.usefixtures("commands")
@pytest.mark.parametrize(
    ("model", "data", "code", "says"),
    [
        ("zoo:mnist-cnn-ddn", "mnist-sample[:200]", 0, "all requirements are met"),
        ("zoo:mnist-cnn", "mnist-sample[:200]", 1, "not met, missed by"),
        ("zoo:mnist-cnn-ddn", "mnist-sample[:20]", 3, "would probably decide"),
    ],
)
def test_the_job_passes_fails_and_needs_more_samples(
    tmp_path: Path, model: str, data: str, code: int, says: str
) -> None:
    # The report is written once, where it matters: after the gate has failed.
    skipped = {"Install"} if code == 1 else {"Install", "Report"}
    codes, summary = job(tmp_path, skipped, MODEL=model, DATA=data, ATTACK="ddn(steps=50)")
    assert codes == {"Evaluate": 0, "Gate": code, **({"Report": 0} if code == 1 else {})}
    assert says in summary
    assert (tmp_path / "report.html").exists() == (code == 1)
    suite = ET.fromstring((tmp_path / "gate.xml").read_bytes())  # noqa: S314 - our own document
    problems = (int(suite.get("failures", "")), int(suite.get("errors", "")))
    assert [problems[0] > 0, problems[1] > 0] == [code == 1, code == 3]
