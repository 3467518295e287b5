"""The names and the opening of a run's files."""

import os
from pathlib import Path

import pytest

from zdeferd.attempts import records


def test_only_marks_count_as_attempts(home: Path) -> None:
    assert records.attempts_in(str(home)) == []
    for attempt in (10, 2):
        Path(records.mark_of(str(home), attempt)).touch()
    for name in ("started.", "started.x", "not-started.3", "started.4.tmp"):
        (home / name).touch()
    assert records.attempts_in(str(home)) == [2, 10]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_opened(home: Path, make: object) -> None:
    assert callable(make)
    make(home / "output")
    before = os.listdir("/dev/fd")
    with pytest.raises(OSError, match=f"not a file: {home}/output"):
        records.open_regular(f"{home}/output", os.O_RDONLY)
    assert os.listdir("/dev/fd") == before


def test_a_line_is_cut_and_a_full_pipe_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / records.ALIVE)
    alive = records.open_alive(str(home))
    records.say(alive, "x" * 600)
    assert os.read(alive, 4096) == b"x" * records.MOST_SAID
    for _ in range(1 << 12):  # more than any pipe holds
        records.say(alive, "x" * records.MOST_SAID)
    os.close(alive)
