"""The terminal: what comes from outside cannot control it, and a closed output ends quietly."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from minnorm.runtime.terminal import Terminal, output_width, printable, printable_lines

HOSTILE = "a\x1b[31mb\rc\x07d\u202ee\nf\tg\x9bh\u2066i\udcffj\u200bk"
ESCAPED = r"a\x1b[31mb\rc\x07d\u202ee\nf\tg\x9bh\u2066i\udcffj\u200bk"


def test_all_that_is_not_printed_is_escaped() -> None:
    assert printable(HOSTILE) == ESCAPED
    assert printable(ESCAPED) == ESCAPED
    assert printable("Grüße, 世界 [/x] \\n") == "Grüße, 世界 [/x] \\n"
    assert printable_lines("a\x1b\nb\r\n") == "a\\x1b\nb\\r\n"


def _in_a_table(text: str) -> Table:
    table = Table(text, title=printable(text), caption=printable(text))
    table.add_row(text)
    return table


@pytest.mark.parametrize(
    "wrap", [str, Text, _in_a_table, lambda text: Text(f"x{text}y")],
    ids=["string", "text", "table", "part of a text"],
)  # fmt: skip
@pytest.mark.parametrize("text", [HOSTILE, "[/x]", "[red]a[/red] :smile:", "[link=x]a"])
def test_no_object_sends_control_characters_or_markup(
    wrap: Callable[[str], object], text: str
) -> None:
    file = io.StringIO()
    Terminal(file=file, width=200, force_terminal=True, color_system="truecolor").print(wrap(text))
    shown = file.getvalue()
    assert text.replace("\n", "") not in shown or text.isprintable()
    for control in ("\x1b[31", "\r", "\x07", "\u202e", "\x9b", "\u2066", "\u200b", "\t"):
        assert control not in shown
    if text.isprintable():
        assert text in shown


def test_a_string_is_one_line() -> None:
    file = io.StringIO()
    Terminal(file=file, width=200).print("there is no file a\nerror: b")
    assert file.getvalue() == "there is no file a\\nerror: b\n"


def test_a_spinner_shows_its_text_as_it_is() -> None:
    file = io.StringIO()
    with Terminal(file=file, width=80, force_terminal=True).status("fetching [/x]\x1b[31m"):
        pass
    assert "fetching [/x]\\x1b[31m" in file.getvalue()


def test_tables_of_logs_are_wide_and_those_of_terminals_fit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert output_width() == 140
    monkeypatch.setattr(sys, "stdout", None)
    assert output_width() == 140
    terminal = io.StringIO()
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr(sys, "stdout", terminal)
    assert output_width() is None


PROGRAM = """
import sys
from minnorm.runtime.terminal import Terminal, open_closed_streams
open_closed_streams()
output = Terminal()
for _ in range(2000):
    output.print("a line \\xe9")
print("the end", file=sys.stderr)
"""


def _run(*, closed: bool = False, environment: dict[str, str] | None = None) -> tuple[int, str]:
    shell = f'"{sys.executable}" -c "$PROGRAM" {">&-" if closed else "| head -n 1"}'
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {shell}"], check=False, capture_output=True, text=True,
        env={**os.environ, "PROGRAM": PROGRAM, **(environment or {})}, timeout=60,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_a_reader_that_goes_away_ends_the_output_quietly() -> None:
    assert _run() == (0, "a line é\nthe end\n")


def test_a_closed_output_is_no_error() -> None:
    assert _run(closed=True) == (0, "the end\n")


def test_a_terminal_without_utf8_shows_escapes() -> None:
    environment = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0"}
    assert _run(environment=environment) == (0, "a line \\xe9\nthe end\n")


def test_a_closed_output_is_not_the_next_file_that_is_opened(tmp_path: Path) -> None:
    program = (
        "from minnorm.runtime.terminal import open_closed_streams\n"
        "open_closed_streams()\n"
        f"file = open({str(tmp_path / 'file')!r}, 'w')\n"
        "assert file.fileno() > 2, file.fileno()"
    )
    shell = f'"{sys.executable}" -c "$PROGRAM" >&- 2>&-'
    environment = {**os.environ, "PROGRAM": program}
    assert subprocess.run(["bash", "-c", shell], env=environment, check=False).returncode == 0
