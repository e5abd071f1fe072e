"""Write the parts of the documentation that are generated from the code: `make docs`.

A page holds prose and generated parts. A part stands between two comments,
`<!-- generated: KIND NAME -->` and `<!-- end -->`, and is replaced by this file. A test checks that
the pages are up to date. `docs/costs.py` measures the costs that the pages show.
"""

import inspect
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from minnorm.attacks import ENTRIES
from minnorm.attacks.combinators import COMBINATORS
from minnorm.attacks.contract import BEST_ATTACKS
from minnorm.geometry import Norm
from minnorm.paper import experiment_names, load_experiment
from minnorm.paper.pages import claim_text
from minnorm.report.tables.markdown import escaped

DOCS = Path(__file__).parent
RESULTS = DOCS.parent / "experiments" / "results" / "cpu"
FUNCTIONS: dict[str, Callable[..., Any]] = {
    **{name: entry.function for name, entry in ENTRIES.items()},
    **COMBINATORS,
}

_PART = re.compile(r"(<!-- generated: ([\w -]+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_ARGUMENTS = re.compile(r"^Args:\n(.*?)(?=^\S|\Z)", re.MULTILINE | re.DOTALL)
_ARGUMENT = re.compile(r"^ {4}([\w, ]+): (.*(?:\n {5,}.*)*)", re.MULTILINE)
_ELSEWHERE = re.compile(r"See `minnorm\.attacks\.(\w+)`\.")
_BATCH = ("model", "inputs", "labels")
_SHARED = ("targeted", "levels", "bounds", "mask", "generator")
"""The parameters of every attack that pages show once."""

_COLUMNS = {
    "success": "success %",
    "mean": "mean L2",
    "median": "median L2",
    "queries": "queries",
}
"""The columns of a setting of an experiment, and their headings."""

_NORM_NAMES: dict[Norm, str] = {"l2": "L2", "linf": "Linf"}


def overview() -> str:
    """Return the table of all attacks."""
    rows = [
        f"| [`{name}`](attacks/{name}.md) | {entry.access} | {entry.goal} "
        f"| {', '.join(entry.norms)} | {entry.targeted} | {entry.cost} | {entry.when} |"
        for name, entry in ENTRIES.items()
    ]
    return _table("attack", "needs", "goal", "norms", "targeted", "cost", "use it for", rows=rows)


def best() -> str:
    """Return the table of the best attacks by what they need of a model."""
    rows = [
        f"| `{access}` "
        + "".join(f"| [`{names[norm]}`](attacks/{names[norm]}.md) " for norm in _NORM_NAMES)
        + f"| {'gradients' if access == 'gradients' else 'queries'} "
        + f"| {_budget(names['l2'])} |"
        for access, names in BEST_ATTACKS.items()
    ]
    return _table("access", *_NORM_NAMES.values(), "a budget counts", "by default", rows=rows)


def _budget(name: str) -> str:
    return f"{inspect.signature(FUNCTIONS[name]).parameters['budget'].default:,}"


def facts(name: str) -> str:
    """Return what the registry says about an attack."""
    entry = ENTRIES[name]
    rows = [
        f"| Use it for | {entry.when} |",
        f"| Needs | {entry.access} |",
        f"| Goal | {entry.goal} |",
        f"| Norms | {', '.join(entry.norms)} |",
        f"| Targeted | {entry.targeted} |",
        f"| Cost | {entry.cost} |",
        f"| Source | {entry.source} |",
    ]
    return _table("", "", rows=rows)


def shared_parameters() -> str:
    """Return the table of the parameters that all attacks have."""
    return _parameter_table("ddn", _SHARED)


def parameters(name: str) -> str:
    """Return the table of an attack's own parameters."""
    own = inspect.signature(FUNCTIONS[name]).parameters
    return _parameter_table(name, [key for key in own if key not in {*_BATCH, *_SHARED}])


def costs(name: str) -> str:
    """Return the table of the measured costs of an attack."""
    measured = json.loads((DOCS / "costs.json").read_text())[name]
    within = name in ENTRIES and ENTRIES[name].goal == "within epsilon"
    rows = [
        f"| `{row['attack']}` | {row['success']:.1f} "
        + ("" if within else f"| {row['mean']:.4f} {_NORM_NAMES[row['norm']]} ")
        + f"| {row['gradients']:,.1f} | {row['forwards']:,.1f} |"
        for row in measured
    ]
    names = ["attack", "success %", "mean distance", "gradients", "forward passes"]
    if within:
        names.remove("mean distance")
    return _table(*names, rows=rows, right=len(names) - 1)


def claims() -> str:
    """Return the table of all claims, with what each experiment has measured."""
    pages = dict(_result_pages())
    rows = []
    for name, claim in _claims():
        page = pages.get(name)
        label = name if page is None else f"[{name}](../{page.relative_to(DOCS.parent)})"
        text = escaped(claim_text(claim["text"], claim["by"]))
        on, numbers = escaped(claim["setting"]), escaped(claim["numbers"])
        rows.append(f"| {label} | {text} | {on} | **{claim['result']}** | {numbers} |")
    return _table("experiment", "claim", "on", "result", "numbers", rows=rows)


def verdicts() -> str:
    """Return how many claims held, and how many did not."""
    counts: dict[str, Counter[str]] = {"paper": Counter(), "package": Counter()}
    for _, claim in _claims():
        counts[claim["by"]][claim["result"]] += 1
    names = ("held", "not held", "not shown", "not measured")
    labels = {"claims of the paper": "paper", "*of this package*": "package"}
    rows = [
        f"| {label} | {' | '.join(str(counts[by][name]) for name in names)} |"
        for label, by in labels.items()
    ]
    return _table("lines", *names, rows=rows, right=len(names))


def _claims() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each claim as `results.json` has it, after the name of its experiment."""
    pages = dict(_result_pages())
    for name in experiment_names():
        if name in pages:
            for claim in _content(name)["claims"]:
                yield name, claim
        else:
            for one in load_experiment(name, "cpu").claims:
                found = {"text": one.text, "by": one.by, "setting": one.setting}
                yield name, {**found, "result": "not measured", "numbers": "not run yet"}


def results() -> str:
    """Return the table of the experiments whose results are there, and of those that are not."""
    found = dict(_result_pages())
    rows = []
    for name in experiment_names():
        title = escaped(load_experiment(name, "cpu").title)
        if name in found:
            content = _content(name)
            page = f"[{title}](../{found[name].relative_to(DOCS.parent)})"
            machines = [
                _machine(session["hardware"])
                for run in content["runs"] or [{"sessions": [content]}]
                for session in run["sessions"]
            ]
            where = "; ".join(dict.fromkeys(machines))
            settings = content.get("settings", [])
            if any(one["not_run"] or one["unfinished"] for one in settings):
                where += "; not finished"
        else:
            page, where = title, "not run yet"
        rows.append(f"| `{name}` | {page} | {where} |")
    return _table("name", "results", "where", rows=rows)


def beside(name: str, setting: str) -> str:
    """Return the rows of a setting of an experiment, the paper's figures beside ours."""
    found = [row for row in _rows(name) if row["setting"] == setting]
    if not found:
        return "Not run yet."
    ours, papers = (
        [column for column in _COLUMNS if any(column in row[of] for row in found)]
        for of in ("ours", "paper")
    )
    rows = [
        f"| {escaped(row['name'])} | {row['images']:,} "
        + "".join(f"| {_number(column, _value(row['ours'].get(column)))} " for column in ours)
        + "".join(f"| {_number(column, row['paper'].get(column))} " for column in papers)
        + "|"
        for row in found
    ]
    heads = [
        "images",
        *(_COLUMNS[column] for column in ours),
        *(f"the paper's {_COLUMNS[column]}" for column in papers),
    ]
    return _table("attack", *heads, rows=rows, right=len(heads))


def defenses(name: str) -> str:
    """Return the networks of an experiment under all attacks of the paper, and under all rows."""
    found = _rows(name)
    if not found:
        return "Not run yet."
    columns = [key for key in found[0]["ours"] if key.startswith("accuracy@")]
    shown = ("mean", *columns)
    models = {one["name"]: one["model"] for one in _content(name)["settings"]}
    rows = []
    for row in found:
        if row["attack"] is not None:
            continue
        over = {"All": "the paper's three", "all rows": "all rows"}[row["name"]]
        for network, images, clean, numbers in (
            (
                f"`{models[row['setting']]}`",
                f"{row['images']:,}",
                row["clean_accuracy"]["value"],
                row["ours"],
            ),
            (f"the paper's, for {row['setting']}", "", None, row["paper"]),
        ):
            values = {key: _value(numbers.get(key)) for key in shown}
            if any(value is not None for value in values.values()):
                cells = [_number("accuracy", clean), *(_number(*one) for one in values.items())]
                rows.append(f"| {network} | {over} | {images} | {' | '.join(cells)} |")
    heads = ("images", "clean %", "mean L2", *(f"% at {key.partition('@')[2]}" for key in columns))
    return _table("network", "attacks", *heads, rows=rows, right=len(heads))


def _rows(name: str) -> list[dict[str, Any]]:
    """Return the rows of the results of an experiment, none if it has not run."""
    return _content(name)["rows"] if name in dict(_result_pages()) else []


def _content(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RESULTS / name / "results.json").read_text())
    return content


