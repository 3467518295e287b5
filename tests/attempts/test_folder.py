"""The names and the opening of a run's files."""

import os
from pathlib import Path

import pytest

from zdeferd.attempts import folder


def test_only_marks_count_as_attempts(home: Path) -> None:
    assert folder.attempts_in(str(home)) == []
    for attempt in (10, 2):
        Path(folder.mark_of(str(home), attempt)).touch()
    for name in ("started.", "started.x", "not-started.3", "started.4.tmp"):
        (home / name).touch()
    assert folder.attempts_in(str(home)) == [2, 10]


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_what_is_no_file_is_not_opened(home: Path, make: object) -> None:
    assert callable(make)
    make(home / "output")
    before = os.listdir("/dev/fd")
    with pytest.raises(OSError, match=f"not a file: {home}/output"):
        folder.open_regular(f"{home}/output", os.O_RDONLY)
    assert os.listdir("/dev/fd") == before


def test_a_line_is_cut_and_a_full_pipe_is_not_waited_for(home: Path) -> None:
    os.mkfifo(home / folder.ALIVE)
    alive = folder.open_alive(str(home))
    folder.say(alive, "x" * 600)
    assert os.read(alive, 4096) == b"x" * folder.MOST_SAID
    for _ in range(1 << 12):  # more than any pipe holds
        folder.say(alive, "x" * folder.MOST_SAID)
    os.close(alive)
