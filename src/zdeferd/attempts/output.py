"""Reads a job's pipes, and copies its output into a file of bounded size.

Keeps the head, as it arrives, and the last TAIL bytes, added at the end behind a line with
the number of bytes left out. The file only grows, so that it can be followed. A write that
fails (a full disk) does not disturb the job: the pipe is read on, and the bytes that were
not written count as dropped.

Standard library only; runs in the runner.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod

from .records import open_regular

TAIL = 16 * 1024
"""Bytes kept of the end; half the limit where that is less."""
_CHUNK = 1 << 16
_LAST_CHUNKS = 32
"""Twice the largest pipe (1 MiB), so that nothing is left in it."""


class PipeReader(ABC):
    """Reads a pipe in chunks; a subclass takes each of them in (`add`)."""

    def __init__(self, pipe: int) -> None:
        self.pipe = pipe
        os.set_blocking(pipe, False)

    @abstractmethod
    def add(self, data: bytes) -> None:
        """Take in what was read; no bytes at the end of the pipe."""

    def read(self) -> bool:
        """Read a chunk. False: the pipe is empty, or at its end."""
        try:
            data = os.read(self.pipe, _CHUNK)
        except BlockingIOError:
            return False
        self.add(data)
        return bool(data)

    def finish(self) -> None:
        """Read what is left in the pipe: no process of the job writes any more."""
        for _ in range(_LAST_CHUNKS):
            if not self.read():
                break


class Output(PipeReader):
    """Reads `pipe` and writes `path`, which is made with the first byte. Sizes in bytes."""

    def __init__(self, path: str, pipe: int, limit: int) -> None:
        super().__init__(pipe)
        self.total = self.written = 0
        """Bytes that the job printed, and bytes of these in the file."""
        self._path, self._fd, self._failed = path, -1, False
        self._keep = min(TAIL, limit // 2)
        self._head = limit - self._keep
        self._tail = b""

    def add(self, data: bytes) -> None:
        """Add `data` as if the job had printed it."""
        self.total += len(data)
        room = 0 if self._failed or self._tail else self._head - self.written
        taken = self._write(data[:room]) if room else 0
        self.written += taken
        if self._keep:
            self._tail = (self._tail + data[taken:])[-self._keep :]

    def finish(self) -> None:
        """Read what is left in the pipe, and add the kept end to the file."""
        super().finish()
        self._failed = False  # the disk may have room again
        missing = self.total - self.written - len(self._tail)
        if missing:
            self._write(f"\n[zdeferd: {missing} bytes left out]\n".encode())
        self.written += self._write(self._tail)

    def sizes(self) -> dict[str, object]:
        """Return what the outcome says of the output."""
        return {
            "output_bytes": self.total,
            "output_dropped_bytes": self.total - self.written,
        }

    def drop_the_rest(self) -> None:
        """Read the pipe until it is closed, and keep nothing."""
        os.set_blocking(self.pipe, True)
        while os.read(self.pipe, _CHUNK):
            pass

    def _write(self, data: bytes) -> int:
        """Append; return the number of bytes written."""
        done = 0
        try:
            if self._fd < 0 and data:
                self._fd = open_regular(self._path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            while done < len(data) and not self._failed:
                done += os.write(self._fd, data[done:])
        except OSError:
            self._failed = True
        return done
