"""Collect the results of experiments for the repository, and pack their runs.

    python experiments/collect.py OUT NAME...

`OUT` is the folder of `minnorm reproduce`. The page, the numbers and the figures of an experiment
go to `experiments/results/SCALE/NAME`. Its runs go to `runs.tar.xz` there, with manifests, records
and checksums, but without images: runs that keep adversarials are left out. The archives of a
scale, unpacked into one folder, are an `OUT` that `minnorm reproduce` continues.
"""

import argparse
import json
import shutil
import tarfile
from collections.abc import Sequence
from pathlib import Path

RESULTS = Path(__file__).parent / "results"
ARCHIVE = "runs.tar.xz"

_COPIED = ("page.md", "results.json", "*.svg")
_PACKED = ("manifest.json", "records/*", "checksums/*")


def collect(out: Path, name: str, results: Path = RESULTS) -> Path:
    """Collect an experiment, and return its folder in the repository.

    Args:
        out: The folder of `minnorm reproduce`.
        name: The name of the experiment.
        results: The folder of all results.
    """
    written = out / name
    scale: str = json.loads((written / "results.json").read_text())["scale"]
    folder = results / scale / name
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    for pattern in _COPIED:
        for file in sorted(written.glob(pattern)):
            shutil.copy(file, folder)
    runs = [
        manifest.parent
        for manifest in sorted((out / "runs" / name).glob("*/manifest.json"))
        if not any((manifest.parent / "adversarials").glob("*"))
    ]
    if runs:
        _pack(runs, out, folder / ARCHIVE)
    return folder


def unpack(out: Path, scale: str, results: Path = RESULTS) -> None:
    """Unpack the runs of all experiments of a scale into a folder of `minnorm reproduce`.

    Args:
        out: The folder, which is made if it is missing.
        scale: The scale.
        results: The folder of all results.
    """
    for archive in sorted((results / scale).glob(f"*/{ARCHIVE}")):
        with tarfile.open(archive) as packed:
            packed.extractall(out, filter="data")


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


def main() -> None:
    """Collect the experiments that the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("out", type=Path, help="the folder of minnorm reproduce")
    parser.add_argument(
        "names", nargs="+", metavar="NAME", help="an experiment, for example table1"
    )
    arguments = parser.parse_args()
    for name in arguments.names:
        print(collect(arguments.out, name))


if __name__ == "__main__":
    main()
