"""The words that `accelerate` takes: they name the techniques, and repeat an earlier choice."""

from minnorm.errors import InputError

TECHNIQUES = ("folded", "narrow", "channels-last", "autocast", "bfloat16", "compiled")
"""The techniques, in the order in which they are applied."""

COARSE_TECHNIQUES = ("autocast", "bfloat16")
"""The techniques of the coarse classifier; they exclude each other."""

AUTO, OFF = "auto", "off"
"""Techniques chosen by measuring; no copy of the model at all."""

PLAIN = "plain"
"""A copy with frozen parameters, and no technique."""


def check_use(use: object, argument: str) -> list[str]:
    """Check the words for `accelerate`, before any model is loaded, and return them.

    Args:
        use: The words, joined by `+`.
        argument: The name of the user's argument, for the message.

    Raises:
        InputError: If a word is unknown, or two words exclude each other.
    """
    if not isinstance(use, str):
        raise InputError(f"{argument}={use!r}: expected words, for example {AUTO!r} or {OFF!r}.")
    words = [word.strip() for word in use.split("+")]
    single = {AUTO, OFF, PLAIN}
    unknown = [word for word in words if word not in TECHNIQUES and word not in single]
    if unknown or (len(words) > 1 and single & set(words)):
        raise InputError(
            f"{argument}={use!r}: expected {AUTO!r}, {OFF!r}, {PLAIN!r}, or some of "
            f"{', '.join(TECHNIQUES)} joined by '+'."
        )
    if set(COARSE_TECHNIQUES) <= set(words):
        raise InputError(f"{argument}={use!r}: choose one of 'autocast' and 'bfloat16'.")
    return words
