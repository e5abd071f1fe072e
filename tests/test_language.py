"""The language of the project: phrases that a reader stumbles over do not come back."""

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

PHRASES = {
    r"\bthere (is|are):": "write 'Available: a, b'",
    r"\bmend(s|ed|ing)?\b": "write 'fix'",
    r"\bon the mean\b": "write 'on average'",
    r"\bbelongs? into\b": "write 'belongs in'",
    r"\b(is|are) told\b": "say what is passed or reported",
    r"\bbelieve[sd]?\b": "say what is checked",
    r"\b(loyal|rescue[sd]?)\b": "say what it is",
    r"\banew\b": "write 'again'",
    r"\b(asks?|asked) (a|an|the|it|about)\b": "say what is called, evaluated or requested",
    r"\bwanted (class|classes|ones)\b": "write 'target class'",
    r"\blikeliest\b": "write 'most likely', or say that the logit is the largest",
    r"\bgradients? to (the|its|their) inputs?\b": "write 'input gradients'",
    r"\b(colour|behaviour|neighbour|favour|centre|grey|artefact)": "use American spelling",
    r"\b\w*(normalis|initialis|summaris|serialis|recognis|minimis|maximis)": (
        "use American spelling"
    ),
    r"\boptimis(e|ation|ing)": "use American spelling",
    r"\b(labelled|labelling|modelled|cancelled|travelled)\b": "use American spelling",
}
"""Phrases that do not occur, and what to write instead."""

OPENINGS = re.compile(r"(Gives|Tells|Lets|Says|Asks|Is told|Returns|Makes) ")
"""How no docstring opens: the first line is imperative or a noun phrase."""

POINTERS = re.compile(r"#\s*\(?(the same|as above|see above|ditto|likewise)\W*$", re.IGNORECASE)
"""Comments that only point elsewhere."""

CODE_BLOCK = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/**/*.md"),
        *ROOT.glob("experiments/*.md"),
        *ROOT.glob(".github/**/*.md"),
    ]
)
MODULES = sorted(
    file
    for folder in ("src", "tests", "benchmarks", "docs", "experiments")
    for file in ROOT.glob(f"{folder}/**/*.py")
    if ".venv" not in file.parts and file != Path(__file__)
)


def _phrases(text: str) -> list[str]:
    """Return what a text should not say, with what to write instead."""
    joined = " ".join(text.split())
    return [
        f"{found[0]!r}: {advice}"
        for pattern, advice in PHRASES.items()
        if (found := re.search(pattern, joined, re.IGNORECASE))
    ]


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield getattr(node, "lineno", 1), ast.get_docstring(node) or ""


def _comments(source: str) -> Iterator[tuple[int, str]]:
    """Yield each comment, those on lines one after another as one."""
    start, lines = 0, list[str]()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT:
            continue
        if token.start[0] != start + len(lines):
            yield start, " ".join(lines)
            start, lines = token.start[0], []
        lines.append(token.string if not lines else token.string.lstrip("# "))
    yield start, " ".join(lines)


def _complaints_of_module(source: str) -> list[str]:
    tree = ast.parse(source)
    strings = [
        (node.lineno, node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]
    comments = list(_comments(source))
    found = [(n, phrase) for n, text in [*strings, *comments] for phrase in _phrases(text)]
    found += [
        (n, f"{match[0]!r}: start with an imperative or a noun")
        for n, text in _docstrings(tree)
        if (match := OPENINGS.match(text))
    ]
    found += [
        (n, f"{text!r}: say it, or leave it out") for n, text in comments if POINTERS.match(text)
    ]
    return [f"line {n}: {complaint}" for n, complaint in sorted(found)]


def test_every_module_is_in_plain_english() -> None:
    found = {
        str(file.relative_to(ROOT)): complaints
        for file in MODULES
        if (complaints := _complaints_of_module(file.read_text()))
    }
    assert not found, json.dumps(found, indent=2)


def test_every_page_is_in_plain_english() -> None:
    found = {
        str(file.relative_to(ROOT)): phrases
        for file in PAGES
        if (phrases := _phrases(CODE_BLOCK.sub("", file.read_text())))
    }
    assert not found, json.dumps(found, indent=2)


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ('"""Gives the margin."""', 1),
        ('def f():\n    """Tells whether."""', 1),
        ("x = 1\ny = 2  # the same", 2),
        ("raise ValueError(f'{x} is unknown. There is: {y}')", 1),
        ("x = 'normalisation belongs ' 'into the model'", 1),
        ("# It holds\n# on the\n# mean.\nx = 1", 1),
    ],
)
def test_what_reads_badly_is_found(source: str, line: int) -> None:
    complaints = _complaints_of_module(source)
    assert complaints
    assert all(complaint.startswith(f"line {line}: ") for complaint in complaints)


def test_plain_english_passes() -> None:
    source = '"""Return the gray levels."""\n# Fix the grid, as given.\nx = "Available: a, b"'
    assert not _complaints_of_module(source)
