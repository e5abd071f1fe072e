"""LaTeX: tables with the package booktabs, in which everything from outside is escaped."""

import re

from minnorm.report.tables.results import Results
from minnorm.report.tables.terminal import Cell, ResultColumn, result_columns, row_groups
from minnorm.report.texts import AT_MOST, INFINITE
from minnorm.runtime.terminal import printable

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "`": r"\textasciigrave{}",
    '"': r"\symbol{34}",  # its name works in some font encodings only
    "'": r"\textquotesingle{}",
    "[": "{[}",  # one after a line break would be read as the length of the break
    "]": "{]}",
    **{letter: f"\\{letter}" for letter in "&%$#_{}"},
}

_NORMS = {"l0": r"$\ell_0$", "l1": r"$\ell_1$", "l2": r"$\ell_2$", "linf": r"$\ell_\infty$"}

_ANY_SPECIAL = re.compile("|".join(map(re.escape, _SPECIAL)))

_DASH = re.compile("-(?=-)")
"""A hyphen that would become a dash with the next one."""


def escaped(text: str) -> str:
    """Return a text that LaTeX typesets as it is, in one line."""
    text = _ANY_SPECIAL.sub(lambda found: _SPECIAL[found[0]], printable(text))
    return _DASH.sub("-{}", text)


def to_latex(results: Results) -> str:
    r"""Return results as a `tabular` for `\input` inside a `table`; it needs the package booktabs.

    Heading and notes are comments before it, from which a caption can be made.

    Args:
        results: The results, see `minnorm.report.results`.
    """
    columns = result_columns(results)
    comments = [results.heading, *results.notes, r"Needs \usepackage{booktabs}."]
    sides = "".join("l" if column.is_text else "r" for column in columns)
    groups = [
        "".join(_line([_cell(column, column.cell(row)) for column in columns]) for row in group)
        for group in row_groups(results)
    ]
    return "".join(
        [
            *(f"% {printable(comment)}\n" for comment in comments if comment),
            f"\\begin{{tabular}}{{{sides}}}\n\\toprule\n",
            _line([_name(column.name) for column in columns]),
            "\\midrule\n",
            "\\midrule\n".join(groups),
            "\\bottomrule\n\\end{tabular}\n",
        ]
    )


def _line(cells: list[str]) -> str:
    return f"{' & '.join(cells)} \\\\\n"


def _name(text: str) -> str:
    """Return a text of this package, in which norms are formulas."""
    return " ".join(_NORMS.get(word, escaped(word)) for word in text.split(" "))


def _cell(column: ResultColumn, cell: Cell) -> str:
    """Return a cell with its interval behind it, in smaller letters."""
    if column.is_text:
        return _name(cell.text) if column.name == "norm" else escaped(cell.text)
    number = _number(cell.text)
    return f"{number} {{\\scriptsize {_number(cell.interval)}}}" if cell.interval else number


def _number(text: str) -> str:
    """Return a number, or an interval in brackets, which needs no escapes but signs of its own."""
    if text == "-":
        return "--"
    text = text.replace(AT_MOST, r"$\leq$")
    return text.replace("> ", "$>$").replace(INFINITE, r"$\infty$")
