"""Sends what runs wrote to standard output: byte for byte, or with marks on a terminal."""

from __future__ import annotations

import os
import sys

from ..machine.files import open_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

    from .call import Call

BLOCK_BYTES = 65536


class Raw:
    """Writes blocks to standard output, byte for byte."""

    def write(self, block: bytes) -> None:
        """Write a block at once."""
        sys.stdout.buffer.write(block)
        sys.stdout.buffer.flush()

    def end(self) -> None:
        """Write nothing: no block was kept back."""


class Marked(Raw):
    """Writes blocks to a terminal, with marks for its control characters."""

    def __init__(self) -> None:
        from .visible import Visible

        self._visible = Visible()

    def write(self, block: bytes) -> None:
        """Write a block at once, but for a character of which the rest is still to come."""
        sys.stdout.write(self._visible.text(block))
        sys.stdout.flush()

    def end(self) -> None:
        """Write the bytes of a character of which the rest never came."""
        sys.stdout.write(self._visible.text(b"", final=True))


def sink_for(call: Call, raw: bool = False) -> Raw:
    """Return what writes to the standard output of this call; `raw`: never with marks."""
    sys.stdout.flush()
    return Marked() if call.columns is not None and not raw else Raw()


def open_output(path: str) -> BinaryIO:
    """Open the output; an empty file where the run has written none or it was pruned."""
    try:
        return open(path, "rb", opener=open_file)
    except FileNotFoundError:
        return open(os.devnull, "rb")


def pour(file: BinaryIO, sink: Raw) -> int:
    """Copy what is there to standard output; -> bytes copied."""
    total = 0
    while block := file.read(BLOCK_BYTES):
        sink.write(block)
        total += len(block)
    return total


class Tail:
    """Copies the output of a run to standard output as it grows."""

    def __init__(self, folder: str, call: Call) -> None:
        from ..machine.filewatch import file_watch

        self._folder, self._call, self._sink = folder, call, sink_for(call)
        self._watch = file_watch()
        self._file: BinaryIO | None = None
        self.is_line_open = False
        """True where the last byte that was copied is no newline."""

    def fileno(self) -> int:
        """Return the descriptor, which is readable once there may be more."""
        return self._watch.fileno()

    def copy(self) -> None:
        """Copy what has come. Never waits."""
        path = f"{self._folder}/output"
        self._watch.clear()
        self._watch.look_at((os.path.dirname(self._folder), self._folder, path))
        if self._file is None and os.path.exists(path):
            self._file = open_output(path)
        while self._file is not None and (block := self._file.read(BLOCK_BYTES)):
            self._call.end_live()
            self._sink.write(block)
            self.is_line_open = not block.endswith(b"\n")

    def close(self) -> None:
        """Copy the rest, end its line, and close the file."""
        try:
            self.copy()
            self._sink.end()
            if self.is_line_open:
                self._sink.write(b"\n")
        finally:
            self._watch.close()
            if self._file is not None:
                self._file.close()


def skip_to_last(file: BinaryIO, lines: int) -> None:
    """Move to the start of the last so many lines; the last one may have no newline."""
    end = at = file.seek(0, os.SEEK_END)
    left = lines
    while at > 0 and left > 0:
        size = min(BLOCK_BYTES, at)
        at -= size
        file.seek(at)
        block = file.read(size)
        stop = size - (at + size == end)  # a newline at the very end begins no line
        while left > 0 and (found := block.rfind(b"\n", 0, stop)) >= 0:
            left, stop = left - 1, found
        if left == 0:
            file.seek(at + stop + 1)
            return
    file.seek(end if lines == 0 else 0)
