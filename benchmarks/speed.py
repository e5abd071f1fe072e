"""Speed: beside other libraries, over the floor, time to quality, memory and ranks.

    make bench            sets up benchmarks/.venv and runs this
    python benchmarks/speed.py [--runs 3] [--only PART ...] [--json FILE]

Parts: a network and a batch size (DDN, that of the peers, and its floor), `quality:` and a network
(the time until the mean is close to the envelope), `memory`, `ranks`. Parts that the file has for
this code and this machine are measured again only if `--only` names them, so an interrupted run
continues.

Our attacks and those of the peers run in separate processes, since `accelerate` changes how a
process keeps its memory. They take turns: one runs while the others wait.
"""

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch

from contest import Case, Process, in_turn
from minnorm.attacks.engine.coarse import COARSE_SHARE
from minnorm.runtime import provenance
from networks import NETWORKS as WITH_IMAGES
from output import write

CASES = {
    "mnist-cnn-128": Case("zoo:mnist-cnn", "mnist", 128, 100, 3),
    "mnist-cnn-1000": Case("zoo:mnist-cnn", "mnist", 1000, 50, 3),
    "cifar10-cnn-128": Case("zoo:cifar10-cnn", "cifar10", 128, 100, 3),
    "cifar10-cnn-1000": Case("zoo:cifar10-cnn", "cifar10", 1000, 20, 3),
    "cifar10-wrn-16-4-128": Case("zoo:cifar10-wrn-16-4", "cifar10", 128, 20, 2),
    # There are 20 labeled photographs.
    "efficientnet-lite0-20": Case("networks:efficientnet_lite0", "networks:photos", 20, 50, 2),
    "cifar10-wrn-16-4-1000": Case("zoo:cifar10-wrn-16-4", "cifar10", 1000, 5, 2),
}

QUALITY = {"mnist-cnn": 3000, "cifar10-cnn": 1000}
"""The networks for the time to quality, with the largest number of steps of the peers."""

STEPS = (3000, 1000, 500, 300, 200, 150, 100, 70, 50)
"""The numbers of steps that are tried."""

WITHIN = 1.01
"""The largest mean that counts as close to the envelope, in units of the mean of the envelope."""


def shares(ours: list[float], exact: list[float]) -> list[float]:
    """Return percentiles 5, 50 and 95 of the distances of the images over those of the exact run.

    Args:
        ours: Distances of the accelerated run; infinite for failures.
        exact: Distances of the run without acceleration.
    """
    both = torch.tensor([ours, exact], dtype=torch.float64)
    both = both[:, torch.isfinite(both).all(0) & (both[1] > 0)]
    return (both[0] / both[1]).quantile(torch.tensor([0.05, 0.5, 0.95]).double()).tolist()


def floor(rows: dict[str, Any], steps: int) -> float:
    """Return the seconds of the bare gradients that DDN needs of an accelerated model.

    Args:
        rows: The measurements, with `coarse gradients` and `exact gradients` of `steps` steps each.
        steps: The number of steps.
    """
    early = sum(0 < step / steps < COARSE_SHARE for step in range(steps))
    coarse, exact = rows["coarse gradients"]["seconds"], rows["exact gradients"]["seconds"]
    return float((early * coarse + (steps - early) * exact) / steps)