def _value(number: dict[str, float] | float | None) -> float | None:
    return number["value"] if isinstance(number, dict) else number


def _number(column: str, value: float | None) -> str:
    if value is None:
        return ""
    if column == "queries":
        return f"{value:,.0f}"
    return f"{value:.4f}" if column in ("mean", "median") else f"{100 * value:.1f}"


def _machine(hardware: dict[str, Any]) -> str:
    return hardware.get("gpu") or f"{hardware['processor']}, {hardware['cores']} cores"


def _result_pages() -> list[tuple[str, Path]]:
    """Return the experiments whose results are there, and their pages."""
    pages = [(name, RESULTS / name / "page.md") for name in experiment_names()]
    return [(name, page) for name, page in pages if page.exists()]


def _parameter_table(name: str, keys: Any) -> str:
    signature, meanings = inspect.signature(FUNCTIONS[name]).parameters, _meanings(name)
    rows = [
        f"| `{key}` | {_default(signature[key])} | {meanings[key].replace('|', chr(92) + '|')} |"
        for key in keys
    ]
    return _table("parameter", "default", "meaning", rows=rows)


def _default(parameter: inspect.Parameter) -> str:
    return "required" if parameter.default is parameter.empty else f"`{parameter.default!r}`"


def _meanings(name: str) -> dict[str, str]:
    """Return the descriptions of the parameters of an attack, from its docstring."""
    found = _ARGUMENTS.search(inspect.getdoc(FUNCTIONS[name]) or "")
    meanings: dict[str, str] = {}
    for keys, text in _ARGUMENT.findall(found[1] if found else ""):
        elsewhere = _ELSEWHERE.fullmatch(text)
        source = _meanings(elsewhere[1]) if elsewhere else {}
        for key in keys.split(", "):
            meanings[key] = source.get(key, " ".join(text.split()))
    return meanings


