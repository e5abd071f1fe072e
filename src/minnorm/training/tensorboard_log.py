"""The log for TensorBoard, written where TensorBoard is installed."""

import importlib.util
import logging
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

logger = logging.getLogger(__name__)


class TensorBoardLog:
    """The event files of a run; without TensorBoard nothing is written.

    Args:
        folder: Their folder, created at the first epoch.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writer: SummaryWriter | None = None

    def write(self, measured: dict[str, float]) -> None:
        """Write the measurements of an epoch; a file that cannot be written causes a warning."""
        if importlib.util.find_spec("tensorboard") is None:
            return
        from torch.utils.tensorboard import SummaryWriter

        epoch = int(measured["epoch"])
        try:
            if self._writer is None:
                self._writer = SummaryWriter(str(self._folder), purge_step=epoch)
            for name, value in measured.items():
                self._writer.add_scalar(name, value, epoch)
            self._writer.flush()
        except OSError as error:
            logger.warning("TensorBoard's log was not written (%s)", error)

    def close(self) -> None:
        """Close the files."""
        if self._writer is not None:
            with suppress(OSError):  # `write` warned of it
                self._writer.close()
