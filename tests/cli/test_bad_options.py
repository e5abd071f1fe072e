"""Evaluations with attacks, options and run directories that cannot be used."""

from pathlib import Path

import pytest

from cli.bad_evaluation import ATTACK, DATA, MODEL, Case, check_refused
from cli.command_line import Shell
from minnorm.evaluation import evaluate

ATTACKS = [
    Case("unknown attack", ("unknown attack 'dnn'. Did you mean 'ddn'?",), attack="dnn"),
    Case(
        "unknown parameter",
        ("unknown parameter 'step' of ddn. Did you mean 'steps'?",),
        attack="ddn(step=3)",
    ),
    Case("steps=0", ("steps=0: expected a whole number",), attack="ddn(steps=0)"),
    Case("steps='x'", ("steps='x': expected a whole number",), attack="ddn(steps='x')"),
    Case("gamma=2", ("gamma=2: expected a number above 0 and below 1",), attack="ddn(gamma=2)"),
    Case("levels=1", ("levels=1: expected a whole number of at least 2",), attack="ddn(levels=1)"),
    Case("malformed", ("cannot read the arguments '(steps=)'",), attack="ddn(steps=)"),
    Case("no radius", ("'autoattack' requires epsilon",), attack="autoattack"),
    Case("no such norm", ("norm='L3': expected one of l0, l1",), attack="fmn(norm=L3)"),
    Case("code", ("there is no module 'no_such_module'",), attack="no_such_module:attack"),
    Case("by position", ("cannot read the arguments '(3)'", "name=value"), attack="ddn(3)"),
    Case("empty", ("the spec '' has no name",), attack=""),
    Case("open bracket", ("'ddn(steps=20' is not closed: write ')'",), attack="ddn(steps=20"),
    Case("given by us", ("targeted cannot be set in a spec",), attack="ddn(targeted=True)"),
    Case("twice", ("two of the attacks are the same",), options=("--attack", ATTACK)),
    Case("too large", ("expected a number above 0",), attack="ddn(initial_norm=1e300)"),
]

OPTIONS = [
    Case("missing out", ("Missing option '--out'",), out=None),
    Case("targets", ("targets='some': expected 'all'", "random:K"), options=("--targets", "some")),
    Case(
        "too many targets",
        ("targets='random:10': the model has 10 classes; expected at most",),
        options=("--targets", "random:10"),
    ),
    Case(
        "batch size 0",
        ("batch_size=0: expected a whole number of at least 1",),
        options=("--batch-size", "0"),
    ),
    Case("batch size x", ("--batch-size", "a whole number or auto"), options=("--batch-size", "x")),
    Case(
        "accelerate",
        ("accelerate='fast': expected 'auto', 'off', 'plain', or some of folded",),
        options=("--accelerate", "fast"),
    ),
    Case(
        "accelerate twice",
        ("choose one of 'autocast' and 'bfloat16'",),
        options=("--accelerate", "autocast+bfloat16"),
    ),
    Case("device", ("cannot use the device 'banana'", "cpu"), options=("--device", "banana")),
    Case("gpu", ("cannot use the device 'gpu'", "Available: cpu"), options=("--device", "gpu")),
    Case(
        "norm",
        ("norm='l3': expected one of l0, l1, l2, linf", "l0, l1, l2, linf"),
        options=("--norm", "l3"),
    ),
    Case("radius below 0", ("expected a radius of at least 0",), options=("--epsilon", "-1")),
    Case("bounds reversed", ("low < high",), options=("--bounds", "1", "0")),
    Case("bounds of one", ("--bounds 1: expected two numbers",), options=("--bounds", "1")),
    Case("bounds, text", ("--bounds a b: expected two numbers",), options=("--bounds", "a", "b")),
    Case("radius, text", ("'x' is not a number", "8/255"), options=("--epsilon", "x")),
    Case("seed, text", ("--seed", "integer"), options=("--seed", "x")),
    Case("seed too large", ("seed",), options=("--seed", "1" + "0" * 30)),
    Case("seed below 0", ("seed=-1",), options=("--seed", "-1", "--targets", "random:1")),
    Case("unknown option", ("--step",), options=("--step", "3")),
    Case("out is a file", ("file exists and is not a run directory",), out="{files}/file"),
    Case("out is foreign", ("name a new or empty folder",), out="{files}/foreign"),
    Case("out is impossible", ("/dev/null/run",), out="/dev/null/run"),
    Case(
        "out is another run",
        ("other holds a run of another configuration", "seed: 0 there, 1 now", "another folder"),
        out="{files}/other",
        options=("--seed", "1"),
    ),
    Case(
        "damaged shard",
        ("000000-00.parquet is damaged", "Delete it", "run the same command again"),
        out="{files}/bad-shard",
    ),
    Case("damaged manifest", ("manifest.json is damaged",), out="{files}/bad-manifest"),
    Case("empty manifest", ("manifest.json is damaged",), out="{files}/no-sessions"),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of run directories, each with one thing wrong."""
    folder = tmp_path_factory.mktemp("files")
    (folder / "file").write_text("not a folder")
    (folder / "foreign").mkdir()
    (folder / "foreign" / "thesis.tex").write_text("years of work")
    for name in ("other", "bad-shard", "bad-manifest", "no-sessions"):
        evaluate(MODEL, DATA, ATTACK, out=folder / name)
    (folder / "bad-shard" / "records" / "000000-00.parquet").write_bytes(b"PAR1")
    (folder / "bad-manifest" / "manifest.json").write_text('{"format": 2,')
    (folder / "no-sessions" / "manifest.json").write_text('{"format": 4}')
    return folder


@pytest.mark.usefixtures("elsewhere")
@pytest.mark.parametrize("case", [*ATTACKS, *OPTIONS], ids=lambda case: case.name)
def test_a_bad_option_is_refused(case: Case, shell: Shell, files: Path, tmp_path: Path) -> None:
    check_refused(shell, case.words(files, tmp_path), case.says)
