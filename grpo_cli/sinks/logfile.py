"""A file that is appended to for as long as that works, and given up with one warning after."""

import contextlib
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
            # Unbuffered: what cannot be written must not be tried again when the file is closed.
            self._file = path.open("ab", buffering=0)
        except OSError as error:
            self._give_up(error)

    def write(self, data: bytes) -> None:
        """Append at once, so that a reader beside us, or a crash, finds whole records."""
        if self._file is None:
            return
        size, rest = None, memoryview(data)
        try:
            size = self._file.seek(0, 2)
            while rest:  # a disk that is nearly full takes a part
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            if size is not None:
                with contextlib.suppress(OSError):
                    self._file.truncate(size)
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
            with contextlib.suppress(OSError):
                file.close()
