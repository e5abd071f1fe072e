"""The results of experiments in the repository, and the archives of their runs.

    python experiments/archive.py add OUT NAME... [--scale cpu]
    python experiments/archive.py unpack OUT [--scale cpu]

`OUT` is a folder of `minnorm reproduce`. `add` writes the pages of experiments from what has run in
it so far, to `experiments/results/SCALE/NAME`, and packs their runs into `runs.tar.xz` there: the
manifests, records and checksums. Runs that keep images are not packed. `unpack` unpacks the runs of
all experiments into a new `OUT`, which `minnorm reproduce` continues.
"""

import argparse
import json
import shutil
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from minnorm import specs
from minnorm.errors import InputError
from minnorm.evaluation.store.unit_files import CHECKSUMS, FOLDERS, RECORDS
from minnorm.paper import Options, experiment_names, load_experiment, read_scale, reproduce
from minnorm.paper.shared_runs import run_folders

RESULTS = Path(__file__).parent / "results"
ARCHIVE = "runs.tar.xz"

_NOT_OURS = "figure1"
"""The experiment that shows a photograph which is not ours to give."""

_WRITTEN = ("page.md", "results.json", "*.svg")
_PACKED = ("manifest.json", f"{RECORDS}/*", f"{CHECKSUMS}/*")


def add(out: Path, name: str, scale: str, results: Path = RESULTS) -> Path:
    """Write the results of an experiment, and pack its runs.

    Runs may go on meanwhile: page and archive are of the same moment.

    Args:
        out: The folder of `minnorm reproduce`.
        name: The name of the experiment.
        scale: Its scale.
        results: The folder of all results.

    Returns:
        The folder of the experiment in `results`.

    Raises:
        InputError: If there is no such experiment, or nothing of it has run.
    """
    chosen = read_scale(scale)
    specs.choose(name, experiment_names(), "experiment")
    if name == _NOT_OURS:
        raise InputError(f"{name} shows a photograph that is not ours to give.")
    experiment = load_experiment(name, chosen)
    shared = {folder for setting in experiment.settings for folder in run_folders(setting)}
    own = {path.relative_to(out).as_posix() for path in (out / "runs" / name).glob("*")}
    with tempfile.TemporaryDirectory() as place:
        copy = Path(place)
        for folder in shared | own:
            _copy_run(out / folder, copy / folder)
        reproduce(experiment, Options(copy, so_far=True))
        target = results / scale / name
        if target.exists():
            shutil.rmtree(target)
        target.mkdir(parents=True)
        for pattern in _WRITTEN:
            for file in sorted((copy / name).glob(pattern)):
                shutil.copy(file, target)
        runs = sorted(
            manifest.parent for manifest in (copy / "runs" / name).glob("*/manifest.json")
        )
        if runs and not any(_keeps_images(run) for run in runs):
            _pack(runs, copy, target / ARCHIVE)
    return target


def unpack(out: Path, scale: str, results: Path = RESULTS) -> None:
    """Unpack the runs of all experiments of a scale.

    Args:
        out: A folder that is missing or empty.
        scale: The scale.
        results: The folder of all results.

    Raises:
        InputError: If the folder holds something, or there is no archive.
    """
    archives = sorted((results / read_scale(scale)).glob(f"*/{ARCHIVE}"))
    if not archives:
        raise InputError(f"No experiment at the scale {scale} has its runs in {results}.")
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(f"{out} exists already: name a new folder.")
    for archive in archives:
        with tarfile.open(archive) as packed:
            packed.extractall(out, filter="data")


def _copy_run(source: Path, target: Path) -> None:
    """Copy a run that another process may work in; the units that are finished are complete."""
    if not (source / "manifest.json").exists():
        return
    # The records of a unit are written last, so they are copied first.
    for folder in sorted(FOLDERS, key=lambda folder: folder != RECORDS):
        (target / folder).mkdir(parents=True)
        for file in (source / folder).glob("[!.]*"):  # not those that are being written
            shutil.copy(file, target / folder)
    shutil.copy(source / "manifest.json", target)


def _keeps_images(run: Path) -> bool:
    configuration = json.loads((run / "manifest.json").read_text())["configuration"]
    return bool(configuration["save_adversarials"])


def _pack(runs: Sequence[Path], out: Path, archive: Path) -> None:
    """Pack runs; the same files give the same archive."""
    with tarfile.open(archive, "w:xz", preset=9) as packed:
        for run in runs:
            for file in sorted(file for pattern in _PACKED for file in run.glob(pattern)):
                entry = packed.gettarinfo(file, file.relative_to(out).as_posix())
                entry.uid = entry.gid = entry.mtime = 0
                entry.uname = entry.gname = ""
                entry.mode = 0o644
                with file.open("rb") as content:
                    packed.addfile(entry, content)


def main(words: Sequence[str] | None = None) -> None:
    """Add results, or unpack runs, as the command line says."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    adding = commands.add_parser("add", help="write results, and pack their runs")
    unpacking = commands.add_parser("unpack", help="unpack the runs of all experiments")
    for command in (adding, unpacking):
        command.add_argument("out", type=Path, metavar="OUT", help="a folder of minnorm reproduce")
        command.add_argument("--scale", default="cpu", help="paper, cpu or smoke; default: cpu")
    adding.add_argument("names", nargs="+", metavar="NAME", help="an experiment, such as table1")
    given = parser.parse_args(words)
    try:
        if given.command == "unpack":
            unpack(given.out, given.scale)
        else:
            for name in given.names:
                print(add(given.out, name, given.scale))
    except InputError as error:
        parser.exit(2, f"error: {error}\n")


if __name__ == "__main__":
    main()
