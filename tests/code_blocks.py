"""The code blocks of a page: how they are read, and what is checked of those that are not run.

A block of Python or shell is run by the tests. Others say so in a comment on the line before:

    <!-- not run: needs the network -->     checked without running it
    <!-- output -->                         the output of the block before, exactly
    <!-- output: numbers differ -->         the same, whatever its numbers and the width of a table

In an output, a line `...` stands for any number of lines. A block whose title is the name of a file
is that file.
"""

import re
import shlex
import subprocess
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from minnorm.cli.main import app

_REASON = re.compile(r"needs \w.+|takes (minutes|hours|days)|is an excerpt")
"""Why a block may not be run."""

LANGUAGES = {"python", "sh", "text", "yaml", "json", "toml", "xml", "diff", "bibtex"}

OUTPUT, OUTPUT_WITHOUT_NUMBERS = "output", "output: numbers differ"

_FENCE = re.compile(r"^(?P<indent> *)(?P<ticks>```+)(?P<language>\w*)(?P<attributes>.*)$")
_COMMENT = re.compile(r"^ *<!-- (.+?) -->$")
_TITLE = re.compile(r'title="([^"]*)"')
_FILE = re.compile(r"[\w./-]+\.\w+")
_ASSIGNMENT = re.compile(r"\w+=\S*")
_OPERATORS = {"|", "||", "&&", ";", "&", ">", ">>", "<", "2>"}


@dataclass(frozen=True)
class Block:
    """A code block of a page.

    Attributes:
        line: The number of its first line.
        language: The word after the fence; empty without one.
        code: Its content, without the indentation of the fence.
        title: Its title, empty without one.
        marker: The text of the comment on the line before, empty without one.
    """

    line: int
    language: str
    code: str
    title: str
    marker: str

    @property
    def file(self) -> str | None:
        """The name of the file that the block is; `None` if it is none."""
        return self.title if _FILE.fullmatch(self.title) else None

    @property
    def reason(self) -> str | None:
        """Why it is not run; `None` if the comment before it does not say so."""
        return self.marker.removeprefix("not run: ") if self.marker.startswith("not run") else None

    @property
    def is_run(self) -> bool:
        """Whether the tests run it."""
        code = self.language in ("python", "sh")
        return code and self.file is None and self.reason is None


def read_blocks(text: str) -> list[Block]:
    """Return the code blocks of a page, in order."""
    blocks = []
    lines = iter(enumerate(text.splitlines(), 1))
    previous = ""
    for number, line in lines:
        opening = _FENCE.match(line)
        if opening is None:
            previous = line if line.strip() else previous
            continue
        comment, title = _COMMENT.match(previous), _TITLE.search(opening["attributes"])
        code = "\n".join(_content(opening["indent"] + opening["ticks"], lines))
        blocks.append(
            Block(
                line=number + 1,
                language=opening["language"],
                code=textwrap.dedent(code) + "\n",
                title=title[1] if title else "",
                marker=comment[1] if comment else "",
            )
        )
        previous = ""
    return blocks


def _content(closing: str, lines: Iterator[tuple[int, str]]) -> Iterator[str]:
    for _, line in lines:
        if line.rstrip() == closing:
            return
        yield line
    raise ValueError(f"a code block is not closed by {closing!r}")


def complaints(block: Block) -> list[str]:
    """Return what is wrong with a block, as far as one sees without running it."""
    found = []
    if block.language not in LANGUAGES:
        found.append(f"the language {block.language!r} is not one of {sorted(LANGUAGES)}")
    if block.reason is not None and not _REASON.fullmatch(block.reason):
        found.append(f"{block.reason!r} is no reason not to run it: {_REASON.pattern}")
    if block.language == "python":
        try:
            compile(block.code, f"line {block.line}", "exec")
        except SyntaxError as error:
            found.append(str(error))
    if block.language == "sh":
        parsed = subprocess.run(
            ["bash", "-n"], input=block.code, text=True, capture_output=True, check=False
        )
        found += [parsed.stderr] if parsed.returncode else []
        found += [one for words in commands(block.code) for one in _misused(words)]
    return found


def commands(script: str) -> Iterator[list[str]]:
    """Return the words after `minnorm` of each such command in a shell script."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
        lexer.wordchars += "$@%[]{}:!,+^"
        lexer.commenters = "" if "#" not in line else "#"
        command: list[str] = []
        for word in [*lexer, ";"]:
            if word in _OPERATORS:
                yield from _words_of_minnorm(command)
                command = []
            else:
                command.append(word)


def _words_of_minnorm(command: list[str]) -> Iterator[list[str]]:
    words = [*command]
    while words and _ASSIGNMENT.fullmatch(words[0]):
        words.pop(0)
    if words and Path(words[0]).name == "minnorm":
        yield words[1:]
    elif "-m" in words and words[words.index("-m") + 1 :][:1] == ["minnorm"]:
        yield words[words.index("-m") + 2 :]


def _misused(words: list[str]) -> Iterator[str]:
    """Yield why the command line does not take these words after `minnorm`."""
    if any("$" in word or word == "..." for word in words):
        return
    command: Any = typer.main.get_command(app)
    usage_error: Any = typer.BadParameter.__base__
    context = None
    try:
        while hasattr(command, "resolve_command"):
            context = command.make_context("minnorm", [*words], parent=context)
            left = [*context._protected_args, *context.args]
            _, command, words = command.resolve_command(context, left)
        command.make_context("minnorm", [*words], parent=context)
    except usage_error as error:
        yield f"minnorm {shlex.join(words)}: {error.format_message()}"
    except typer.Exit:
        return  # --help or --version


def same_output(found: str, expected: str, *, numbers: bool) -> bool:
    """Return whether an output is as the page shows it.

    Args:
        found: The output.
        expected: The text on the page.
        numbers: Whether the numbers and the widths of tables have to be the same.
    """
    given, shown = (_lines(text, numbers=numbers) for text in (found, expected))
    pattern = "".join(".*" if line == "..." else re.escape(f"{line}\n") for line in shown)
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in given), re.DOTALL) is not None


def _lines(text: str, *, numbers: bool) -> list[str]:
    lines = [line.rstrip() for line in text.strip("\n").splitlines()]
    if numbers:
        return lines
    bare = (re.sub(r"[\d.,]*\d|\binf\b|\bnan\b", "0", line) for line in lines)
    return [" ".join(re.sub(r"[━─┃│┏┓┗┛┡┩┬┴┼╇┳└┘┌┐├┤]+", " ", line).split()) for line in bare]
