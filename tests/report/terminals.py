"""What a terminal shows."""

import io

from rich.console import Console, RenderableType


def in_terminal(shown: RenderableType, width: int = 200) -> str:
    """Return the text of a table, or of something else, in a terminal of this width.

    The console is a plain one, as users of the tables have it: it takes brackets for markup.
    """
    file = io.StringIO()
    Console(file=file, width=width).print(shown)
    return file.getvalue()
