"""The bounded file: what is kept, what is counted, what a full disk does to it."""

import os
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zdeferd.attempts.output import TAIL, Output


def kept(data: bytes, limit: int) -> bytes:
    """What the file should hold, said another way."""
    if len(data) <= limit:
        return data
    tail = min(TAIL, limit // 2)
    head = limit - tail
    mark = b"\n[zdeferd: %d bytes left out]\n" % (len(data) - limit)
    return data[:head] + mark + data[len(data) - tail :]


@given(chunks=st.lists(st.binary(max_size=40), max_size=12), limit=st.integers(0, 100))
def test_head_and_tail(chunks: list[bytes], limit: int) -> None:
    with TemporaryDirectory(prefix="zd.", dir="/tmp") as folder:
        path = Path(folder, "output")
        reading, writing = os.pipe()
        output = Output(str(path), reading, limit)
        for chunk in chunks:
            os.write(writing, chunk)
            output.read()
        os.close(writing)
        output.finish()
        os.close(reading)
        data = b"".join(chunks)
        assert (path.read_bytes() if path.exists() else b"") == kept(data, limit)
        assert output.total == len(data)
        assert output.total - output.written == max(0, len(data) - limit)


def test_the_head_is_there_at_once(home: Path) -> None:
    output = Output(str(home / "output"), os.open(os.devnull, os.O_RDONLY), 1 << 20)
    output.add(b"first\n")
    assert (home / "output").read_bytes() == b"first\n"
    assert (home / "output").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_is_counted_and_nothing_more() -> None:
    output = Output("/dev/full", os.open(os.devnull, os.O_RDONLY), 100)
    output.add(b"x" * 500)
    output.finish()
    assert (output.total, output.written) == (500, 0)