def compare(case: Case, runs: int) -> dict[str, Any]:
    """Measure DDN, ours and that of the peers, bare gradients, and ours without acceleration."""
    fast, plain, theirs = Process(case, "auto"), Process(case, "off"), Process(case, "off")
    steps = case.steps
    calls = {
        "ours": lambda: fast.run("ddn", steps),
        "adv-lib": lambda: theirs.run("adv-lib ddn", steps),
        "foolbox": lambda: theirs.run("foolbox ddn", steps),
        "coarse gradients": lambda: fast.run("coarse gradients", steps),
        "exact gradients": lambda: fast.run("exact gradients", steps),
    }
    for process in (fast, plain, theirs):  # first calls do not count
        process.run("ddn", 2)
    rows = in_turn(runs, calls)
    once = {
        "ours, off": lambda: plain.run("ddn", steps),
        "normal_pursuit": lambda: fast.run("normal_pursuit", steps),
        "normal_pursuit, off": lambda: plain.run("normal_pursuit", steps),
    }
    rows |= in_turn(1, once)
    for process in (fast, plain, theirs):
        process.close()
    per_image = shares(rows["ours"]["distances"], rows["ours, off"]["distances"])
    default = shares(rows["normal_pursuit"]["distances"], rows["normal_pursuit, off"]["distances"])
    for row in rows.values():
        del row["distances"]
    fastest = min(rows["adv-lib"]["seconds"], rows["foolbox"]["seconds"])
    return {
        "case": f"{case.model}, batch {case.batch}, {case.steps} steps",
        "used": fast.used,
        "notes": fast.notes,
        "preparation": fast.seconds,
        "rows": rows,
        "speed": fastest / rows["ours"]["seconds"],
        "least": case.least,
        "norm": rows["ours"]["mean"] / rows["ours, off"]["mean"] - 1,
        "norm_per_image": per_image,
        "norm_of_default": rows["normal_pursuit"]["mean"] / rows["normal_pursuit, off"]["mean"] - 1,
        "norm_of_default_per_image": default,
        "over_floor": rows["ours"]["seconds"] / floor(rows, steps),
    }


def time_to_quality(name: str, runs: int) -> dict[str, Any]:
    """Measure the time of our best attack, and of the peers, to within 1 % of the envelope.

    The envelope is the best mean of `benchmarks/results/anytime.json`, on the same images.
    """
    results = Path(__file__).parent / "results" / "anytime.json"
    anytime = json.loads(results.read_text())["measured"][name]
    model, images = WITH_IMAGES[name]
    data, _, stop = images.partition("[:")
    case = Case(model, data, int(stop.rstrip("]")), 0, 10)
    fast, theirs = Process(case, "auto"), Process(case, "off")
    for process in (fast, theirs):
        process.run("ddn", 2)
    limit = WITHIN * anytime["envelope"]
    tried: list[dict[str, Any]] = []

    def reaches(process: Process, attack: str, setting: int) -> bool:
        row = process.run(attack, setting)
        del row["distances"]
        reached: bool = row["success"] == 1 and row["mean"] <= limit
        tried.append({"attack": attack, "setting": setting, "there": reached, **row})
        return reached

    any(
        reaches(fast, "normal_pursuit", budget) for budget in (30, 50, 70, 100, 150, 200, 300, 1000)
    )
    for attack in ("adv-lib ddn", "adv-lib fmn", "adv-lib alma", "adv-lib pdgd", "adv-lib apgd"):
        # An attack that does not reach the mean with the most steps does not reach it with fewer.
        all(reaches(theirs, attack, steps) for steps in STEPS if steps <= QUALITY[name])
    reached = [row for row in tried if row["there"]]
    best = {
        side: min(
            (row for row in reached if (row["attack"] == "normal_pursuit") == (side == "ours")),
            key=lambda row: float(row["seconds"]),
            default=None,
        )
        for side in ("ours", "theirs")
    }
    calls = {
        side: partial(fast.run if side == "ours" else theirs.run, row["attack"], row["setting"])
        for side, row in best.items()
        if row is not None
    }
    rows = in_turn(runs, calls) if calls else {}
    for row in rows.values():
        del row["distances"]
    for process in (fast, theirs):
        process.close()
    ours = rows["ours"]["seconds"] + fast.seconds if "ours" in rows else None
    ratio = rows["theirs"]["seconds"] / ours if ours is not None and len(rows) == 2 else None
    in_vain = [
        row["seconds"]
        for row in tried
        if row["attack"].startswith("adv-lib")
        and row["setting"] == QUALITY[name]
        and not row["there"]
    ]
    return {
        "envelope": anytime["envelope"],
        "tried": tried,
        "best": best,
        "rows": rows,
        "ratio": ratio,
        "preparation": fast.seconds,
        # If no peer reached the mean, all peers need longer than this.
        "in_vain": min(in_vain, default=None),
    }


