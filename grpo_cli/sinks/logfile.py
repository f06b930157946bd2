"""A file that is appended to for as long as that works, and given up with one warning after."""

import logging
from pathlib import Path

log = logging.getLogger(__name__)


class LogFile:
    """Append bytes; the first OSError (disk full, folder gone) closes the file for good.

    Args:
        path: file to append to; it is made when missing, its folder is not.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = None
        try:
            self._file = path.open("ab")
        except OSError as error:
            self._give_up(error)

    def write(self, data: bytes) -> None:
        """Append and flush, so that a reader beside us, or a crash, finds whole records."""
        if self._file is None:
            return
        try:
            self._file.write(data)
            self._file.flush()
        except OSError as error:
            self._give_up(error)

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        file, self._file = self._file, None
        if file is not None:
            file.close()

    def _give_up(self, error: OSError) -> None:
        file, self._file = self._file, None
        log.warning(
            "cannot write %s (%s); training goes on without it",
            self._path,
            error.strerror or error,
        )
        if file is not None:
            try:
                file.close()  # flushes what is buffered, which fails again on a full disk
            except OSError:
                return
