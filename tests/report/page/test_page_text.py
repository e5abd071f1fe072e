"""The report as text: runs of all kinds are written, and what a reader must know is said."""

import math
from pathlib import Path

import pytest

from cli.command_line import Shell
from evaluation.record_tables import table
from evaluation.small_runs import run
from minnorm.errors import InputError
from minnorm.evaluation import Evaluation, load_run
from minnorm.geometry import Norm
from minnorm.report import label_runs, write_report
from minnorm.report.page.page import page_html
from report.made_records import BOTH_NORMS, RUNS
from report.made_runs import made_run


def text_of(*runs: Evaluation, norm: Norm | None = None, **options: float) -> str:
    """Return the visible part of a report, without its style sheet."""
    text = page_html(label_runs(runs), norm=norm, epsilons=tuple(options.values()))
    return text.partition("</style>")[2].partition("<script")[0]


@pytest.mark.parametrize("norm", [None, "linf"])
@pytest.mark.parametrize("kind", RUNS)
def test_a_report_of_any_run_is_written(kind: str, norm: Norm | None) -> None:
    text = text_of(made_run(RUNS[kind]), norm=norm)
    assert ">nan" not in text
    assert text.count("<h2") == 8


def test_runs_of_all_kinds_are_reported_together() -> None:
    runs = [made_run(records, model=f"zoo:{kind}") for kind, records in RUNS.items()]
    text = text_of(*runs)
    assert text.count('role="tabpanel"') == len(RUNS)
    for kind in RUNS:
        assert f">{kind}</h3>" in text


def test_runs_over_different_data_are_not_to_be_compared() -> None:
    same = [made_run(model="zoo:a"), made_run(model="zoo:b")]
    assert "different samples" not in text_of(*same)
    other = made_run(model="zoo:c", data_fingerprint="b" * 64)
    assert "numbers cannot be compared directly" in text_of(*same, other)
    fewer = made_run([1.0], model="zoo:c")
    assert "numbers cannot be compared directly" in text_of(*same, fewer)


def test_targeted_and_untargeted_runs_differ_in_meaning() -> None:
    runs = [made_run(model="zoo:a"), made_run(model="zoo:b", targets="all")]
    assert "Some of these runs are targeted" in text_of(*runs)


def test_radii_can_be_named() -> None:
    text = text_of(made_run(table([0.0, 1.0, 2.0, math.inf])), first=8 / 255, second=1.5)
    assert "robust accuracy at L2 radius 8/255" in text
    assert "robust accuracy at L2 radius 1.5" in text
    assert "acc. % at 1.5" in text


def test_each_norm_has_its_table_and_its_charts() -> None:
    text = text_of(made_run(BOTH_NORMS))
    for name in ("L2", "L∞"):
        assert f"Measured in the {name} norm" in text
        assert f"<h3>{name} norm</h3>" in text
    chosen = text_of(made_run(BOTH_NORMS), norm="linf")
    assert "Measured in the L2 norm" not in chosen


def test_the_closest_of_all_attacks_is_marked_in_the_table() -> None:
    for records, closest in (("two norms", 2), ("an attack named as the closest", 1)):
        table_of_attacks = text_of(made_run(RUNS[records])).partition('id="attacks"')[2]
        table_of_attacks = table_of_attacks.partition("</section>")[0]
        marked = [part[:80] for part in table_of_attacks.split('<tr class="strong">')[1:]]
        assert len(marked) == closest
        assert all(">worst case" in part for part in marked)


def test_an_incomplete_run_says_so_on_the_page(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    run(folder)
    for file in [*folder.glob("*/000002-01.*")]:
        file.unlink()
    with pytest.warns(UserWarning, match="batches"):
        text = text_of(load_run(folder))
    # The last batch has 2 of the 12 samples, and one of the two attacks lacks it.
    assert "its numbers are of 10 samples" in text
    assert "2 records of other samples are left out" in text
    assert "Problem" in text


def test_a_report_in_the_run_directory_does_not_disturb_the_run(tmp_path: Path) -> None:
    finished = run(tmp_path / "run")
    write_report(label_runs([finished]), tmp_path / "run" / "report.html")
    assert load_run(tmp_path / "run").records.equals(finished.records)


def test_an_old_report_is_replaced_and_a_folder_refused(tmp_path: Path) -> None:
    runs = label_runs([made_run()])
    path = tmp_path / "new" / "report.html"
    for title in ("first", "second"):
        write_report(runs, str(path), title=title)
        assert f"<title>{title}</title>" in path.read_text()
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]
    with pytest.raises(InputError, match=r"new is a folder: name a file, for example .*\.html"):
        write_report(runs, path.parent)
    with pytest.raises(InputError, match="expected the name of an HTML file"):
        write_report(runs, tmp_path / "report.pdf")
    with pytest.raises(
        InputError, match=r"page\.html cannot be written: .*report\.html is no folder"
    ):
        write_report(runs, path / "page.html")
    with pytest.raises(InputError, match="at least one run"):
        write_report([], path)


def test_the_command_writes_a_report_and_says_where(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run(tmp_path / "a")
    run(tmp_path / "b", seed=1)
    shell = Shell(monkeypatch, capsys)
    options = ["--epsilon", "0.5,1", "--title", "Mine", "--gallery", "0"]
    done = shell("report", "a", "b", *options, "--label", "Ada", "--label", "Bob")
    assert (done.code, done.output) == (0, "report: report.html\n")
    text = Path("report.html").read_text()
    assert "<title>Mine</title>" in text
    assert "Ada" in text
    assert "Bob" in text
    assert "robust accuracy at L2 radius 0.5" in text
    assert "data:image/png" not in text
    for words, says in (
        (["gone"], "gone"),
        (["a", "--out", "a"], "a is a folder"),
        (["a", "--norm", "l3"], "l3"),
        (["a", "--epsilon", "-1"], "at least 0"),
        (["a", "a", "--label", "x", "--label", "x"], "2 runs have the label 'x'"),
        ([], "Missing argument"),
    ):
        done = shell("report", *words)
        assert done.code == 2
        assert says in done.message
