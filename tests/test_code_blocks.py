"""How code blocks of pages are read and checked."""

import pytest

from code_blocks import commands, complaints, read_blocks, same_output

PAGE = """
```python title="mine.py"
x = 1
```

<!-- not run: needs a GPU -->
```sh
minnorm evaluate zoo:mnist-cnn 'mnist[:10]' \\
    --out runs/x --device cuda
```

1. A list

   ```python
   if x:
       print(x)
   ```

<!-- output -->

```text
1
```
"""


def test_blocks_have_their_language_title_marker_and_code() -> None:
    file, command, indented, output = read_blocks(PAGE)
    assert (file.file, file.is_run, file.code) == ("mine.py", False, "x = 1\n")
    assert (command.reason, command.is_run, command.line) == ("needs a GPU", False, 8)
    assert (indented.code, indented.is_run) == ("if x:\n    print(x)\n", True)
    assert (output.marker, output.is_run, output.code) == ("output", False, "1\n")
    assert not [one for block in read_blocks(PAGE) for one in complaints(block)]


def test_a_block_that_is_not_closed_is_an_error() -> None:
    with pytest.raises(ValueError, match="not closed"):
        read_blocks("```python\nx = 1\n")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("```pyhton\nx\n```", "'pyhton' is not one of"),
        ("<!-- not run: too lazy -->\n```sh\nls\n```", "'too lazy' is no reason"),
        ("<!-- not run: needs a GPU -->\n```python\nx = = 1\n```", "invalid syntax"),
        ("```sh\nif true\n```", "syntax error"),
        ("```sh\nminnorm evaluate a b --out c --epsilonn 1\n```", "--epsilonn"),
        ("```sh\nFOO=1 minnorm evalute\n```", "evalute"),
        ("```sh\ntrue && torchrun --nproc-per-node 2 -m minnorm train\n```", "Missing argument"),
    ],
)
def test_what_is_wrong_with_a_block_is_seen_without_running_it(text: str, complaint: str) -> None:
    (block,) = read_blocks(text)
    assert complaint in "\n".join(complaints(block))


def test_the_words_of_minnorm_are_found_in_a_script() -> None:
    script = "A=1 minnorm x 'a b' | tail\nls; .venv/bin/minnorm y # minnorm z\nls minnorm\n"
    assert list(commands(script)) == [["x", "a b"], ["y"]]


def test_an_output_may_leave_out_lines_and_numbers() -> None:
    assert same_output("a\nb\nc\n", "a\n...\nc\n", numbers=True)
    assert not same_output("a\nb\nd\n", "a\n...\nc\n", numbers=True)
    assert not same_output("a 1.5\n", "a 1.7\n", numbers=True)
    assert same_output("│a │ 1,001.5│\n", "│ a  │ 0.7 │\n", numbers=False)
    assert not same_output("│ a │ 1.5 │\n", "│ b │ 1.5 │\n", numbers=False)
