"""What is said of an error that somebody else's code raised."""


def in_short(error: Exception) -> str:
    """Gives an error in one line: its kind, and the beginning of its message."""
    return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"
