"""Sessions: the processes that trained a run, one after another if it was interrupted."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

logger = logging.getLogger(__name__)


def warn_of_changes(earlier: Sequence[Mapping[str, Any]], session: Mapping[str, Any]) -> None:
    """Warn of differences from the last session that may change how the weights are rounded.

    Args:
        earlier: The sessions so far, as `minnorm.runtime.provenance.session` describes them.
        session: This session.
    """
    if not earlier:
        return
    before, now = _decisive(earlier[-1]), _decisive(session)
    changes = [
        f"{name} {before.get(name)}, now {now[name]}"
        for name in now
        if now[name] != before.get(name)
    ]
    if changes:
        logger.warning(
            "the run started with %s: it continues, but its weights may differ in rounding from "
            "those of an uninterrupted run.",
            "; ".join(changes),
        )


def _decisive(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a session that decide how numbers are rounded."""
    hardware = session.get("hardware", {})
    return {
        "ranks": session.get("ranks"),
        **{name: hardware.get(name) for name in ("instructions", "threads", "gpu")},
        **session.get("versions", {}),
    }
