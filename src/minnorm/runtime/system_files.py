"""Files in which Linux describes the system and this process."""

from pathlib import Path

_GROUPS = Path("/sys/fs/cgroup")


def read_lines(path: Path) -> list[str]:
    """Return the lines of a file; none if it cannot be read."""
    try:
        return path.read_text().splitlines()
    except (OSError, UnicodeDecodeError):
        return []


def control_groups(controller: str = "") -> list[Path]:
    """Return the folders of this process's control group and of its parent groups.

    Args:
        controller: The name of a controller of version 1, for example `cpu`; by default the groups
            of version 2, which have no controllers of their own.
    """
    root = _GROUPS / controller
    fields = [line.split(":", 2) for line in read_lines(Path("/proc/self/cgroup"))]
    own = [
        path.removeprefix("/")
        for _, names, path in (field for field in fields if len(field) == 3)
        if controller in names.split(",")
    ]
    folder = root / own[0] if own else root
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]