def memory(runs: int) -> dict[str, Any]:
    """Measure the peak memory of an evaluation of 10,000 images over that of 1,000."""
    code = (
        "import resource, sys; from minnorm import evaluate; "
        "evaluate('zoo:mnist-cnn', f'mnist[:{sys.argv[1]}]', 'ddn(steps=2)', batch_size=100, "
        "accelerate='autocast', out=sys.argv[2]); "
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    peaks: dict[int, list[int]] = {1000: [], 10_000: []}
    for _ in range(runs):
        for images, found in peaks.items():
            with tempfile.TemporaryDirectory() as folder:
                done = subprocess.run(
                    [sys.executable, "-c", code, str(images), f"{folder}/run"],
                    stdout=subprocess.PIPE,
                    text=True,
                    check=True,
                )
            found.append(int(done.stdout.split()[-1]))
    few, many = (statistics.median(found) / 1024 for found in peaks.values())
    return {"mib_1000": few, "mib_10000": many, "ratio": many / few}


def ranks(runs: int) -> dict[str, Any]:
    """Measure the time of one rank with one thread over that of two ranks with one thread each."""
    folder = Path(__file__).parent
    times: dict[int, list[float]] = {1: [], 2: []}
    for _ in range(runs):
        for count, found in times.items():
            command = [sys.executable, "-m", "torch.distributed.run", f"--nproc-per-node={count}"]
            done = subprocess.run(
                [*command, str(folder / "ranks.py")],
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                env={**os.environ, "OMP_NUM_THREADS": "1"},
            )
            found.append(float(done.stdout.split()[-1]))
    one, two = (statistics.median(found) for found in times.values())
    return {"seconds_1": one, "seconds_2": two, "ratio": one / two}


def tables(measured: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    lines = [
        "# Speed",
        "",
        "DDN with equal steps. `speed`: seconds of the fastest peer over ours; medians of runs in",
        "turn, in separate processes, on one network with frozen parameters. `preparation`:",
        "the seconds of `accelerate`, once for a model. `over floor`: our seconds over those of as",
        "many bare gradients of the accelerated model, of its coarse and its exact classifier in",
        "the shares that DDN uses. Our accelerated process keeps the memory that it frees; without",
        "acceleration it does not, and the peers do not.",
        "",
        "| case | accelerated by | preparation, s | ours, s | adv-lib, s | foolbox, s | speed "
        "| target | over floor |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for part in CASES:
        if part in measured:
            row = measured[part]["found"]
            cells = [
                row["case"],
                row["used"],
                f"{row['preparation']:.1f}",
                *(
                    f"{row['rows'][side]['seconds']:.2f} ({row['rows'][side]['least']:.2f} to "
                    f"{row['rows'][side]['most']:.2f})"
                    for side in ("ours", "adv-lib", "foolbox")
                ),
                f"{row['speed']:.2f}",
                f"{row['least']:g}",
                f"{row['over_floor']:.3f}",
            ]
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## What was found",
        "",
        "Mean L2 norm, with success in percent. `against off`: our mean against that of our own",
        "run without acceleration; in brackets the median of the ratios of the images, with",
        "percentiles 5 and 95; for DDN, and for our default attack with as many gradients.",
        "",
        "| case | ours | adv-lib | foolbox | ours, off | DDN against off | default against off |",
        "|---|---|---|---|---|---|---|",
    ]
    for part in CASES:
        if part in measured:
            row = measured[part]["found"]
            cells = [row["case"]]
            for side in ("ours", "adv-lib", "foolbox", "ours, off"):
                one = row["rows"][side]
                cells.append(f"{one['mean']:.4f} ({100 * one['success']:.1f})")
            for name in ("norm", "norm_of_default"):
                low, middle, high = row[f"{name}_per_image"]
                cells.append(f"{100 * row[name]:+.2f} % ({middle:.4f}; {low:.4f} to {high:.4f})")
            lines.append(f"| {' | '.join(cells)} |")
    lines += [
        "",
        "## Time to a mean within 1 % of the envelope",
        "",
        "Ours includes its preparation; theirs is the fastest of DDN, FMN, ALMA, PDGD and APGD of",
        "adv-lib.",
        "",
    ]
    lines += ["| network | ours | theirs | ratio |", "|---|---|---|---|"]
    for part in QUALITY:
        if f"quality:{part}" not in measured:
            continue
        found = measured[f"quality:{part}"]["found"]
        most = max(row["setting"] for row in found["tried"] if row["attack"] != "normal_pursuit")
        cells = []
        for side, row in found["best"].items():
            seconds = f"{found['rows'][side]['seconds']:.1f} s" if row else ""
            named = f"{row['attack']}, {row['setting']}: {seconds}" if row else "none reaches it"
            cells.append(named if row or side == "ours" else f"{named} in {most:,} steps")
        ratio = f"{found['ratio']:.1f}" if found["ratio"] else "-"
        if found["best"]["theirs"] is None and found["best"]["ours"] is not None:
            ours = found["rows"]["ours"]["seconds"] + found["preparation"]
            ratio = f"above {found['in_vain'] / ours:.1f}"
        lines.append(f"| {part} | {' | '.join(cells)} | {ratio} |")
    if "memory" in measured:
        found = measured["memory"]["found"]
        lines += [
            "",
            f"Peak memory of an evaluation: {found['mib_1000']:.0f} MiB for 1,000 images, "
            f"{found['mib_10000']:.0f} MiB for 10,000: {found['ratio']:.3f} times as much.",
        ]
    if "ranks" in measured:
        found = measured["ranks"]["found"]
        lines += [
            "",
            f"One rank with one thread: {found['seconds_1']:.1f} s; two: "
            f"{found['seconds_2']:.1f} s: {found['ratio']:.2f} times as fast.",
        ]
    return "\n".join([*lines, *measured_on(measured)]) + "\n"


def measured_on(measured: dict[str, Any]) -> list[str]:
    """Return which parts were measured on which machine, and with which code."""
    together: dict[str, list[str]] = {}
    for part, one in measured.items():
        machine, versions = one["hardware"], one["versions"]
        instructions = f" ({machine['instructions']})" if "instructions" in machine else ""
        on = (
            f"{machine['processor']}{instructions}, {machine['cores']} cores, "
            f"{machine['threads']} threads, {machine['memory_gib']} GiB, Python "
            f"{versions['python']}, torch {versions['torch']}, code {one['revision'][:12]}"
        )
        together.setdefault(on, []).append(part)
    lines = [f"- {on}: {', '.join(parts)}" for on, parts in together.items()]
    return ["", "## Measured on", "", *lines]


def main() -> None:
    """Measure, print, and write the result with the versions and the hardware."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parts: list[str] = [*CASES, *(f"quality:{name}" for name in QUALITY), "memory", "ranks"]
    parser.add_argument("--only", nargs="+", choices=parts, default=[])
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    measured: dict[str, Any] = {}
    if options.json is not None and options.json.exists():
        measured = json.loads(options.json.read_text())["measured"]
    session = json.loads(json.dumps(provenance.describe(torch.device("cpu"))))
    for part in options.only or parts:
        there = {name: measured.get(part, {}).get(name) for name in session}
        if there == session and part not in options.only:
            continue
        print(part, flush=True)
        if part in CASES:
            found: Any = compare(CASES[part], options.runs)
        elif part.startswith("quality:"):
            found = time_to_quality(part.partition(":")[2], options.runs)
        else:
            found = memory(options.runs) if part == "memory" else ranks(options.runs)
        measured[part] = {"found": found, **session}
        result = {
            "measured": measured,
            "peers": {name: importlib.metadata.version(name) for name in ("adv-lib", "foolbox")},
        }
        write(options.json, result, tables(measured))
    print(tables(measured))


if __name__ == "__main__":
    main()
