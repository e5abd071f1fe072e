"""LaTeX: tables that compile, and text that is typeset as it is."""

import re

import pyarrow as pa
import pytest

from evaluation.record_tables import INF, table
from minnorm.report import label_runs, results, to_latex
from minnorm.report.tables.latex import escaped
from report.made_runs import made_run

HOSTILE = '\\input{/etc/passwd} 100% & $x_1^2$ #1 {~} <a|b> `q\' "r" --- [0.5ex]\n\\end{tabular}'


def unescaped(text: str) -> str:
    """Return what LaTeX shows for the commands and groups that `escaped` writes."""
    words = {
        "textbackslash": "\\", "textasciitilde": "~", "textasciicircum": "^", "textless": "<",
        "textgreater": ">", "textbar": "|", "textasciigrave": "`",
        "textquotesingle": "'",
    }  # fmt: skip
    text = text.replace(r"\symbol{34}", '"')
    pattern = r"\\([a-z]+)\{\}|\\([&%$#_{}])|(-)\{\}|\{([][])\}|(.)"
    return "".join(
        words[found[1]] if found[1] else next(filter(None, found.groups()))
        for found in re.finditer(pattern, text)
    )


def body(text: str) -> list[list[str]]:
    """Return the cells of the lines of a table, the header first."""
    lines = [line for line in text.splitlines() if line.endswith(r" \\")]
    return [line.removesuffix(r" \\").split(" & ") for line in lines]


def test_hostile_text_is_shown_as_it_is() -> None:
    text = escaped(HOSTILE)
    assert unescaped(text) == HOSTILE.replace("\n", "\\n")
    assert "\n" not in text
    commands = set(re.findall(r"\\([a-z]+)", text))
    assert all(name == "symbol" or name.startswith("text") for name in commands)
    assert "--" not in text
    assert not re.search(r"(?<!\\)[%&$#_^~]", text)


@pytest.mark.parametrize("text", ["ddn", "mnist-cnn", "pgd(epsilon=8/255, steps=5)", "größer"])
def test_usual_names_stay_as_they_are(text: str) -> None:
    assert escaped(text) == text


def test_a_table_of_one_run() -> None:
    records = pa.concat_tables(
        [table([0.0, 1.0, 2.0, INF]), table([0.0, 0.2, INF, INF], attack="pgd", radius_limit=0.25)]
    )
    text = to_latex(results(label_runs([made_run(records)]), epsilons=(0.5,)))
    lines = text.splitlines()
    assert lines[0] == "% 4 samples, clean accuracy 75.00 %, clean errors: 1 of 4"
    assert r"% Needs \usepackage{booktabs}." in lines
    start = lines.index(r"\begin{tabular}{lrrrrrrr}")
    assert all(line.startswith("%") for line in lines[:start])
    assert [lines[place] for place in (start + 1, start + 3, -2, -1)] == [
        r"\toprule", r"\midrule", r"\bottomrule", r"\end{tabular}",
    ]  # fmt: skip
    header, ddn, pgd, worst = body(text)
    assert header == [
        "attack", r"success \%", r"mean $\ell_2$", r"median $\ell_2$", r"acc. \% at 0.5",
        "gradients", "forwards", "seconds",
    ]  # fmt: skip
    assert ddn[:4] == [
        "ddn",
        r"66.7 {\scriptsize [20.8, 93.9]}",
        r"1.5000 {\scriptsize [0.00, 51.34]}",
        r"2.0000 {\scriptsize [0.00, $\infty$]}",
    ]
    assert pgd[3:5] == [r"$>$0.25 {\scriptsize [0.00, $>$0.25]}", "--"]
    assert worst[0] == "worst case"


def test_runs_are_apart_and_a_name_breaks_nothing() -> None:
    records = table([1.0, 2.0], attack=HOSTILE, norm="linf")
    runs = label_runs([made_run(records, model=HOSTILE), made_run(table([1.0]), model="[b] & c")])
    text = to_latex(results(runs))
    assert text.count("\\midrule\n") == 2
    assert text.count(r"\end{tabular}") == 1
    header, hostile, other = body(text.replace(r"\&", "AND"))
    assert header[:3] == ["run", "attack", "norm"]
    assert len(header) == len(hostile) == len(other)
    assert hostile[2] == r"$\ell_\infty$"
    assert other[0] == "{[}b{]} AND c"
