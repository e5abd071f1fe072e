"""The folder of a training run: its files, and which run it belongs to."""

from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from minnorm.errors import InputError, RunConflictError, one_line
from minnorm.files import LOCK, lock_folder, remove_partial_files, write_atomically
from minnorm.training import checkpoints
from minnorm.training.recipe import Recipe

_RECIPE = "recipe.json"


def weights_file(folder: Path, recipe: Recipe) -> Path:
    """Return the file of the weights of the best epoch."""
    return folder / f"{recipe.name}.safetensors"


def last_weights_file(folder: Path, recipe: Recipe) -> Path:
    """Return the file of the weights of the last epoch."""
    return folder / f"{recipe.name}-last.safetensors"


def card_file(folder: Path, recipe: Recipe) -> Path:
    """Return the file of the card of the trained network."""
    return folder / f"{recipe.name}.json"


class RunFolder:
    """A folder in which one process at a time trains; leaving the context unlocks it.

    Args:
        path: The folder; created when it is locked or claimed.

    Attributes:
        path: As given.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = FileLock(path / LOCK, timeout=0)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._lock.release(force=True)

    def lock(self) -> None:
        """Create the folder if it does not exist, and lock it.

        Raises:
            RunConflictError: If another process works in it.
        """
        lock_folder(self._lock, self.path)

    def claim(self, recipe: Recipe, *, resume: bool) -> None:
        """Lock the folder, and write the recipe into it or check that it holds this run.

        After a run that ended before its first epoch, another run may use the folder.

        Args:
            recipe: The recipe of the run.
            resume: Whether a run of this recipe may be continued.

        Raises:
            InputError: If the folder is a file.
            RunConflictError: If the folder holds another run, or this one without `resume`, or
                files that the run would overwrite; or if another process works in it.
        """
        folder = self.path
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file: --out expects the folder of the run.")
        files = [
            weights_file(folder, recipe),
            last_weights_file(folder, recipe),
            card_file(folder, recipe),
            folder / checkpoints.LOG,
        ]
        results = [file.name for file in files if file.exists()]
        if results and not (folder / _RECIPE).exists() and not checkpoints.exist(folder):
            raise RunConflictError(
                f"{folder} holds {' and '.join(results)}, but no recipe.json of a run: they would "
                "be overwritten. Name another folder with --out."
            )
        self.lock()
        earlier = _recipe_in(folder)
        if earlier is None and checkpoints.exist(folder):
            raise RunConflictError(
                f"{folder} holds checkpoints of a run whose recipe.json is missing: name another "
                "folder with --out, or delete it."
            )
        if earlier is not None and (results or checkpoints.exist(folder)):
            _check_same_recipe(folder, earlier, recipe)
            if not resume:
                raise RunConflictError(
                    f"{folder} holds a run of this recipe: continue it with --resume, name another "
                    "folder with --out, or delete it."
                )
            remove_partial_files(folder)
            return
        text = recipe.model_dump_json(indent=2) + "\n"
        write_atomically(folder / _RECIPE, lambda path: path.write_text(text))


def _recipe_in(folder: Path) -> Recipe | None:
    file = folder / _RECIPE
    if not file.exists():
        return None
    try:
        return Recipe.model_validate_json(file.read_text())
    except ValueError as error:
        raise RunConflictError(
            f"{file} is damaged, or was written by another version ({one_line(error)}): name "
            f"another folder with --out, or delete {folder}."
        ) from error


def _check_same_recipe(folder: Path, earlier: Recipe, recipe: Recipe) -> None:
    # Compared as recipes: in one that was written before a setting existed, it has its default.
    old, new = earlier.model_dump(), recipe.model_dump()
    names = [name for name in new if old[name] != new[name]]
    if names:
        differences = "\n  ".join(f"{name}: {old[name]} there, {new[name]} now" for name in names)
        raise RunConflictError(
            f"{folder} holds a run of another recipe:\n  {differences}\nName another folder with "
            "--out, or delete it."
        )
