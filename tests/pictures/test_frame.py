"""The lines of `top`, for screens of any size."""

import pytest

from zdeferd.pictures.frame import frame, log_frame, snapshot
from zdeferd.pictures.look import Seen, Waiting
from zdeferd.view.render import PLAIN, Style, width

SIZES = [(columns, rows) for columns in (1, 5, 20, 80, 300) for rows in (1, 2, 5, 12, 40)]


def waiting(count: int) -> Seen:
    rows = [{"id": n, "job": f"job-{n}-{'x' * n}"} for n in range(1, count + 1)]
    waits = [Waiting(row, "next", "is next; queued 3 s ago.") for row in rows]  # type: ignore[arg-type]
    return Seen(1e9, 7, [], waits, [], {"failed": 2}, {"idle": 1.0})


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("style", [PLAIN, Style(True)])
def test_no_line_is_longer_than_the_screen(size: tuple[int, int], style: Style) -> None:
    lines = frame(waiting(30), size, 17, style, "a note that is rather long" * 3)
    assert len(lines) == size[1]
    assert max(map(width, lines)) <= size[0]


@pytest.mark.parametrize("chosen", [1, 15, 30])
def test_the_chosen_run_is_on_the_screen(chosen: int) -> None:
    lines = frame(waiting(30), (40, 10), chosen, PLAIN)
    assert [line for line in lines if line.startswith(f"> {chosen:>2}")]


def test_what_time_alone_would_change_is_not_shown() -> None:
    assert "queued" not in snapshot(waiting(1), None, PLAIN)
    assert "paused: idle" in snapshot(waiting(1), None, PLAIN)
    assert "2 failed" in snapshot(waiting(1), None, PLAIN)


def test_an_output_is_shown_from_its_end() -> None:
    lines = [str(n) for n in range(100)]
    assert log_frame("t", lines, (20, 5), 0, PLAIN)[1:4] == ["97", "98", "99"]
    assert log_frame("t", lines, (20, 5), 10, PLAIN)[1:4] == ["87", "88", "89"]
    assert log_frame("t", lines, (20, 5), 500, PLAIN)[1:4] == ["0", "1", "2"]
    assert log_frame("t", ["one"], (20, 5), 0, PLAIN)[1:4] == ["one", "", ""]