def _table(*names: str, rows: list[str], right: int = 0) -> str:
    lines = ["---"] * (len(names) - right) + ["--:"] * right
    return "\n".join([f"| {' | '.join(names)} |", f"|{'|'.join(lines)}|", *rows])


PARTS: dict[str, Callable[..., str]] = {
    "beside": beside,
    "best": best,
    "claims": claims,
    "costs": costs,
    "defenses": defenses,
    "facts": facts,
    "overview": overview,
    "parameters": parameters,
    "results": results,
    "shared": shared_parameters,
    "verdicts": verdicts,
}
"""The kinds of generated parts."""


def updated(file: Path) -> str:
    """Return the text of a page with its generated parts as they should be."""

    def part(found: re.Match[str]) -> str:
        kind, *names = found[2].split(maxsplit=2)  # names of settings have spaces
        return f"{found[1]}\n{PARTS[kind](*names)}\n\n{found[3]}"

    return _PART.sub(part, file.read_text())


PAGES: dict[str, Callable[[], str]] = {
    str(file.relative_to(DOCS)): partial(updated, file)
    for file in sorted(DOCS.glob("**/*.md"))
    if _PART.search(file.read_text())
}
"""The pages with generated parts, by their names in this folder."""


def main() -> None:
    """Write the pages."""
    for name, page in PAGES.items():
        (DOCS / name).write_text(page())


if __name__ == "__main__":
    main()
