"""Sessions: the processes that worked on a run, one after another if it was interrupted."""

from collections.abc import Collection, Mapping, Sequence
from itertools import groupby
from typing import Any


def warning_of_changes(
    sessions: Sequence[Mapping[str, Any]], results: str, *, ignored: Collection[str] = ()
) -> str | None:
    """Return a warning if sessions differ in what may change the rounding of the results.

    A library whose version only some sessions name is not compared among the others.

    Args:
        sessions: The sessions of a run in their order, as `minnorm.runtime.provenance.session`
            describes them.
        results: What the run computes, for example `weights`.
        ignored: Names of parts that do not matter for this run, for example `ranks`.

    Returns:
        The warning, or `None` if nothing differs.
    """
    parts = [_decisive(session) for session in sessions]
    changes = []
    for name in dict.fromkeys(name for part in parts for name in part):
        values = [value for value, _ in groupby(str(part[name]) for part in parts if name in part)]
        if name not in ignored and len(values) > 1:
            changes.append(f"{name} {', then '.join(values)}")
    if not changes:
        return None
    return (
        f"The run was continued with other versions or settings ({'; '.join(changes)}): its "
        f"{results} may differ in rounding from those of an uninterrupted run."
    )


def _decisive(session: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parts of a session that decide how numbers are rounded."""
    hardware = session.get("hardware", {})
    return {
        "ranks": session.get("ranks"),
        "revision": session.get("revision"),
        **{name: hardware.get(name) for name in ("instructions", "threads", "gpu")},
        **session.get("versions", {}),
    }
