"""The folder of a training run: its files, and which run it belongs to."""

from pathlib import Path
from types import TracebackType
from typing import Self

from filelock import FileLock

from minnorm.errors import InputError, RunConflictError, one_line
from minnorm.files import LOCK, lock_folder, remove_partial_files, write_atomically
from minnorm.training import checkpoints
from minnorm.training.recipe import Recipe, read_as_text
from minnorm.training.recipe_text import read_text

_RECIPE = "recipe.json"
_ELSEWHERE = "name another folder with --out in the shell, out= in Python"


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

    def check(self, recipe: Recipe, *, resume: bool) -> None:
        """Check that a run of this recipe may use the folder; nothing is written.

        Recipes are compared as text: nothing that the one in the folder names is loaded.

        Args:
            recipe: The recipe of the run.
            resume: Whether a run of this recipe may be continued.

        Raises:
            InputError: If the folder is a file.
            RunConflictError: If the folder holds another run, or this one without `resume`, or
                files that the run would overwrite.
        """
        folder = self.path
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder} is a file; expected the folder of the run: {_ELSEWHERE}.")
        earlier, results = _recipe_in(folder), _results_in(folder, recipe)
        if earlier is None and checkpoints.exist(folder):
            raise RunConflictError(
                f"{folder} holds checkpoints of a run whose {_RECIPE} is missing: {_ELSEWHERE}, or "
                "delete it."
            )
        if earlier is None and results:
            raise RunConflictError(
                f"{folder} holds {' and '.join(results)}, but no {_RECIPE} of a run: they would be "
                f"overwritten. To keep them, {_ELSEWHERE}."
            )
        if earlier is not None and (results or checkpoints.exist(folder)):
            _check_same_recipe(folder, earlier, recipe)
            if not resume:
                raise RunConflictError(
                    f"{folder} holds a run of this recipe: continue it with --resume in the shell, "
                    f"resume=True in Python; or {_ELSEWHERE}, or delete it."
                )

    def claim(self, recipe: Recipe, *, resume: bool) -> None:
        """Lock the folder, check it, and write the recipe into it if it holds no run.

        After a run that ended before its first epoch, another run may use the folder.

        Args:
            recipe: See `check`.
            resume: See `check`.

        Raises:
            InputError: See `check`.
            RunConflictError: See `check`; or if another process works in the folder.
        """
        self.check(recipe, resume=resume)  # a folder that is refused gets no lock
        self.lock()
        self.check(recipe, resume=resume)
        if _results_in(self.path, recipe) or checkpoints.exist(self.path):
            remove_partial_files(self.path)
            return
        text = recipe.model_dump_json(indent=2) + "\n"
        write_atomically(self.path / _RECIPE, lambda path: path.write_text(text))


def _results_in(folder: Path, recipe: Recipe) -> list[str]:
    """Return the names of the files in a folder that a run of the recipe writes."""
    files = [
        weights_file(folder, recipe),
        last_weights_file(folder, recipe),
        card_file(folder, recipe),
        folder / checkpoints.LOG,
    ]
    return [file.name for file in files if file.exists()]


def _recipe_in(folder: Path) -> Recipe | None:
    file = folder / _RECIPE
    if not file.exists():
        return None
    try:
        return read_as_text(read_text(file))
    except ValueError as error:
        raise RunConflictError(
            f"{file} is damaged, or was written by another version ({one_line(error)}): "
            f"{_ELSEWHERE}, or delete {folder}."
        ) from error


def _check_same_recipe(folder: Path, earlier: Recipe, recipe: Recipe) -> None:
    # In a recipe that was written before a setting existed, the setting has its default.
    old, new = earlier.model_dump(), recipe.model_dump()
    differences = [
        f"{name}: {old[name]!r} there, {new[name]!r} now" for name in new if old[name] != new[name]
    ]
    if differences:
        raise RunConflictError(
            f"{folder} holds a run of another recipe:",
            *(f"  {difference}" for difference in differences),
            f"To keep it, {_ELSEWHERE}; or delete it.",
        )
