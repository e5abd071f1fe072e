"""The images in a folder: each real file once, whatever links lead to it."""

import os
from collections import Counter
from pathlib import Path

from minnorm.errors import InputError

ENDINGS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")
"""The endings of files that are read as images."""

_HIDDEN = "hidden"
_OUTSIDE = "outside the folders of the classes"
_OTHER = "files with other endings"
_IRREGULAR = "no regular files"
_BROKEN = "links that lead nowhere"
_REPEATED = "links to what is read already, or to a folder around it"


def list_images(folder: Path) -> tuple[dict[str, list[Path]], Counter[str]]:
    """List the images of each class in a folder with one folder per class.

    Returns:
        The paths of the images of each class, both in alphabetical order; and how many entries were
        left out, by the reason.

    Raises:
        InputError: If a folder cannot be read.
    """
    walk = _Walk(folder.resolve())
    for entry in _entries(folder):
        if entry.name.startswith("."):
            walk.skipped[_HIDDEN] += 1
        elif not entry.is_dir():
            broken = entry.is_symlink() and not (folder / entry.name).exists()
            walk.skipped[_BROKEN if broken else _OUTSIDE] += 1
        elif entry.is_symlink():
            walk.links.append((entry.name, folder / entry.name))
        else:
            walk.read(entry.name, folder / entry.name, walk.base / entry.name)
    for name, path in walk.links:  # grows by the links that are found in linked folders
        walk.follow(name, path)
    for paths in walk.files.values():
        paths.sort(key=os.path.split)
    return dict(sorted(walk.files.items())), walk.skipped


class _Walk:
    """The state of a walk through a folder.

    Links are followed after everything else, so that a link never takes an image from the class in
    whose folder it is.

    Attributes:
        base: The real path of the folder.
        files: The paths of the images of each class.
        skipped: How many entries were left out, by the reason.
        links: The links that are still to be followed, and their classes.
        known: The real paths of all files and folders that were read.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.files: dict[str, list[Path]] = {}
        self.skipped: Counter[str] = Counter()
        self.links: list[tuple[str, Path]] = []
        self.known: set[Path] = set()

    def read(self, name: str, path: Path, real: Path) -> None:
        """Add the images of a folder and of all folders in it to a class.

        Args:
            name: The class.
            path: The path of the folder, which may contain links.
            real: Its real path.
        """
        self.files.setdefault(name, [])
        folders = [(path, real)]
        for above, real_above in folders:  # grows by the folders that are found
            if real_above in self.known:
                self.skipped[_REPEATED] += 1
                continue
            self.known.add(real_above)
            for entry in _entries(above):
                inside, real_inside = above / entry.name, real_above / entry.name
                if entry.name.startswith("."):
                    self.skipped[_HIDDEN] += 1
                elif entry.is_symlink():
                    self.links.append((name, inside))
                elif entry.is_dir():
                    folders.append((inside, real_inside))
                else:
                    self._add(name, inside, real_inside, regular=entry.is_file())

    def follow(self, name: str, path: Path) -> None:
        """Add what a link leads to, unless it was read already."""
        try:
            real = path.resolve(strict=True)
        except (OSError, RuntimeError):  # a link that leads nowhere, or to itself
            self.skipped[_BROKEN] += 1
            return
        if real in self.known or real in (self.base, *self.base.parents):
            self.skipped[_REPEATED] += 1
        elif real.is_dir():
            self.read(name, path, real)
        else:
            self._add(name, path, real, regular=real.is_file())

    def _add(self, name: str, path: Path, real: Path, *, regular: bool) -> None:
        if path.suffix.lower() not in ENDINGS:
            self.skipped[_OTHER] += 1
        elif not regular:
            self.skipped[_IRREGULAR] += 1
        else:
            self.known.add(real)
            self.files[name].append(path)


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read: {error.strerror}.") from error
