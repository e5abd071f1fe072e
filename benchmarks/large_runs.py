"""Time and memory of the commands that read a run of a million records in 4,000 shards.

    python benchmarks/large_runs.py [--batches 1000] [--batch-size 250] [--repeats 3] [--json FILE]

The records are drawn at random, but the run is as any other: written by the writer of evaluations,
with checksums, and read by the commands as users call them. Each command runs in a process of its
own; its time is from start to end, and its memory the largest resident size of that process.
"""

import argparse
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from minnorm.evaluation.records import make_records
from minnorm.evaluation.store.configuration import AttackEntry, Configuration
from minnorm.evaluation.store.manifest import new_session
from minnorm.evaluation.store.run_directory import RunDirectory
from minnorm.evaluation.store.unit_files import UnitFiles
from minnorm.evaluation.store.units import Unit
from minnorm.runtime import provenance
from output import write

SPECS = ("ddn(steps=100)", "normal_pursuit", "deepfool", "pgd(epsilon=0.5)")
RADIUS = 0.5  # of the last attack
CLASSES = 10


def write_run(path: Path, batches: int, size: int) -> None:
    """Write the run: four attacks, of which the last one searches within a radius."""
    configuration = Configuration(
        model="zoo:mnist-cnn",
        model_fingerprint="0" * 64,
        model_answers=(0.0,),
        data="random",
        data_fingerprint="0" * 64,
        indices=(0, batches * size, 1),
        attacks=tuple(AttackEntry(name=spec, spec=spec, norm="l2", code="") for spec in SPECS),
        targets=None,
        seed=0,
        bounds=(0.0, 1.0),
        dtype="torch.float32",
        device="cpu",
        save_adversarials=False,
        batch_size=size,
        acceleration="off",
    )
    directory = RunDirectory(path)
    session = new_session(torch.device("cpu"), (), {})
    manifest = directory.claim(configuration, (), session).manifest
    files = UnitFiles(path, manifest)
    for batch in range(batches):
        _write_batch(files, batch, size)
    directory.release()


def _write_batch(files: UnitFiles, batch: int, size: int) -> None:
    """Write a batch of each attack: 3 % clean errors, 1 % failures, and distances of 0.3 to 2.5."""
    generator = torch.Generator().manual_seed(batch)

    def uniform() -> torch.Tensor:
        return torch.rand(size, generator=generator)

    labels = torch.randint(CLASSES, (size,), generator=generator)
    clean = torch.where(uniform() < 0.03, (labels + 1) % CLASSES, labels)
    least, gray = 0.3 + 2 * uniform(), 8 + uniform()
    for number, spec in enumerate(SPECS):
        distances = least * (1 + 0.1 * uniform())
        limit = RADIUS if number == len(SPECS) - 1 else None
        failed = (uniform() < 0.01) | (distances > (limit or math.inf))
        distances = torch.where(failed, math.inf, distances).where(clean == labels, 0.0)
        success = torch.isfinite(distances)
        others = (labels + torch.randint(1, CLASSES, (size,), generator=generator)) % CLASSES
        records = make_records(
            spec,
            "l2",
            list(range(batch * size, (batch + 1) * size)),
            labels,
            None,
            radius_limit=limit,
            predictions=(clean, torch.where(success, others, labels)),
            success=success,
            reported=success,
            distances={
                "l0": 100 * distances,
                "l1": 10 * distances,
                "l2": distances,
                "linf": distances / 5,
            },
            rounding=torch.full((size,), 2.0**-24),
            gray=gray,
            spent=(101.0, 100.0, 0.001),
        )
        files.save(Unit(batch, number), records, None)


def measure(words: list[str], repeats: int) -> dict[str, float]:
    """Return the median times and the largest memory of a command."""
    seconds, processor, sizes = [], [], []
    for _ in range(repeats):
        started = time.perf_counter()
        command = [sys.executable, "-m", "minnorm", *words]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert process.returncode == 0, f"{words} ended with {process.returncode}"
        seconds.append(time.perf_counter() - started)
        processor.append(used.ru_utime + used.ru_stime)
        sizes.append(used.ru_maxrss / 2**20)  # from KiB
    return {
        "seconds": statistics.median(seconds),
        "processor_seconds": statistics.median(processor),
        "gib": max(sizes),
    }


def main() -> None:
    """Write the run, measure the commands, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--batches", type=int, default=1000, help="Batches of each attack.")
    parser.add_argument("--batch-size", type=int, default=250, help="Samples in a batch.")
    parser.add_argument("--repeats", type=int, default=3, help="Runs of each command.")
    parser.add_argument("--json", type=Path, help="Write the results to this file.")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, page = Path(folder) / "run", Path(folder) / "report.html"
        write_run(run, options.batches, options.batch_size)
        commands = {
            "show": ["show", str(run)],
            "show at three radii, by class": [
                "show", str(run), "--epsilon", "0.5,1,1.5", "--per-class",
            ],
            "show as CSV": ["show", str(run), "--format", "csv"],
            "report": ["report", str(run), "--out", str(page)],
        }  # fmt: skip
        measured = {name: measure(words, options.repeats) for name, words in commands.items()}
    records = options.batches * options.batch_size * len(SPECS)
    title = f"{records:,} records in {options.batches * len(SPECS):,} shards"
    lines = [
        f"| {title} | seconds | processor seconds | GiB |",
        "| :--- | ---: | ---: | ---: |",
        *(
            f"| {name} | {one['seconds']:.1f} | {one['processor_seconds']:.1f} | {one['gib']:.2f} |"
            for name, one in measured.items()
        ),
    ]
    table = "\n".join(lines) + "\n"
    print(table)
    result = {
        "records": records,
        "shards": options.batches * len(SPECS),
        "commands": measured,
        "repeats": options.repeats,
        **provenance.describe(torch.device("cpu")),
    }
    write(options.json, result, table)


if __name__ == "__main__":
    main()
